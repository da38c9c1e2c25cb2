"""What waits to be published, and the task that publishes it while there is something."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.heads import Heads
from vuemantics_ws.core.upload import Event, Verdict
from vuemantics_ws.errors import BadEvent, NotPublished, VuemanticsError
from vuemantics_ws.publisher.telling import MOMENTS, Became, Outcome, Telling

logger = logging.getLogger(__name__)

BATCH = 128
"""Uploads that are published in one round trip."""

REPEATS_AT_ONCE = 3
"""How often what was refused is said again before the interval is kept: two workers at one upload must not spin."""

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 1.0

ENDS_REMEMBERED = 1_024
"""Uploads whose end this process told lately: what its other blocks still say of them is out of date."""

OnFailure = Callable[[NotPublished], None]


class Statistics(NamedTuple):
    """What became of what was said so far.

    ``sent`` was published. ``conflated`` progress was replaced by something newer before it left. ``dropped`` progress was not
    published for another reason: too much was waiting, Redis was away when the publisher closed, the attempt was over, or it
    could not be said at all. ``failed`` counts ends that were reported as :class:`vuemantics_ws.errors.NotPublished`, and
    ``waiting`` the uploads with something still to publish.
    """

    sent: int = 0
    conflated: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, how long and how much; see :class:`vuemantics_ws.publisher.publisher.UploadProgressPublisher`."""

    interval_s: float
    deadline_s: float
    uploads_max: int


class Outgoing:
    """A buffer that is bounded by construction: of each upload the newest progress, or its end.

    Progress leaves once an interval, the first after a silence at once, and ends always at once. While Redis is away everything
    waits, is tried again with backoff and jitter, and newer progress goes on replacing older. Ends are tried until their
    deadline. While nothing waits there is no task and no timer.

    Args:
        on_failure: told of each end that is given up, in the loop's thread.
        dice: for the jitter.
    """

    def __init__(self, heads: Heads, pace: Pace, *, on_failure: OnFailure | None, dice: random.Random) -> None:
        self._heads = heads
        self._pace = pace
        self._on_failure = on_failure
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Telling, None] = {}
        self._deadlines: dict[Telling, asyncio.TimerHandle] = {}
        self._ends: dict[str, tuple[int, int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._next_round_at = 0.0
        self._failures = 0
        self._reason = "redis has not been asked yet"
        self._closed = False
        self.sent = self.conflated = self.dropped = self.failed = 0

    @property
    def statistics(self) -> Statistics:
        return Statistics(self.sent, self.conflated, self.dropped, self.failed, len(self._waiting))

    def push(self, telling: Telling) -> None:
        """Something was said. From any thread; returns at once and never raises."""
        try:
            self._loop.call_soon_threadsafe(self._take_in, telling)
        except RuntimeError:  # the loop is closed
            self._refuse(telling, "its publisher's event loop is closed")

    async def close(self) -> None:
        """Publish what waits: progress in one more try, ends until their deadlines. Nothing is taken in after this."""
        await asyncio.sleep(0)  # what was pushed so far comes in
        self._closed = True
        self._hurry.set()
        task = self._task
        try:
            if task is not None:
                await asyncio.wait({task}, timeout=self._pace.deadline_s)
        finally:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            for telling in list(self._waiting):
                self._refuse(telling, self._reason)
            self._waiting.clear()

    def _take_in(self, telling: Telling) -> None:
        if self._closed:
            self._refuse(telling, "its publisher is closed")
            return
        if telling not in self._waiting and not self._has_room(for_end=telling.end is not None):
            self._refuse(telling, f"the ends of {self._pace.uploads_max} uploads wait already")
            return
        self._waiting[telling] = None
        if telling.end is not None and telling not in self._deadlines:
            self._deadlines[telling] = self._loop.call_later(self._pace.deadline_s, self._give_up, telling)
            if not self._failures:
                self._hurry.set()
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    def _has_room(self, *, for_end: bool) -> bool:
        """An end takes the place of the progress that has waited longest; progress takes nobody's."""
        if len(self._waiting) < self._pace.uploads_max:
            return True
        oldest = next((telling for telling in self._waiting if telling.end is None), None) if for_end else None
        if oldest is None:
            return False
        del self._waiting[oldest]
        self._refuse(oldest, "")
        return True

    async def _work(self) -> None:
        repeats = 0
        try:
            while self._waiting:
                self._hurry.clear()
                must_repeat = await self._publish(self._due(repeating=repeats > 0))
                repeats = repeats + 1 if must_repeat and repeats < REPEATS_AT_ONCE else 0
                if self._waiting and not repeats:
                    await self._pause()
        except Exception as error:
            logger.exception("publishing progress: a fault of ours: %s", type(error).__name__)
        finally:
            self._task = None

    def _due(self, *, repeating: bool) -> list[Telling]:
        """Everything once an interval; in between the ends alone."""
        now = self._loop.time()
        if now < self._next_round_at and not repeating and not self._closed:
            return [telling for telling in self._waiting if telling.end is not None]
        self._next_round_at = now + self._pace.interval_s
        return list(self._waiting)

    async def _pause(self) -> None:
        until = self._next_round_at
        if self._failures:
            if self._closed:
                self._drop_progress()
            backoff_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(self._failures - 1, 8))
            until = self._loop.time() + backoff_s * self._dice.uniform(0.5, 1.0)
        elif self._closed:
            return
        try:
            async with asyncio.timeout_at(until):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _publish(self, due: Sequence[Telling]) -> bool:
        """Publish these, up to the first sign that Redis is away. Returns whether some must be said again."""
        must_repeat = False
        tellings = iter(due)
        while batch := list(islice(tellings, BATCH)):
            asked = [(telling, event) for telling in batch if (event := self._event_of(telling)) is not None]
            answers = await self._ask([event for _, event in asked])
            errors = []
            for (telling, event), answer in zip(asked, answers, strict=True):
                if isinstance(answer, Exception):
                    errors.append(answer)
                    telling.was_not_answered()
                elif telling in self._waiting:  # it may have been given up meanwhile
                    must_repeat |= self._take(telling, event, answer)
            if errors and len(errors) == len(asked):  # one that fails alone does not hold up the others
                self._is_away(errors[0])
                return False
            if asked and self._failures:
                logger.info("progress is published again")
                self._failures = 0
        return must_repeat

    async def _ask(self, events: list[Event]) -> list[Receipt | Exception]:
        if len(events) != 1:
            return await self._heads.publish_all(events) if events else []
        try:
            return [await self._heads.publish(events[0])]
        except VuemanticsError as error:
            return [error]

    def _event_of(self, telling: Telling) -> Event | None:
        if telling not in self._waiting:
            return None  # it was given up meanwhile
        telling.waits_in = None  # before looking: what is said from here on asks for another look
        try:
            event = telling.next_event()
        except BadEvent as error:
            self._cannot_be_said(telling, error)
            event = None
        if event is None:
            self._waiting.pop(telling, None)
        return event

    def _take(self, telling: Telling, event: Event, receipt: Receipt) -> bool:
        """Returns whether it must be said again."""
        ended = self._ends.get(telling.upload_id)
        version = receipt.version
        is_straggler = ended is not None and version is not None and ended[0] == version.attempt and ended[1] > telling.opened
        became = telling.take(receipt, is_straggler=is_straggler)
        if became is Became.TO_REPEAT:
            return True
        if became is Became.DROPPED:
            self.dropped += 1
        else:
            self.sent += 1
        if event.terminal:
            self._remember_end(telling, receipt)
            self._settle(telling, receipt)
        if not telling.has_more:
            self._waiting.pop(telling, None)
            self._count_conflated(telling)
        return False

    def _remember_end(self, telling: Telling, receipt: Receipt) -> None:
        if receipt.verdict is Verdict.STALE or receipt.version is None:
            return
        self._ends.pop(telling.upload_id, None)
        self._ends[telling.upload_id] = receipt.version.attempt, next(MOMENTS)
        if len(self._ends) > ENDS_REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def _is_away(self, error: Exception) -> None:
        self._failures += 1
        self._reason = error.message if isinstance(error, VuemanticsError) else type(error).__name__
        if self._failures == 1:
            logger.warning("progress waits: %s", self._reason)

    def _cannot_be_said(self, telling: Telling, error: BadEvent) -> None:
        if telling.end is not None:
            self._fail(telling, error.message)
        else:
            self.dropped += 1
            if not telling.complained_of:
                telling.complained_of = True
                logger.warning("progress of upload %s is dropped: %s", telling.upload_id, error.message)

    def _drop_progress(self) -> None:
        for telling in [telling for telling in self._waiting if telling.end is None]:
            del self._waiting[telling]
            self._refuse(telling, "")

    def _give_up(self, telling: Telling) -> None:
        self._waiting.pop(telling, None)
        self._fail(telling, f"{self._pace.deadline_s:g} s have passed; {self._reason}")

    def _refuse(self, telling: Telling, reason: str) -> None:
        telling.waits_in = None
        if telling.end is None:
            self.dropped += telling.drop()
            self._count_conflated(telling)
        else:
            self._fail(telling, reason)

    def _fail(self, telling: Telling, reason: str) -> None:
        if telling.settled.done():
            return
        failure = NotPublished(telling.upload_id, reason)
        self.failed += 1
        self._settle(telling, failure)
        if self._on_failure is None:
            logger.error("%s", failure.message)
            return
        try:
            self._on_failure(failure)
        except Exception as error:
            logger.exception("on_failure raised %s", type(error).__name__)

    def _settle(self, telling: Telling, outcome: Outcome) -> None:
        deadline = self._deadlines.pop(telling, None)
        if deadline is not None:
            deadline.cancel()
        if not telling.settled.done():
            telling.settled.set_result(outcome)
        self._count_conflated(telling)

    def _count_conflated(self, telling: Telling) -> None:
        self.conflated += telling.conflated
        telling.conflated = 0
