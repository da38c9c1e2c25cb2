"""``UploadProgressPublisher``: a worker with an event loop says how far it is."""

import asyncio
import random
from types import TracebackType
from typing import Self

from vuemantics_ws.ambient import Clock, SystemClock, system_random
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Commands
from vuemantics_ws.brokers.redis.heads import Heads
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.errors import BadSetting, NotPublished
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Message, encode
from vuemantics_ws.publisher.outgoing import OnFailure, Outgoing, Pace, Statistics
from vuemantics_ws.publisher.reporting import FailureText, Reporting, failure_text
from vuemantics_ws.publisher.telling import read_event

DEFAULT_PREFIX = "vuemantics-ws:"


class Line:
    """The way to Redis, open in one event loop."""

    def __init__(self, commands: Commands, heads: Heads, outgoing: Outgoing) -> None:
        self.commands = commands
        self.heads = heads
        self.outgoing = outgoing

    async def close(self) -> None:
        try:
            await self.outgoing.close()
        finally:
            await self.commands.close()


class Publisher:
    """What both publishers are made from.

    Args:
        url: where Redis is: a server, Sentinels or a Redis Cluster; see
            :class:`vuemantics_ws.brokers.redis.address.RedisAddress`. Nothing is asked of it until something is said.
        prefix: of all keys and channels, as the nodes have it.
        deadline_s: how long an end is tried.
        interval_s: how often, at most, progress of an upload leaves.
        uploads_max: of how many uploads something may wait. Then progress of others is dropped; an end takes the place of the
            progress that has waited longest.
        head_ttl_s: how long Redis keeps an upload's newest state.
        on_failure: told of every end that was not published, in the thread of the event loop. By default it is logged, as an
            error.
        failure_text: what people read where an exception ends a block; None says nothing, for a job that is tried again.
            By default it names the exception's type, and quotes nothing.
        dice: for jitter and ids, by default one with a seed of the machine's own.

    Raises:
        BadSetting: the URL is none, or a number is out of its range.
    """

    def __init__(
        self,
        url: str = "redis://localhost",
        *,
        prefix: str = DEFAULT_PREFIX,
        deadline_s: float = 30.0,
        interval_s: float = 0.1,
        uploads_max: int = 10_000,
        head_ttl_s: float = Limits().head_ttl_s,
        on_failure: OnFailure | None = None,
        failure_text: FailureText = failure_text,
        clock: Clock | None = None,
        dice: random.Random | None = None,
    ) -> None:
        for setting, value in (("deadline_s", deadline_s), ("interval_s", interval_s), ("uploads_max", uploads_max)):
            if not value > 0:
                raise BadSetting(f"expected more than 0, got {value!r}", setting=setting)
        self._address = RedisAddress.read(url)
        self._keys = Keys(prefix, database=self._address.database)
        self._pace = Pace(interval_s=interval_s, deadline_s=deadline_s, uploads_max=uploads_max)
        self._head_ttl_s = head_ttl_s
        self._on_failure = on_failure
        self._dice = dice
        self.clock = clock or SystemClock()
        self.failure_text = failure_text

    def _open(self) -> Line:
        """In the loop that is to work on it."""
        dice = self._dice or system_random()
        commands = Commands(self._address)
        heads = Heads(commands, self._keys, head_ttl_s=self._head_ttl_s, dice=dice)
        return Line(commands, heads, Outgoing(heads, self._pace, on_failure=self._on_failure, dice=dice))


class UploadProgressPublisher(Publisher):
    """Says how uploads are doing, from a worker with an event loop. Use it as an async context manager, one a process.

    **Progress** is said and forgotten: it costs a microsecond, waits for nothing and never raises. Of each upload the newest
    waits, and leaves at most every ``interval_s``. Where Redis is away it goes on waiting, and newer replaces older.

    **An end** is published for certain or reported: it is tried until ``deadline_s`` have passed, with backoff and jitter.
    What could not be published is told to ``on_failure``; ``completed`` and ``failed`` of a block raise it as well.

    **Order.** Of one block, what arrives is never older than what arrived before. Two workers at one upload are both heard,
    the later one last; after an end that another one told, progress opens the next attempt
    (:class:`vuemantics_ws.publisher.telling.Telling`).

    Leaving the context publishes what waits: progress in one more try, ends until their deadlines. Being cancelled there
    reports the ends that still wait as not published. It needs its loop to get a turn: in a job that computes without ever
    awaiting, use :class:`vuemantics_ws.SyncUploadProgressPublisher`.
    """

    _line: Line | None = None
    _statistics = Statistics()

    async def __aenter__(self) -> Self:
        """Does not connect yet, so it does not fail where Redis is away."""
        self._line = self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line = self._line
        if line is not None:
            try:
                await line.close()
            finally:
                self._statistics = line.outgoing.statistics
                self._line = None

    def upload(self, upload_id: str, *, owner: str | None = None) -> "PublishedUpload":
        """A block that says how one upload is doing.

        Args:
            owner: who may follow it, where nodes run with ``--access owner``. None leaves it to whom it belongs already.

        Raises:
            BadEvent: no server would take such an id.
        """
        return PublishedUpload(self, upload_id, owner)

    async def publish(self, event: Message | bytes, *, owner: str | None = None) -> Receipt:
        """Publish one event as it is, now and once, and say what the judge said: for whoever handles failures alone.

        Raises:
            BadEvent: the browser would refuse it.
            BrokerAway: Redis could not be asked. Whether it heard is not known; the same again does no harm.
            RuntimeError: the publisher is not open.
        """
        if self._line is None:
            raise RuntimeError("expected an open publisher: use it as an async context manager")
        return await self._line.heads.publish(read_event(event if isinstance(event, bytes) else encode(event), owner))

    @property
    def statistics(self) -> Statistics:
        """What became of what was said so far."""
        return self._line.outgoing.statistics if self._line is not None else self._statistics

    def outgoing(self) -> Outgoing | None:
        return self._line.outgoing if self._line is not None else None


class PublishedUpload(Reporting):
    """A block about one upload: ``async with publisher.upload(upload_id) as upload``.

    It ends the upload as its block ends, unless an end was said already:

    - An exception that leaves it becomes ``upload_failed`` and goes on its way. Being cancelled is one, too, but then the block
      does not wait until that is published.
    - After :meth:`set_result` the end of the block says ``upload_completed`` and waits until it is published. It raises nothing
      where that fails: a job is not to fail because nobody could be told. ``outcome`` says what became of it.
    - Otherwise nothing is said. Another job may go on with the upload; where none does, the nodes' ``stall_after`` ends it.
    """

    async def completed(self, description: str, audit_score: int) -> Receipt:
        """Say what was found, and wait until it is published. Being cancelled stops the waiting, not the publishing.

        Raises:
            NotPublished: it could not be, until the deadline.
        """
        self._say_completed(description, audit_score)
        return await self._published()

    async def failed(self, error_message: str) -> Receipt:
        """Say why it failed, in words for a person, and wait until it is published.

        Raises:
            NotPublished: it could not be, until the deadline.
        """
        self._say_failed(error_message)
        return await self._published()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leave(error):
            await asyncio.shield(asyncio.wrap_future(self._telling.settled))

    async def _published(self) -> Receipt:
        outcome = await asyncio.shield(asyncio.wrap_future(self._telling.settled))
        if isinstance(outcome, NotPublished):
            raise outcome
        return outcome
