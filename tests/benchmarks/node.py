"""A gateway in a process of its own, and the barest client that can hold a connection to it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.chromium import HEADERS
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.gateway.auth import Authenticator

SECRET = "a secret of thirty-two bytes or more, for benchmarks"


@dataclass(frozen=True)
class Node:
    """Where a gateway listens, and which process it is."""

    pid: int
    port: int
    control: str

    def memory_bytes(self) -> int:
        """Resident memory (VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def node(*, core: int | None = None, **settings: str) -> Iterator[Node]:
    """A running gateway with these settings, by their names; pinned to one core where one is given."""
    given = {"port": "0", "control_port": "0", "secret": SECRET, "access": "open", "origin": "http://127.0.0.1:5173"}
    variables = {f"VUEMANTICS_WS_{name.upper()}": value for name, value in {**given, **settings}.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VUEMANTICS_WS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "vuemantics_ws.gateway"], env={**environment, **variables}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        yield Node(process.pid, int(ready["url"].rsplit(":", 1)[1].split("/")[0]), ready["control"])
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def token(user_id: str) -> str:
    """A token that the benchmark's gateways accept."""
    return Authenticator(SECRET, clock=SystemClock()).mint(user_id, 3600.0)


def masked(text: str) -> bytes:
    """A text frame of a client, with a mask of zeros."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + data


class BareClient(asyncio.Protocol):
    """Shakes hands, authenticates and follows its uploads; ``subscribed`` is done then. Counts the bytes that come after."""

    def __init__(self, user_id: str, *upload_ids: str) -> None:
        self._uploads = len(upload_ids)
        self._to_say = [
            masked(json.dumps({"type": "auth", "token": token(user_id)})),
            *(masked(json.dumps({"action": "subscribe_upload", "upload_id": upload_id})) for upload_id in upload_ids),
        ]
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received_bytes = 0
        self._so_far = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET /ws/uploads HTTP/1.1\r\n{HEADERS}".encode())

    def data_received(self, data: bytes) -> None:
        if self.subscribed.done():
            self.received_bytes += len(data)
            return
        self._so_far += data
        if self._so_far.endswith(b"\r\n\r\n"):
            self.transport.write(b"".join(self._to_say))
        elif self._so_far.count(b'"subscribed"') == self._uploads:
            self._so_far = b""
            self.subscribed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(exc or ConnectionError("refused"))
