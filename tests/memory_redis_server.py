"""A Redis in memory behind a real socket, for whatever is tested against a real Redis, too."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.redis_server import cli
from vuemantics_ws.simulation.resp.memory_redis import MemoryRedis

T = TypeVar("T")


class MemoryRedisServer:
    """Serves in a thread of its own, between ``with`` and its end, on one port of loopback.

    Args:
        wall: its clock.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        self.redis = MemoryRedis(monotonic=time.monotonic, wall=wall, seed=0)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listening: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def cli(self, *command: str) -> str:
        """What ``redis-cli`` prints for a command."""
        return cli(self.port, *command)

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Where nothing else happens meanwhile: in its thread."""

        async def called() -> T:
            return function(*arguments, **named)

        return self._run(called())

    def kill(self) -> None:
        """As a crash ends it: nobody listens any more."""
        self._run(self._stop())

    def start(self, *, lose_data: bool = False) -> None:
        self.call(self.redis.start, lose_data=lose_data)
        self._run(self._listen())

    def restart(self, *, lose_data: bool = False) -> None:
        self.kill()
        self.start(lose_data=lose_data)

    def pause(self) -> None:
        self.call(self.redis.hang)

    def resume(self) -> None:
        self.call(self.redis.resume)

    async def _listen(self) -> None:
        self._listening = await self._loop.create_server(self.redis.connection, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        self.redis.stop()
        await asyncio.sleep(0)  # transports tell of their end in the next turn

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)
