"""Hears the application's own publisher, which knows neither versions nor verdicts, and gives its messages both."""

import asyncio
import logging
import random
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Adopted, Receipt
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Commands
from vuemantics_ws.brokers.redis.faults import cure_of
from vuemantics_ws.brokers.redis.heads import Heads
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.subscriptions import Condition, Subscriptions
from vuemantics_ws.core.upload import Event
from vuemantics_ws.errors import BadEvent, BrokerAway

logger = logging.getLogger(__name__)

ADOPTED_AT_ONCE = 64
"""Messages in one round trip. Everybody else has a turn after it."""

BEHIND_MAX_S = 30.0
"""What may be older is not adopted: digests are remembered for twice as long, and without its digest it would be news."""

BACKLOG_BYTES_MAX = 16 * 1024 * 1024

MARK_EVERY_S = 2.0

AGAIN_AFTER_S = 0.1
AGAIN_AFTER_MAX_S = 1.0

COMPLAIN_EVERY_S = 60.0


class Plain(NamedTuple):
    """A message as it was heard. It was published after ``since``, in monotonic seconds."""

    channel: bytes
    payload: bytes
    since: float


class Adopter:
    """Passes every plain message through the judge, in the order in which it was heard.

    Any number of adopters hear the same messages and submit each; the judge remembers what it has judged, so one of them is
    accepted and the others are duplicates. That holds for a minute, so an adopter must know how old a message is: it publishes
    marks, which travel the same way, and whatever is heard before the next mark was published after the last one. What may be
    older than ``behind_max_s`` is dropped: a process that was stopped for a while, or a Redis that hung, leaves it to the
    others. What was published while an adopter was not connected, no one can tell it; another adopter has it.

    Args:
        changed: called when ``condition`` turns.

    Attributes:
        told: called with each message that was judged, and its receipt.
        counts: what became of the messages: verdicts, and why some were not judged.
    """

    def __init__(
        self,
        address: RedisAddress,
        commands: Commands,
        heads: Heads,
        keys: Keys,
        *,
        plain_prefix: str,
        node_id: str,
        event_bytes_max: int,
        clock: Clock,
        dice: random.Random,
        changed: Callable[[], None],
        behind_max_s: float = BEHIND_MAX_S,
    ) -> None:
        self._told_changed = changed
        self._commands = commands
        self._heads = heads
        self._channel_prefix = f"{plain_prefix}upload:".encode()
        self._mark_channel = keys.canary_channel(f"{node_id}-mark", 0)
        self._event_bytes_max = event_bytes_max
        self._clock = clock
        self._dice = dice
        self._behind_max_s = behind_max_s
        self._subscriptions = Subscriptions(
            address,
            canary_channel=lambda number: keys.canary_channel(f"{node_id}-adopter", number),
            send_canary=self._send_canary,
            read_ended=lambda: None,
            changed=self._changed,
            dice=dice,
        )
        self.counts: Counter[str] = Counter()
        self.told: Adopted = _nobody_listens
        self._complained_at: dict[str, float] = {}
        self._is_refused = False
        self._since = clock.monotonic()
        self._backlog: deque[Plain] = deque()
        self._backlog_bytes = 0
        self._some = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._subscriptions.subscribe_pattern(_literally(self._channel_prefix) + b"*", self)
        self._subscriptions.subscribe_pattern(_literally(self._mark_channel), _Mark(self))
        self._subscriptions.start()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._mark())]

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await self._subscriptions.stop()
        self._backlog.clear()

    @property
    def condition(self) -> Condition:
        """How its connection is. Its gaps are not made good: what was published meanwhile another adopter has, or nobody."""
        return self._subscriptions.condition

    def _changed(self) -> None:
        """Say what is refused us. Nobody else may notice: a user of Redis can be let to do all but this."""
        condition = self.condition
        was_refused = self._is_refused
        cure = None if condition.connected else cure_of(condition.reason or "")
        self._is_refused = cure is not None
        if self._is_refused and not was_refused:
            logger.warning("plain publishers are not heard: %s; hint: %s", condition.reason, cure)
        self._told_changed()

    # What is heard.

    def on_message(self, channel: bytes, payload: bytes) -> None:
        self._backlog.append(Plain(channel, payload, self._since))
        self._backlog_bytes += len(payload)
        while self._backlog_bytes > BACKLOG_BYTES_MAX:
            self._backlog_bytes -= len(self._backlog.popleft().payload)
            self._refuse("overflow")
        self._some.set()

    def on_subscribed(self) -> None:
        self._since = self._clock.monotonic()

    def on_mark(self, published_at: float) -> None:
        """Whatever is heard from now on was published after this."""
        self._since = published_at

    async def _mark(self) -> None:
        while True:
            try:
                await self._commands.execute("PUBLISH", self._mark_channel, repr(self._clock.monotonic()))
            except BrokerAway:
                pass  # what is heard grows old meanwhile
            except Exception as error:  # noqa: BLE001 - the edge of a task: without marks all that is heard would count as old
                logger.error("a fault of ours while plain messages were marked: %s", type(error).__name__)
            await asyncio.sleep(MARK_EVERY_S)

    async def _send_canary(self, channel: bytes, payload: bytes) -> None:
        await self._commands.publish(channel, payload)

    # What becomes of it.

    async def _work(self) -> None:
        while True:
            await self._some.wait()
            try:
                await self._adopt(list(self._take()))
            except Exception as error:  # noqa: BLE001 - what cannot be adopted must not silence what follows
                logger.error("plain messages were not adopted: a fault of ours: %s", type(error).__name__)
            if not self._backlog:
                self._some.clear()
            await asyncio.sleep(0)

    def _take(self) -> Iterator[tuple[Event, float]]:
        for _ in range(min(ADOPTED_AT_ONCE, len(self._backlog))):
            plain = self._backlog.popleft()
            self._backlog_bytes -= len(plain.payload)
            if len(plain.payload) > self._event_bytes_max:
                self._refuse("too_big", f"expected at most {self._event_bytes_max} bytes, got {len(plain.payload)}")
                continue
            try:
                event = Event.read(plain.payload)
            except BadEvent as error:
                self._refuse("bad_event", error.message)
                continue
            if plain.channel == self._channel_prefix + event.upload_id.encode():
                yield event, plain.since
            else:
                self._refuse("another_upload", "expected the channel of the upload that the event is about")

    async def _adopt(self, events: list[tuple[Event, float]]) -> None:
        """Submit these until Redis has answered for each, or it is too old."""
        while events := [(event, since) for event, since in events if self._is_fresh(since)]:
            answers: list[Receipt | Exception]
            try:
                answers = await self._heads.publish_all([event for event, _ in events])
            except BrokerAway as error:
                answers = [error] * len(events)
            events = list(self._unanswered(events, answers))
            if events:
                await asyncio.sleep(self._dice.uniform(AGAIN_AFTER_S, AGAIN_AFTER_MAX_S))

    def _is_fresh(self, since: float) -> bool:
        fresh = self._clock.monotonic() - since <= self._behind_max_s
        if not fresh:
            self._refuse("late")
        return fresh

    def _unanswered(
        self, events: list[tuple[Event, float]], answers: list[Receipt | Exception]
    ) -> Iterator[tuple[Event, float]]:
        """Those to submit again. Not one that something later of its upload has overtaken: it would go back."""
        judged_until = {
            event.upload_id: place
            for place, ((event, _), answer) in enumerate(zip(events, answers, strict=True))
            if isinstance(answer, Receipt)
        }
        for place, ((event, since), answer) in enumerate(zip(events, answers, strict=True)):
            if isinstance(answer, Receipt):
                self.counts[answer.verdict.value] += 1
                self.told(event, answer)
            elif not isinstance(answer, BrokerAway):
                self._refuse(type(answer).__name__)
            elif place < judged_until.get(event.upload_id, 0):
                self._refuse("overtaken")
            else:
                yield event, since

    def _refuse(self, reason: str, why: str = "") -> None:
        """Count what is not adopted, and say so once a minute, with what is wrong with the one at hand."""
        self.counts[reason] += 1
        now = self._clock.monotonic()
        complained_at = self._complained_at.get(reason)
        if complained_at is None or now - complained_at >= COMPLAIN_EVERY_S:
            self._complained_at[reason] = now
            said = f"{reason}, {why}" if why else reason
            logger.warning("plain messages are not adopted: %s; %d so far", said, self.counts[reason])


class _Mark:
    """Hears the marks, which hold the time at which they were published."""

    def __init__(self, adopter: Adopter) -> None:
        self._adopter = adopter

    def on_message(self, channel: bytes, payload: bytes) -> None:
        self._adopter.on_mark(float(payload))

    def on_subscribed(self) -> None:
        """The first mark follows."""


def _literally(name: bytes) -> bytes:
    """A pattern that matches this and nothing else."""
    return re.sub(rb"([*?\[\]\\])", rb"\\\1", name)


def _nobody_listens(event: Event, receipt: Receipt) -> None:
    """Until somebody does."""
