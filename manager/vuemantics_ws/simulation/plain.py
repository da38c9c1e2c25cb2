"""Publishers that know nothing of this project: they say ``PUBLISH upload:<id>`` to Redis, and are told nothing.

What became of their events is heard where nodes hear it, on the channels of states. An event that nobody adopted is not heard.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from vuemantics_ws.brokers.redis.heads import read_state
from vuemantics_ws.client.control import Receipt
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.redis_line import RedisLine

HEARD_WITHIN_S = 1.0
"""An event of which nothing has been heard for so long was refused, or nobody adopted it."""

RETURNS_AFTER_S = 0.01
"""How soon the listener comes back to a Redis that is gone: long before any node does, so that it misses nothing."""

SETTLES_S = 0.25
"""Where Redis has lost its data, an event may be given another version as soon as nodes have told what they know."""

DIRECT = b"!"
"""How a message begins that is no state."""


def settles_s(plan: Plan) -> float:
    """How long after an event of a run was first heard of its version may still change."""
    return SETTLES_S if any(fault.forgets for fault in plan.faults) else 0.0


class Hearing:
    """What is heard of the events of plain publishers.

    Args:
        settles_s: as :func:`settles_s` has it.
    """

    def __init__(self, *, settles_s: float = 0.0) -> None:
        self._settles_s = settles_s
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._newest: dict[bytes, Receipt] = {}
        """Both by the digest of an event."""

    def expect(self, digest: bytes) -> bool:
        """An event is said. Whether anything will be heard of it: of a copy nothing is."""
        is_copy = digest in self._waiting
        if not is_copy:
            self._waiting[digest] = asyncio.get_running_loop().create_future()
        return not is_copy

    def hear(self, head: Head) -> None:
        """This is a state."""
        self._newest[head.digest] = Receipt("", "accepted", head.version.attempt, head.version.seq, None)
        waiting = self._waiting.get(head.digest)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def heard(self, digest: bytes) -> Receipt | None:
        """What became of an event; None where nothing was heard in time."""
        await asyncio.wait([self._waiting[digest]], timeout=HEARD_WITHIN_S)
        if digest in self._newest:
            await asyncio.sleep(self._settles_s)
        return self._newest.get(digest)


class PlainPublishers:
    """Publishes for all plain workers of a run, and listens to what comes of it. Use it as an async context manager."""

    def __init__(self, host: str, port: int, *, redis_prefix: str, settles_s: float = 0.0) -> None:
        self._speaking = RedisLine(host, port)
        self._listening = RedisLine(host, port)
        self._pattern = f"{redis_prefix}state:*"
        self._events = Hearing(settles_s=settles_s)
        self._hearing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._listening.ask("PSUBSCRIBE", self._pattern)
        self._hearing = asyncio.get_running_loop().create_task(self._hear())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait([self._hearing])
        self._listening.hang_up()
        self._speaking.hang_up()

    async def publish(self, event: bytes) -> bytes | None:
        """Say it, and go on. Returns by what to ask for what became of it; None for a copy, of which nothing will be heard.

        What Redis does not take is lost: such a publisher tries nothing again.
        """
        read = Event.read(event)
        is_news = self._events.expect(read.digest)
        with contextlib.suppress(EnvironmentUnfit):  # which it logs and forgets
            await self._speaking.ask("PUBLISH", f"upload:{read.upload_id}", event)
        return read.digest if is_news else None

    async def heard(self, digest: bytes) -> Receipt | None:
        return await self._events.heard(digest)

    async def _hear(self) -> None:
        while True:
            try:
                said = await self._listening.next()
            except EnvironmentUnfit:
                await self._return()
                continue
            if (
                isinstance(said, list)
                and said[0] == b"pmessage"
                and isinstance(said[3], bytes)
                and not said[3].startswith(DIRECT)
            ):
                self._events.hear(read_state(said[3], 0.0).head)

    async def _return(self) -> None:
        while True:
            try:
                await self._listening.ask("PSUBSCRIBE", self._pattern)
            except EnvironmentUnfit:
                await asyncio.sleep(RETURNS_AFTER_S)
            else:
                return
