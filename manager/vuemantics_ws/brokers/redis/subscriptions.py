"""What Redis tells us: channels, over connections of our own whose reader is hiredis (the hot path).

Which channels are wanted is a set; the connections follow it. A lost connection is opened again and everything that is wanted
subscribed anew; whoever subscribed is told, because what was published meanwhile is lost to Redis.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.canary import Canary
from vuemantics_ws.brokers.redis.feed import Feed
from vuemantics_ws.brokers.redis.link import Link
from vuemantics_ws.brokers.redis.sentinels import connect_to_master
from vuemantics_ws.brokers.redis.sharded import Sharded
from vuemantics_ws.brokers.redis.wanted import CHANNEL, PATTERN, SHARDED, PatternSubscriber, Subscriber, Wanted

logger = logging.getLogger(__name__)

__all__ = ["Condition", "PatternSubscriber", "Subscriber", "Subscriptions"]


class Condition(NamedTuple):
    """How the connections are.

    ``since`` is monotonic: when it became so. ``lag_s`` is how long the last canary took, None before the first one.
    ``gaps`` counts how often something may have been missed: a connection lost after it had been whole, or channels that moved.
    """

    connected: bool
    since: float
    reason: str | None
    lag_s: float | None
    gaps: int


class Subscriptions:
    """All that one process hears from Redis.

    Args:
        address: a server, Sentinels, or a Redis Cluster, where channels are sharded (SSUBSCRIBE).
        canary_channel: a channel nobody else uses, made from a number: one for each server that we are connected to.
        send_canary: publishes on such a channel. What it raises counts as not heard.
        read_ended: called once everything that one read brought has been told.
        changed: called when ``condition`` turns: from or to connected, or to another reason.
        dice: for the jitter of the backoff.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        canary_channel: Callable[[int], bytes],
        send_canary: Callable[[bytes, bytes], Awaitable[None]],
        read_ended: Callable[[], None],
        changed: Callable[[], None],
        dice: random.Random,
        canary_interval_s: float = 2.0,
        canary_timeout_s: float = 3.0,
    ) -> None:
        self._address = address
        self._send_canary = send_canary
        self._read_ended = read_ended
        self._changed = changed
        self._dice = dice
        self._canary_interval_s = canary_interval_s
        self._canary_timeout_s = canary_timeout_s
        self._kind = SHARDED if address.kind == "cluster" else CHANNEL
        self._source: Feed | Sharded
        if address.kind == "cluster":
            self._source = Sharded(
                address, canary_channel=canary_channel, make_feed=self._feed_of, turned=self._turned, dice=dice
            )
        else:
            self._source = self._feed(self._connect, lambda: canary_channel(0), self._turned, _nobody)
        self._state = self._source.state
        self._since = 0.0

    def start(self) -> None:
        """Begin to connect, again and again until it succeeds. Needs a running loop."""
        self._since = asyncio.get_running_loop().time()
        self._source.start()

    async def stop(self) -> None:
        """Nobody is told anything after this."""
        self._changed = _nothing
        ending = self._source.stop()
        if ending:
            await asyncio.wait(ending)

    def subscribe(self, channel: bytes, subscriber: Subscriber) -> None:
        """Want a channel. Many in one turn of the loop become one command. ``on_subscribed`` follows when it is heard.

        Where somebody wants it already, the new subscriber takes the place of the former, who is told nothing more.
        """
        self._source.want(Wanted(self._kind, channel, subscriber))

    def unsubscribe(self, channel: bytes) -> None:
        """Want it no more. The subscriber is told nothing after this returns."""
        self._source.forget(self._kind, channel)

    def subscribe_pattern(self, pattern: bytes, subscriber: PatternSubscriber) -> None:
        """Want all that plain PUBLISH tells on channels that match. One server of a Redis Cluster hears all of it."""
        self._source.want(Wanted(PATTERN, pattern, subscriber))

    def unsubscribe_pattern(self, pattern: bytes) -> None:
        """Want it no more."""
        self._source.forget(PATTERN, pattern)

    @property
    def condition(self) -> Condition:
        state = self._source.state
        return Condition(state.whole, self._since, state.reason, state.lag_s, state.gaps)

    async def _connect(self) -> Link:
        if self._address.kind == "sentinel":
            return await connect_to_master(self._address)
        return await Link.open(self._address, None if self._address.path is not None else self._address.endpoints[0])

    def _feed_of(
        self,
        endpoint: Endpoint,
        choose_canary: Callable[[], bytes],
        turned: Callable[[], None],
        moved: Callable[[list[Wanted]], None],
    ) -> Feed:
        return self._feed(lambda: Link.open(self._address, endpoint), choose_canary, turned, moved)

    def _feed(
        self,
        connect: Callable[[], Awaitable[Link]],
        choose_canary: Callable[[], bytes],
        turned: Callable[[], None],
        moved: Callable[[list[Wanted]], None],
    ) -> Feed:
        canary = Canary(
            choose_canary,
            self._send_canary,
            interval_s=self._canary_interval_s,
            timeout_s=self._canary_timeout_s,
            dice=self._dice,
        )
        return Feed(
            connect,
            kind=self._kind,
            canary=canary,
            read_ended=self._read_ended,
            turned=turned,
            moved=moved,
            dice=self._dice,
        )

    def _turned(self) -> None:
        former, self._state = self._state, self._source.state
        if self._state.whole != former.whole:
            self._since = asyncio.get_running_loop().time()
        if (self._state.whole, self._state.reason) != (former.whole, former.reason):
            try:
                self._changed()
            except Exception as error:  # noqa: BLE001 - whoever is told must not end what would connect again
                logger.error("a fault of ours while it was told how redis is: %s", type(error).__name__)


def _nothing() -> None:
    pass


def _nobody(_: list[Wanted]) -> None:
    """Outside a Redis Cluster nothing moves."""
