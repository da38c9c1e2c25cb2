"""Redis whose time is the test's: what a script asks of TIME is told to it instead, and one in memory has a clock to be set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from tests.memory_redis_server import MemoryRedisServer
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script

STARTED_AT_S = 1_700_000_000
ASKING = "redis.call('TIME')"


class TimedCommands(Commands):
    """``now_s`` counts from some moment of the past."""

    now_s = 0.0


class ClockedCommands(TimedCommands):
    """Of a real Redis."""

    async def run(self, call: Call) -> Any:
        return await super().run(self._clocked(call))

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        return await super().run_all([self._clocked(call) for call in calls])

    def _clocked(self, call: Call) -> Call:
        if ASKING not in call.script.text:
            return call
        now_us = round((STARTED_AT_S + self.now_s) * 1_000_000)
        return Call(_with_clock(call.script), call.keys, [*call.arguments, *divmod(now_us, 1_000_000)])


@cache
def _with_clock(script: Script) -> Script:
    assert script.text.count(ASKING) == 1
    clocked = Script(script.name)
    clocked.text = script.text.replace(ASKING, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
    return clocked


@contextmanager
def clocked_memory_redis() -> Iterator[tuple[MemoryRedisServer, TimedCommands]]:
    """One in memory, and commands that set its clock."""
    commands: TimedCommands | None = None

    def wall() -> float:
        return STARTED_AT_S + (commands.now_s if commands is not None else 0.0)

    with MemoryRedisServer(wall=wall) as server:
        commands = TimedCommands(RedisAddress.read(server.url))
        yield server, commands


@contextmanager
def clocked_redis(kind: str, real: RedisServer) -> Iterator[tuple[RedisServer | MemoryRedisServer, TimedCommands]]:
    """The real one, or ``in memory``."""
    if kind == "in memory":
        with clocked_memory_redis() as pair:
            yield pair
    else:
        yield real, ClockedCommands(RedisAddress.read(real.url))
