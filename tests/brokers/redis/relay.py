"""A way to Redis that can be cut, so that one broker loses it and another does not."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on to a port of this machine between ``async with`` and its end; ``url`` leads to it."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def mend(self) -> None:
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Every connection ends at once, and there is no new one."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()

    def hold(self) -> None:
        """Nothing passes until :meth:`release`, and everybody stays connected."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            self._writers |= {writer, redis_writer}
            await asyncio.gather(self._copy(reader, redis_writer), self._copy(redis_reader, writer))
            self._writers -= {writer, redis_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
