"""Heads in Redis, and the judge beside them: one script judges, assigns, keeps and tells, in one round trip."""

from typing import NamedTuple

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.commands import Commands
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Head


class Stored(NamedTuple):
    """A head as Redis keeps it. ``incarnation`` is the random id of the moment when it found none before it."""

    head: Head
    incarnation: bytes


class Heads:
    """Publishing and reading. ``now`` in each method is our monotonic time, in which a head's ``accepted_at`` is given."""

    def __init__(self, commands: Commands, keys: Keys, *, head_ttl_s: float) -> None:
        raise NotImplementedError

    async def publish(self, event: Event) -> Receipt:
        raise NotImplementedError

    async def publish_all(self, events: list[Event]) -> list[Receipt | Exception]:
        """In order, in one round trip a server."""
        raise NotImplementedError

    async def read(self, upload_ids: list[str], now: float) -> list[Stored | Exception | None]:
        raise NotImplementedError

    async def reconcile(self, heads: list[tuple[str, Stored]], now: float) -> list[Stored | Exception]:
        """Give Redis what this process knows, as SEMANTICS.md section 6 has it. Returns what is stored after it."""
        raise NotImplementedError

    async def renew(self, upload_ids: list[str]) -> None:
        """Keep these heads for another time to live."""
        raise NotImplementedError


def read_state(message: bytes, now: float) -> Stored:
    """What was told on an upload's channel. On the hot path: a header line, then the bytes that leave for the browser."""
    raise NotImplementedError
