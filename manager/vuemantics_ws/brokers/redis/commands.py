"""What is asked of Redis, over redis-py: scripts, alone or many at once, and publishing.

Nothing is asked twice behind the caller's back: what was not answered may have been done.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from vuemantics_ws.brokers.redis.address import RedisAddress

COMMAND_TIMEOUT_S = 2.0
"""How long Redis may take to answer before it counts as away."""


class Script:
    """A Lua script of ours, by its name in ``scripts/``. ``sha`` is what EVALSHA calls it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: str = (files("vuemantics_ws.brokers.redis") / "scripts" / f"{name}.lua").read_text(encoding="utf-8")


class Call(NamedTuple):
    """One run of a script."""

    script: Script
    keys: Sequence[bytes]
    arguments: Sequence[bytes | int | float | str]


class Commands:
    """One client for a server, a master that Sentinels name, or a Redis Cluster.

    Every method raises :class:`vuemantics_ws.errors.BrokerAway` where Redis cannot be reached, does not answer in time, or
    cannot take what it is told (LOADING, OOM, READONLY, CLUSTERDOWN, no permission): the message says which, in words for an
    operator, and quotes no argument.
    """

    def __init__(self, address: RedisAddress, *, timeout_s: float = COMMAND_TIMEOUT_S, connections_max: int = 16) -> None:
        raise NotImplementedError

    async def run(self, call: Call) -> Any:
        """One script, in one round trip. A server that has forgotten the script is told it again."""
        raise NotImplementedError

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Many in one round trip a server, in order. A failed call has its error as its result."""
        raise NotImplementedError

    async def publish(self, channel: bytes, payload: bytes) -> int:
        """To a channel of ours (SPUBLISH in a Redis Cluster). Returns how many connections of that server were told."""
        raise NotImplementedError

    async def execute(self, *command: bytes | int | float | str) -> Any:
        """One plain command whose first argument behind its name is its key."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
