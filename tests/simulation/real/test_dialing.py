"""How a simulated browser reaches a server: a slow one takes what comes in small pieces, every byte in its order."""

import asyncio

from websockets.uri import parse_uri

from vuemantics_ws.simulation.network.dial import RECEIVE_BUFFER_BYTES
from vuemantics_ws.simulation.real.dialing import READ_BYTES, tcp

SENT = bytes(range(256)) * 400


class Taker(asyncio.Protocol):
    """Notes each piece that it is handed."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def taken(receive_buffer_bytes: int | None) -> list[bytes]:
    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SENT)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        taker = Taker()
        await tcp(parse_uri(f"ws://127.0.0.1:{port}/"), receive_buffer_bytes=receive_buffer_bytes)(lambda: taker)
        await asyncio.wait_for(taker.ended, 10)
    assert taker.transport is not None
    return taker.pieces


def test_a_slow_browser_takes_small_pieces_and_loses_nothing() -> None:
    pieces = asyncio.run(taken(RECEIVE_BUFFER_BYTES))

    assert b"".join(pieces) == SENT
    assert max(map(len, pieces)) <= READ_BYTES


def test_a_browser_that_keeps_up_takes_what_there_is() -> None:
    pieces = asyncio.run(taken(None))

    assert b"".join(pieces) == SENT
