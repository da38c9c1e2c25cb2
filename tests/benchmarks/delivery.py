"""What it costs to deliver one event to a thousand browsers, beside two usual ways of doing it.

    python -m tests.benchmarks.delivery [browsers] [events]

Method: each system serves in a process of its own on core 0, and is told by its own timer to send the same event of some
290 bytes, twenty a second. The browsers are bare sockets in this process on core 1, which count bytes. What is compared is
the CPU time (user and system) of the serving process for each delivery, rounds of the systems in turn, the median of three.
Ours judges, stores and encodes each event on the way; the others send a text that is ready.
"""

import asyncio
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from typing import Any, cast

import websockets
from websockets.asyncio.server import ServerConnection, serve

from tests.benchmarks.node import SECRET, BareClient
from tests.gateway.nodes import event
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway.listening import listen
from vuemantics_ws.gateway.run import loop_factory
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings

UPLOAD_ID = "00000001-0000-4000-8000-000000000000"
EVENTS_PER_S = 20
SYSTEMS = ("vuemantics-ws", "ready bytes to bare transports", "websockets broadcast()", "websockets, send() to each in turn")


class Serving:
    """One system under measurement: a port, who is connected, and how to send."""

    async def start(self) -> int:
        raise NotImplementedError

    def connected(self) -> int:
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        raise NotImplementedError


class Ours(Serving):
    async def start(self) -> int:
        settings = Settings(port=0, secret=SECRET, access="open", origins=("http://127.0.0.1:5173",))
        clock = SystemClock()
        broker = MemoryBroker(clock=clock, limits=settings)
        self.gateway = Gateway(settings, secret=SECRET, broker=broker, clock=clock, dice=random.Random(1))
        await self.gateway.start()
        return self.gateway.address[1]

    def connected(self) -> int:
        return len(self.gateway.manager.get_upload_subscriber_ids(UPLOAD_ID))

    async def send(self, data: bytes) -> None:
        await self.gateway.manager.publish(data)


class Bare(Serving):
    """The floor: an asyncio.Protocol that understands nothing, and bytes that are ready."""

    async def start(self) -> int:
        self._transports: list[asyncio.Transport] = []
        transports = self._transports

        class Accepting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast(asyncio.Transport, transport)
                self.answers = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Frame.of({"action": "subscribed"}).data]

            def data_received(self, data: bytes) -> None:
                if self.answers:
                    self.transport.write(self.answers.pop(0))
                    if not self.answers:
                        transports.append(self.transport)

        listener = listen("127.0.0.1", 0, "--port")
        await asyncio.get_running_loop().create_server(Accepting, sock=listener)
        return listener.getsockname()[1]  # type: ignore[no-any-return]

    def connected(self) -> int:
        return len(self._transports)

    async def send(self, data: bytes) -> None:
        frame = Frame(data).data
        for transport in self._transports:
            transport.write(frame)


class Library(Serving):
    """The websockets library's own server, with permessage-deflate off."""

    def __init__(self, broadcast: bool) -> None:
        self._broadcast = broadcast
        self._connections: set[ServerConnection] = set()

    async def start(self) -> int:
        self._server = await serve(self._handle, "127.0.0.1", 0, compression=None, ping_interval=None)
        return next(iter(self._server.sockets)).getsockname()[1]  # type: ignore[no-any-return]

    async def _handle(self, connection: ServerConnection) -> None:
        await connection.recv()
        await connection.recv()
        await connection.send('{"action": "subscribed"}')
        self._connections.add(connection)
        await connection.wait_closed()

    def connected(self) -> int:
        return len(self._connections)

    async def send(self, data: bytes) -> None:
        text = data.decode()
        if self._broadcast:
            websockets.broadcast(self._connections, text)
        else:
            for connection in self._connections:
                await connection.send(text)


async def _serve(system: str, browsers: int, events: int) -> None:
    serving: Serving
    if system == SYSTEMS[0]:
        serving = Ours()
    elif system == SYSTEMS[1]:
        serving = Bare()
    else:
        serving = Library(broadcast=system == SYSTEMS[2])
    print(await serving.start(), flush=True)
    while serving.connected() < browsers:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    before = time.process_time()
    started_at = time.monotonic()
    for turn in range(events):
        await serving.send(event(UPLOAD_ID, turn % 101, turn=turn))
        await asyncio.sleep(max(0.0, started_at + (turn + 1) / EVENTS_PER_S - time.monotonic()))
    print(time.process_time() - before, flush=True)


async def _hold(port: int, browsers: int, process: "subprocess.Popen[str]", events: int) -> tuple[float, int]:
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(browsers):
        client = BareClient(f"user-{number}", UPLOAD_ID)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await client.subscribed
        clients.append(client)
    assert process.stdout is not None
    cpu_s = float(await asyncio.to_thread(process.stdout.readline))
    await asyncio.sleep(0.2)
    received = sum(client.received_bytes for client in clients)
    for client in clients:
        client.transport.abort()
    return cpu_s, received


def _measure(system: str, browsers: int, events: int) -> float:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.delivery", "--serve", system, str(browsers), str(events)],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {0})
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        cpu_s, received = asyncio.run(_hold(port, browsers, process, events))
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert received >= browsers * events * 280, f"{system}: only {received} bytes arrived"
    return cpu_s / browsers / events * 1e6


def main() -> None:
    arguments: list[Any] = sys.argv[1:]
    if arguments[:1] == ["--serve"]:
        with asyncio.Runner(loop_factory=loop_factory(None)) as runner:
            runner.run(_serve(arguments[1], int(arguments[2]), int(arguments[3])))
        return
    browsers = int(arguments[0]) if arguments else 1_000
    events = int(arguments[1]) if len(arguments) > 1 else 200
    os.sched_setaffinity(0, {1})
    print(f"machine: {platform.platform()}, Python {platform.python_version()}, uvloop")
    figures: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    for _ in range(3):
        for system in SYSTEMS:
            figures[system].append(_measure(system, browsers, events))
    for system, of in figures.items():
        print(f"{system:36} {statistics.median(of):6.2f} µs a delivery ({min(of):.2f} to {max(of):.2f})")


if __name__ == "__main__":
    main()
