"""Hears what is published, reply by reply as it comes over the socket."""

import asyncio
from typing import Any, Self

import hiredis

from vuemantics_ws.brokers.redis.link import pack

READ_BYTES = 65_536


class Line:
    """One connection to a Redis of whatever kind."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = hiredis.Reader(notEnoughData=self)

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, *command: bytes | str | int) -> None:
        self._writer.write(pack(*command))

    async def next(self) -> Any:
        """What comes next, an error of Redis as the text of it; None where the connection has ended."""
        while (reply := self._replies.gets()) is self:
            data = await self._reader.read(READ_BYTES)
            if not data:
                return None
            self._replies.feed(data)
        return str(reply) if isinstance(reply, hiredis.ReplyError) else reply

    async def ask(self, *command: bytes | str | int) -> Any:
        self.send(*command)
        return await self.next()

    async def until(self, last: object) -> list[Any]:
        """All that comes before this."""
        heard = []
        while (reply := await self.next()) != last:
            assert reply is not None
            heard.append(reply)
        return heard

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
