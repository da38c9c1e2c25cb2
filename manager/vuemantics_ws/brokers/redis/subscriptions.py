"""What Redis tells us: channels, over connections of our own whose reader is hiredis (the hot path).

Which channels are wanted is a set; the connections follow it. A lost connection is opened again and everything that is wanted
subscribed anew; whoever subscribed is told, because what was published meanwhile is lost to Redis.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, Protocol

from vuemantics_ws.brokers.redis.address import RedisAddress


class Subscriber(Protocol):
    """Whoever wants to hear a channel. Plain calls in the loop's thread, which return at once and raise nothing."""

    def on_message(self, payload: bytes) -> None:
        """Something was published."""
        ...

    def on_subscribed(self) -> None:
        """From now on everything arrives. Each call after the first says that a gap has just ended."""
        ...


class Condition(NamedTuple):
    """How the connections are.

    ``since`` is monotonic: when it became so. ``lag_s`` is how long the last canary took, None before the first one.
    ``gaps`` counts the connections that were lost after they had been whole.
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
        changed: called when ``condition`` turns.
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
        raise NotImplementedError

    def start(self) -> None:
        """Begin to connect, again and again until it succeeds. Needs a running loop."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Nobody is told anything after this."""
        raise NotImplementedError

    def subscribe(self, channel: bytes, subscriber: Subscriber, *, kind: Literal["channel", "pattern"] = "channel") -> None:
        """Want a channel. Many in one turn of the loop become one command. ``on_subscribed`` follows when it is heard.

        A pattern's ``on_message`` gets what matches; patterns are heard on one server of a Redis Cluster, which hears all.
        """
        raise NotImplementedError

    def unsubscribe(self, channel: bytes) -> None:
        """Want it no more. The subscriber is told nothing after this returns."""
        raise NotImplementedError

    @property
    def condition(self) -> Condition:
        raise NotImplementedError
