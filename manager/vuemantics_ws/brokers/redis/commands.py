"""What is asked of Redis, over redis-py: scripts, alone or many at once, and publishing.

Nothing is asked twice behind the caller's back: what was not answered may have been done.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ReadOnlyError, RedisClusterException, RedisError

from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.faults import explain
from vuemantics_ws.brokers.redis.lines import Command, line_to
from vuemantics_ws.errors import BrokerAway

COMMAND_TIMEOUT_S = 2.0
"""How long Redis may take to answer before it counts as away."""

_SCRIPTS = files("vuemantics_ws.brokers.redis") / "scripts"


class Script:
    """A Lua script of ours, by its name in ``scripts/``. ``sha`` is what EVALSHA calls it.

    Args:
        name: of the file.
        after: names of files whose functions it uses; they stand in front of it.
    """

    def __init__(self, name: str, *, after: Sequence[str] = ()) -> None:
        self.name = name
        self.text = "\n".join((_SCRIPTS / f"{part}.lua").read_text(encoding="utf-8") for part in (*after, name))

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Call(NamedTuple):
    """One run of a script. All its keys lie in one slot; the first one says in which."""

    script: Script
    keys: Sequence[bytes]
    arguments: Sequence[bytes | int | float | str]

    def by_sha(self) -> Command:
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.arguments)

    def by_text(self) -> Command:
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.arguments)


class Commands:
    """One client for a server, a master that Sentinels name, or a Redis Cluster.

    Every method raises :class:`vuemantics_ws.errors.BrokerAway` where Redis cannot be reached, does not answer in time, or
    cannot take what it is told (LOADING, OOM, READONLY, CLUSTERDOWN, no permission): the message says which, in words for an
    operator, and quotes no argument. The time to answer counts from the call: waiting for one of the connections, connecting
    and asking Sentinels are part of it. Being cancelled leaves what was asked done or not done.

    Args:
        timeout_s: for each call of a method.
        connections_max: calls that are under way at once; the others wait, first come, first served.
    """

    def __init__(self, address: RedisAddress, *, timeout_s: float = COMMAND_TIMEOUT_S, connections_max: int = 16) -> None:
        self.sharded = address.kind == "cluster"
        self._place = address.place
        self._tls = address.tls
        self._timeout_s = timeout_s
        self._line = line_to(address, timeout_s=timeout_s, connections_max=connections_max)
        self._places = asyncio.Semaphore(connections_max)
        self._publish_name = "SPUBLISH" if self.sharded else "PUBLISH"

    async def run(self, call: Call) -> Any:
        """One script, in one round trip. A server that has forgotten the script is told it again."""
        async with self._asking():
            return _value(await self._run(call))

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Many in one round trip a server, in order. A failed call has its error as its result.

        Where a server cannot be reached, every call to it has that error.
        """
        groups: dict[object, list[int]] = {}
        results: list[Any] = [None] * len(calls)
        try:
            async with self._asking():
                for index, call in enumerate(calls):
                    groups.setdefault(await self._line.place_of(call.keys[0]), []).append(index)
                answered = await asyncio.gather(
                    *(self._run_group([calls[index] for index in group]) for group in groups.values())
                )
        except BrokerAway as error:
            return [error] * len(calls)
        for group, answers in zip(groups.values(), answered, strict=True):
            for index, answer in zip(group, answers, strict=True):
                results[index] = self._explained(answer) if isinstance(answer, Exception) else answer
        return results

    async def publish(self, channel: bytes, payload: bytes) -> int:
        """To a channel of ours (SPUBLISH in a Redis Cluster). Returns how many connections of that server were told."""
        receivers: int = await self.execute(self._publish_name, channel, payload)
        return receivers

    async def execute(self, *command: bytes | int | float | str) -> Any:
        """One plain command whose first argument behind its name is its key."""
        key = command[1]
        async with self._asking():
            return _value((await self._line.send(key if isinstance(key, bytes) else str(key).encode(), [command]))[0])

    async def close(self) -> None:
        await self._line.close()

    async def _run(self, call: Call) -> Any:
        (result,) = await self._line.send(call.keys[0], [call.by_sha()])
        if isinstance(result, NoScriptError):
            (result,) = await self._line.send(call.keys[0], [call.by_text()])
        return result

    async def _run_group(self, calls: Sequence[Call]) -> list[Any]:
        """All to one server. It is told the scripts first: a call that failed for want of one would come after later ones."""
        scripts = {call.script.sha: call.script for call in calls}
        loads: list[Command] = [("SCRIPT", "LOAD", script.text) for script in scripts.values()]
        try:
            results = await self._line.send(calls[0].keys[0], [*loads, *(call.by_sha() for call in calls)])
        except (RedisError, RedisClusterException, OSError) as error:
            return [error] * len(calls)
        results = results[len(loads) :]
        for index, call in enumerate(calls):
            if isinstance(results[index], NoScriptError):
                results[index] = await self._run(call)
        return results

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s), self._places:
                try:
                    yield
                except ReadOnlyError:
                    await self._line.drop()
                    raise
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._explained(error) from None

    def _explained(self, error: BaseException) -> BrokerAway:
        return explain(error, self._place, self._timeout_s, tls=self._tls)


def _value(result: Any) -> Any:
    if isinstance(result, Exception):
        raise result
    return result
