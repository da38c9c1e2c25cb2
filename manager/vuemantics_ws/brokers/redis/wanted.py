"""What is wanted of Redis, and by whom."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class Subscriber(Protocol):
    """Whoever wants to hear a channel. Plain calls in the loop's thread, which return at once and raise nothing."""

    def on_message(self, payload: bytes) -> None:
        """Something was published. It may come before ``on_subscribed``, where the channel was heard for somebody else."""
        ...

    def on_subscribed(self) -> None:
        """From now on everything arrives. Each call after the first says that a gap has just ended."""
        ...


class PatternSubscriber(Protocol):
    """Whoever wants to hear all channels that match; the rules of :class:`Subscriber`."""

    def on_message(self, channel: bytes, payload: bytes) -> None:
        """Something was published on a channel that matches."""
        ...

    def on_subscribed(self) -> None:
        """From now on everything arrives. Each call after the first says that a gap has just ended."""
        ...


class Kind(NamedTuple):
    """The commands of one kind of subscription; their confirmations are called the same in lower case."""

    subscribe: bytes
    unsubscribe: bytes


CHANNEL = Kind(b"SUBSCRIBE", b"UNSUBSCRIBE")
SHARDED = Kind(b"SSUBSCRIBE", b"SUNSUBSCRIBE")
PATTERN = Kind(b"PSUBSCRIBE", b"PUNSUBSCRIBE")


class Wanted:
    """One call of subscribe. Asking for the same channel again makes another one, with confirmations of its own."""

    __slots__ = ("kind", "name", "on_message", "on_subscribed")

    def __init__(self, kind: Kind, name: bytes, subscriber: Subscriber | PatternSubscriber) -> None:
        self.kind = kind
        self.name = name
        self.on_message: Callable[..., Any] = subscriber.on_message
        self.on_subscribed = subscriber.on_subscribed
