"""One frozen and one slow reader among five hundred: what do the others notice, and what do the two get?

    python -m tests.benchmarks.slow_readers [browsers] [seconds of each phase]

Method: a gateway in its own process, fed over its control port: 50 uploads, five events a second each, one browser in ten
follows any one of them. Phases of equal length with and without the two bad readers, in turn, so that a busy machine troubles
both alike. The latency of a delivery is from the moment at which the event was due to the moment at which its frame was read.
The slow reader takes 40 kB/s through a small receive buffer and follows everything; the frozen one follows everything and
reads nothing for a whole phase, then thaws. At the end SIGTERM, with a frozen reader connected.
"""

import asyncio
import json
import os
import platform
import re
import signal
import socket
import statistics
import sys
import time
from dataclasses import dataclass, field

import httpx

from tests.benchmarks.node import BareClient, Node, masked, node, token

UPLOADS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(50)]
EVENTS_PER_S = 5.0
SLOW_BYTES_PER_S = 40_000

_DUE = re.compile(rb'"due": ?([0-9.]+)')
_STATE = re.compile(rb'"seq":(\d+),"action": ?"(upload_\w+)".*?"upload_id": ?"([0-9a-f-]+)"', re.DOTALL)


@dataclass
class Latencies:
    """Seconds, by phase."""

    phase: str = ""
    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, due: float) -> None:
        self.of.setdefault(self.phase, []).append(time.monotonic() - due)


class Browser(BareClient):
    """Notes how late each event is."""

    def __init__(self, number: int, latencies: Latencies) -> None:
        super().__init__(f"user-{number}", UPLOADS[number % len(UPLOADS)])
        self._latencies = latencies
        self.code: int | None = None

    def data_received(self, data: bytes) -> None:
        if not self.subscribed.done():
            super().data_received(data)
            return
        for due in _DUE.findall(data):
            self._latencies.add(float(due))
        if b'"action":"ping"' in data:
            self.transport.write(masked('{"action": "pong"}'))
        if data.endswith(b"\x03\xf4Server reloading"):
            self.code = 1012
            self.transport.close()


class BadReader:
    """Follows every upload over a socket with a small receive buffer, and reads when it is told to."""

    def __init__(self, target: Node, name: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.connect(("127.0.0.1", target.port))
        from tests.gateway.chromium import HEADERS

        self.socket.sendall(f"GET /ws/uploads HTTP/1.1\r\n{HEADERS}".encode())
        while b"\r\n\r\n" not in self.socket.recv(4_096):
            pass
        self.socket.sendall(masked(json.dumps({"type": "auth", "token": token(name)})))
        for upload_id in UPLOADS:
            self.socket.sendall(masked(json.dumps({"action": "subscribe_upload", "upload_id": upload_id})))
        self.socket.setblocking(False)
        self.shown: dict[bytes, tuple[int, bytes]] = {}
        self._rest = b""

    def read(self, size: int) -> int:
        """Take what is there, up to ``size`` bytes."""
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return 0
        self._rest += data
        end = 0
        for match in _STATE.finditer(self._rest):
            self.shown[match[3]] = (int(match[1]), match[2])
            end = match.end()
        self._rest = self._rest[end:][-4_096:]
        return len(data)

    async def read_for(self, seconds: float, bytes_per_s: float) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self.read(int(bytes_per_s / 50))
            await asyncio.sleep(max(0.0, now + 0.02 - time.monotonic()))

    async def converges(self, newest: dict[str, tuple[int, str]], bytes_per_s: float, within_s: float) -> float | None:
        """Seconds until it shows the newest of everything, None where that takes too long."""
        started_at = time.monotonic()
        wanted = {upload_id.encode(): (seq, action.encode()) for upload_id, (seq, action) in newest.items()}
        while time.monotonic() < started_at + within_s:
            if self.shown == wanted:
                return time.monotonic() - started_at
            await self.read_for(0.05, bytes_per_s)
        return None


def _progress(upload_id: str, percent: int, due: float, stage: str) -> bytes:
    payload = {
        "upload_id": upload_id, "status": "analyzing", "stage": stage, "progress_percent": percent,
        "message": "Looking at the picture", "error_message": None, "description_audit_score": None,
    }  # fmt: skip
    said = {"action": "upload_progress", "payload": payload, "timestamp": "2026-01-01T00:00:00Z", "due": due}
    return json.dumps(said).encode()


def _completed(upload_id: str, description: str) -> bytes:
    said = {"upload_id": upload_id, "description": description, "audit_score": 90, "timestamp": "2026-01-01T00:00:00Z"}
    return json.dumps({"action": "upload_completed", **said}).encode()


class Feeder:
    """Publishes at a steady rate, and knows the newest state of everything."""

    def __init__(self, control: httpx.AsyncClient) -> None:
        self._control = control
        self.newest: dict[str, tuple[int, str]] = {}
        self._percent = 0

    async def feed(self, seconds: float) -> None:
        started_at = time.monotonic()
        interval_s = 1 / EVENTS_PER_S / len(UPLOADS)
        for turn in range(int(seconds / interval_s)):
            due = started_at + turn * interval_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._percent = (self._percent + 1) % 101
            upload_id = UPLOADS[turn % len(UPLOADS)]
            runs = self.newest.get(upload_id, (0, ""))[1] == "upload_progress"
            event = _progress(upload_id, self._percent, due, "vision_analysis" if runs else "queued")
            await self._publish(event, "upload_progress")

    async def complete_all(self) -> None:
        for upload_id in UPLOADS:
            await self._publish(_completed(upload_id, f"a cat, seen at {time.monotonic()}"), "upload_completed")

    async def _publish(self, event: bytes, action: str) -> None:
        receipt = (await self._control.post("/events", content=event)).json()
        assert receipt["verdict"] == "accepted", receipt
        self.newest[receipt["upload_id"]] = (receipt["seq"], action)


async def _run(target: Node, browsers: int, seconds: float) -> None:
    latencies = Latencies()
    loop = asyncio.get_running_loop()
    tabs = [Browser(number, latencies) for number in range(browsers)]
    for first in range(0, browsers, 50):
        for tab in tabs[first : first + 50]:
            await loop.create_connection(lambda tab=tab: tab, "127.0.0.1", target.port)  # type: ignore[misc]
        await asyncio.gather(*(tab.subscribed for tab in tabs[first : first + 50]))
    async with httpx.AsyncClient(base_url=target.control) as control:
        feeder = Feeder(control)
        latencies.phase = "warm-up"
        await feeder.feed(2)
        memory = [target.memory_bytes()]
        slow = frozen = None
        for phase in ("alone", "with a frozen and a slow reader") * 2:
            latencies.phase = phase
            if phase == "alone":
                await feeder.feed(seconds)
            else:
                slow, frozen = BadReader(target, "slow"), BadReader(target, "frozen")
                await asyncio.gather(feeder.feed(seconds), slow.read_for(seconds, SLOW_BYTES_PER_S))
                tables = (await control.get("/statistics")).json()["tables"]
                await feeder.complete_all()
                slow_s = await slow.converges(feeder.newest, SLOW_BYTES_PER_S, 20)
                frozen_s = await frozen.converges(feeder.newest, 10**7, 20)
                print(f"  outboxes {tables['outbox_bytes']} B, the largest {tables['outbox_bytes_max']} B")
                print(f"  newest state and end of all {len(UPLOADS)} uploads: slow reader {_s(slow_s)} after the last event, "
                      f"frozen one {_s(frozen_s)} after it thawed")  # fmt: skip
                assert slow_s is not None
                assert frozen_s is not None
                slow.socket.close()
                frozen.socket.close()
            memory.append(target.memory_bytes())
        latencies.of.pop("warm-up", None)
        for phase, of in latencies.of.items():
            quantiles = statistics.quantiles(of, n=1000)
            print(f"  {phase}: {len(of)} deliveries, p50 {quantiles[499] * 1e3:.2f} ms, p99 {quantiles[989] * 1e3:.2f} ms")
        print("  memory after each phase, MiB: " + ", ".join(f"{size / 2**20:.1f}" for size in memory))
        await _stop(target, feeder, tabs, latencies)


async def _stop(target: Node, feeder: Feeder, tabs: list[Browser], latencies: Latencies) -> None:
    frozen = BadReader(target, "frozen")
    latencies.phase = "warm-up"
    await feeder.feed(4)
    started_at = time.monotonic()
    os.kill(target.pid, signal.SIGTERM)
    while not os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        await asyncio.sleep(0.05)
    status = os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    told = sum(tab.code == 1012 for tab in tabs)
    print(
        f"  SIGTERM: exit {status.si_status} after {_s(time.monotonic() - started_at)}, 1012 for {told} of {len(tabs)} browsers"
    )
    frozen.socket.close()


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f} s"


def main() -> None:
    browsers = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    print(f"machine: {platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for uvloop in sys.argv[3:] or ("on", "off"):
        print(f"uvloop {uvloop}: {browsers} browsers, {len(UPLOADS)} uploads, {EVENTS_PER_S:g} events a second each")
        with node(uvloop=uvloop, stall_timeout="60s") as target:
            asyncio.run(_run(target, browsers, seconds))


if __name__ == "__main__":
    main()
