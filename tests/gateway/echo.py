"""A port whose conversations send back whatever they get: the connection alone, for suites that know nothing of uploads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.timers import NEVER, Timers
from vuemantics_ws.limits import Limits


class Echo:
    """Sends back text as text and bytes as bytes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.deadline = NEVER
        self.user_id: str | None = None
        self.closed = 0

    def on_text(self, data: bytes) -> None:
        self._connection.reply(WebSocketFrame(Opcode.TEXT, data).serialize(mask=False))

    def on_binary(self, data: bytes) -> None:
        self._connection.reply(WebSocketFrame(Opcode.BINARY, data).serialize(mask=False))

    def on_deadline(self, now: float) -> None:
        raise AssertionError("an echo has no deadline")

    def on_liveness_due(self) -> None:
        pass

    def on_closed(self) -> None:
        self.closed += 1


class EchoPort:
    """Lets everybody in. ``codes`` has how each connection ended, in order."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.timers = Timers(asyncio.get_running_loop())
        self.write_buffer_bytes_max = 8 * 1024
        self.unsent_bytes_max = 16 * 1024
        self.codes: list[int | None] = []
        self.one_ended = asyncio.Event()
        self.connections: list[Connection] = []
        self.echoes: list[Echo] = []

    def new_connection(self) -> Connection:
        return Connection(self, len(self.connections) + 1)

    def opened(self, connection: Connection) -> None:
        self.connections.append(connection)

    def answer(self, connection: Connection, request: Request) -> Response | None:
        return None

    def converse(self, connection: Connection) -> Echo:
        self.echoes.append(Echo(connection))
        return self.echoes[-1]

    def touch(self, connection: Connection) -> None:
        asyncio.get_running_loop().call_soon(connection.flush)

    def waiting(self, count: int) -> None:
        pass

    def waited(self, waited_s: float) -> None:
        pass

    def first_ping_after(self) -> float:
        return self.limits.ping_interval_s

    def ended(self, connection: Connection, code: int | None) -> None:
        self.codes.append(code)
        self.one_ended.set()


@asynccontextmanager
async def echo_server(limits: Limits | None = None) -> AsyncIterator[tuple[EchoPort, int]]:
    """A listening echo, with the TCP port that it listens on."""
    port = EchoPort(limits or Limits())
    server = await asyncio.get_running_loop().create_server(port.new_connection, "127.0.0.1", 0)
    try:
        yield port, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in port.connections:
            connection.abort()
        await asyncio.sleep(0)
        port.timers.stop()
