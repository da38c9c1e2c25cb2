"""Clients of a Redis in memory that share a moment with it: whatever they say is answered before they go on."""

import asyncio
from typing import Any

import hiredis

from vuemantics_ws.brokers.redis.link import pack
from vuemantics_ws.simulation.resp.memory_redis import MemoryRedis


class Clock:
    """Passes when a test says so. Both clocks show the same."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Client(asyncio.Transport):
    """One connection, as both of its ends."""

    def __init__(self, redis: MemoryRedis) -> None:
        super().__init__()
        self.writes = 0
        self.is_lost = False
        self.reads = True
        """Else all that is sent to it waits."""
        self._waiting = 0
        self._reader = hiredis.Reader()
        self._connection = redis.connection()
        self._connection.connection_made(self)

    def ask(self, *command: bytes | str | int) -> Any:
        """The next that it says, which is the answer where nothing else was said before; None where it says nothing."""
        self.say(command)
        return self.next()

    def say(self, *commands: tuple[bytes | str | int, ...]) -> None:
        self._connection.data_received(b"".join(pack(*command) for command in commands))

    def next(self) -> Any:
        reply: Any = self._reader.gets()
        return None if reply is False else str(reply) if isinstance(reply, hiredis.ReplyError) else reply

    def all(self) -> list[Any]:
        """All that it has said."""
        said = []
        while (reply := self.next()) is not None:
            said.append(reply)
        return said

    def lose(self) -> None:
        """The client is gone."""
        self.is_lost = True
        self._connection.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        if self.reads:
            self._reader.feed(bytes(data))
            return
        self._waiting += len(data)
        self._connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def is_closing(self) -> bool:
        return self.is_lost

    def abort(self) -> None:
        self.is_lost = True

    def close(self) -> None:
        self.is_lost = True
