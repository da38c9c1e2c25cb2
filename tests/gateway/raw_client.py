"""A client that can misbehave: frames as bytes over a plain socket, answers parsed by the library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from tests.gateway.chromium import HEADERS

REQUEST = f"GET /ws/uploads HTTP/1.1\r\n{HEADERS}".encode()


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """A client's frame."""
    return Frame(opcode, data, fin).serialize(mask=True)


class RawClient:
    """Writes any bytes, and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames: list[Frame] = []
        self._parser = Protocol(Side.CLIENT, max_size=None)

    async def upgrade(self, *, then: bytes = b"") -> None:
        """Shake hands; ``then`` travels in the same write as the request."""
        self.writer.write(REQUEST + then)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> Frame:
        """The next frame.

        Raises:
            EOFError: the server ended the stream without one.
        """
        while not self._frames:
            data = await self.reader.read(65_536)
            if not data:
                raise EOFError
            self._parser.receive_data(data)
            self._frames += [event for event in self._parser.events_received() if isinstance(event, Frame)]
        return self._frames.pop(0)

    async def close_code(self) -> int:
        """How the server closes, whatever it says before; 1006 where it says nothing."""
        try:
            while True:
                received = await self.frame()
                if received.opcode is Opcode.CLOSE:
                    return int.from_bytes(received.data[:2], "big")
        except (EOFError, ConnectionResetError):
            return 1006


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawClient]:
    """A connected client, not upgraded yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
