"""Redis whose time is the test's: what a script asks of TIME is told to it instead."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from vuemantics_ws.brokers.redis.commands import Call, Commands, Script

STARTED_AT_S = 1_700_000_000
ASKING = "redis.call('TIME')"


class ClockedCommands(Commands):
    """``now_s`` counts from some moment of the past."""

    now_s = 0.0

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
