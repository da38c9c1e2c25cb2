"""Keeps what Redis has of an upload and what this process knows of it the same."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from itertools import islice

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.watch import Watch
from vuemantics_ws.errors import BrokerAway

logger = logging.getLogger(__name__)

ASKED_AT_ONCE = 64
"""Uploads in one round trip. Everybody else has a turn after it."""

AGAIN_AFTER_S = 0.1
AGAIN_AFTER_MAX_S = 1.0

RENEWALS = 4
"""How often a head is renewed within its time to live."""


class Upkeep:
    """Reads the heads of watches that know none, reconciles those of the others, and renews them all in their time.

    What is owed is a set, so asking twice costs nothing, and what Redis does not answer is owed still.

    Args:
        read: called with each watch once Redis was asked for it, with what it said or why it said nothing.
    """

    def __init__(
        self,
        heads: Heads,
        *,
        clock: Clock,
        dice: random.Random,
        head_ttl_s: float,
        read: Callable[[Watch, Stored | Exception | None], None],
    ) -> None:
        self._heads = heads
        self._clock = clock
        self._dice = dice
        self._head_ttl_s = head_ttl_s
        self._read = read
        self._unknown: dict[Watch, None] = {}  # somebody may wait for these, so they come first
        self._known: dict[Watch, None] = {}
        self._owed = asyncio.Event()
        self._failed: dict[Watch, None] = {}
        self._again: asyncio.TimerHandle | None = None

    def ask(self, watch: Watch) -> None:
        """Redis may have something else than what is known here."""
        (self._unknown if watch.stored is None else self._known)[watch] = None
        self._owed.set()

    async def work(self) -> None:
        """Ask what is owed, until cancelled."""
        try:
            while True:
                await self._owed.wait()
                try:
                    await self._ask_some()
                except Exception as error:  # noqa: BLE001 - the edge of a task: it goes on with the next ones
                    logger.error("a fault of ours while states of uploads were asked for: %s", type(error).__name__)
                if not (self._unknown or self._known):
                    self._owed.clear()
                await asyncio.sleep(0)
        finally:
            if self._again is not None:
                self._again.cancel()

    async def renew(self, watches: Callable[[], list[Watch]]) -> None:
        """Renew all again and again, a few at a time, until cancelled."""
        period_s = self._head_ttl_s / RENEWALS
        while True:
            every = watches()
            batches = [every[place : place + ASKED_AT_ONCE] for place in range(0, len(every), ASKED_AT_ONCE)] or [[]]
            for batch in batches:
                await asyncio.sleep(period_s / len(batches))
                await self._renew([watch.upload_id for watch in batch if not watch.ended])

    async def _ask_some(self) -> None:
        watches = _take(self._unknown)
        ask = self._ask_unknown
        if not watches:
            watches = _take(self._known)
            ask = self._ask_known
        answers: Sequence[Stored | Exception | None]
        try:
            answers = await ask(watches)
        except Exception as error:  # noqa: BLE001 - whatever Redis keeps, others are asked for all the same
            logger.error("the states of uploads in redis cannot be read: %s", type(error).__name__)
            answers = [error] * len(watches)
        failed = [watch for watch, answer in zip(watches, answers, strict=True) if isinstance(answer, Exception)]
        if failed:
            self._ask_later(failed, all_failed=len(failed) == len(watches))
        for watch, answer in zip(watches, answers, strict=True):
            if not watch.ended:
                self._read(watch, answer)
        await self._renew([watch.upload_id for watch in watches if self._is_old(watch)])

    async def _ask_unknown(self, watches: list[Watch]) -> Sequence[Stored | Exception | None]:
        return await self._heads.read([watch.upload_id for watch in watches], self._clock.monotonic())

    async def _ask_known(self, watches: list[Watch]) -> Sequence[Stored | Exception | None]:
        heads = [(watch.upload_id, watch.stored) for watch in watches if watch.stored is not None]
        return await self._heads.reconcile(heads, self._clock.monotonic())

    def _ask_later(self, failed: list[Watch], *, all_failed: bool) -> None:
        """Redis is away, or what it has of an upload cannot be read: that must not hold up the others."""
        self._failed.update(dict.fromkeys(failed))
        if all_failed:
            for owed in (self._unknown, self._known):
                self._failed.update(owed)
                owed.clear()
        if self._again is None:
            again_s = self._dice.uniform(AGAIN_AFTER_S, AGAIN_AFTER_MAX_S)
            self._again = asyncio.get_running_loop().call_later(again_s, self._ask_again)

    def _ask_again(self) -> None:
        failed, self._failed, self._again = self._failed, {}, None
        for watch in failed:
            self.ask(watch)

    def _is_old(self, watch: Watch) -> bool:
        """Whether its head might be gone before its turn to be renewed comes."""
        stored = watch.stored
        return stored is not None and self._clock.monotonic() - stored.head.accepted_at > self._head_ttl_s / 2

    async def _renew(self, upload_ids: list[str]) -> None:
        if upload_ids:
            try:
                await self._heads.renew(upload_ids)
            except BrokerAway:
                pass  # there are more rounds than one within a time to live
            except Exception as error:  # noqa: BLE001 - as above
                logger.error("a fault of ours while states of uploads were renewed: %s", type(error).__name__)


def _take(owed: dict[Watch, None]) -> list[Watch]:
    watches = list(islice(owed, ASKED_AT_ONCE))
    for watch in watches:
        del owed[watch]
    return [watch for watch in watches if not watch.ended]
