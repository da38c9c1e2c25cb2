"""A way to Redis that can be cut, so that one broker loses it and another does not."""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on to a port of this machine between ``async with`` and its end; ``url`` leads to it."""

    def __init__(self, to_port: int) -> None:
        self.is_open = True
        self._to_port = to_port
        self._server: asyncio.Server
        self._passing: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def reset(self) -> None:
        """Every connection ends at once, in no good order: with a reset. New ones are let in."""
        for writer in self._writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.cut()
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()
        self.mend()

    async def cut(self) -> None:
        """Every connection ends at once, and so does each new one."""
        self.is_open = False
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def mend(self) -> None:
        self.is_open = True

    def hold(self) -> None:
        """Nothing passes until :meth:`release`, and everybody stays connected."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = [writer]
        try:
            if not self.is_open:
                return
            self._passing.add(task)
            self._writers.append(writer)
            redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            writers.append(redis_writer)
            await asyncio.gather(self._copy(reader, redis_writer), self._copy(redis_reader, writer))
        except asyncio.CancelledError:
            pass
        finally:
            self._passing.discard(task)
            for writer in writers:
                writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
