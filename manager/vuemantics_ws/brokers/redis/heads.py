"""Heads in Redis, and the judge beside them: one script judges, assigns, keeps and tells, in one round trip."""

import random
from binascii import unhexlify
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Head, Verdict, Version
from vuemantics_ws.frame import Frame

_NONE = "-"


class Stored(NamedTuple):
    """A head as Redis keeps it. ``incarnation`` is the random id of the moment when it found none before it."""

    head: Head
    incarnation: bytes


class Heads:
    """Publishing and reading. ``now`` in each method is our monotonic time, in which a head's ``accepted_at`` is given.

    Raises:
        BrokerAway: Redis cannot be asked; see :class:`Commands`. Methods that ask for many return it in the place of each.

    Args:
        head_ttl_s: how long a head is kept after the last event or renewal.
        dice: makes incarnations.
    """

    def __init__(self, commands: Commands, keys: Keys, *, head_ttl_s: float, dice: random.Random) -> None:
        self._commands = commands
        self._keys = keys
        self._ttl_s = max(1, round(head_ttl_s))
        self._dice = dice
        self._tell = "SPUBLISH" if commands.sharded else "PUBLISH"
        self._publish = Script("publish", after=["judge"])
        self._read = Script("read", after=["judge"])
        self._reconcile = Script("reconcile", after=["judge"])
        self._renew = Script("renew", after=["judge"])

    async def publish(self, event: Event) -> Receipt:
        """Judge, keep and tell, as one step. Being cancelled leaves either all of it done or nothing."""
        return _receipt(await self._commands.run(self._publish_call(event)))

    async def publish_all(self, events: Sequence[Event]) -> list[Receipt | Exception]:
        """In order, in one round trip a server."""
        answers = await self._commands.run_all([self._publish_call(event) for event in events])
        return [answer if isinstance(answer, Exception) else _receipt(answer) for answer in answers]

    async def read(self, upload_ids: Sequence[str], now: float) -> list[Stored | Exception | None]:
        """The newest states; None where there is none."""
        answers = await self._commands.run_all([self._call(self._read, upload_id) for upload_id in upload_ids])
        return [_state_of(answer, now) for answer in answers]

    async def reconcile(self, heads: Sequence[tuple[str, Stored]], now: float) -> list[Stored | Exception]:
        """Give Redis what this process knows, as SEMANTICS.md section 6 has it. Returns what is stored after it."""
        calls = [self._reconcile_call(upload_id, stored, now) for upload_id, stored in heads]
        answers = await self._commands.run_all(calls)
        return [answer if isinstance(answer, Exception) else read_state(answer, now) for answer in answers]

    async def renew(self, upload_ids: Sequence[str]) -> None:
        """Keep these heads for another time to live."""
        calls = [self._call(self._renew, upload_id, self._ttl_s) for upload_id in upload_ids]
        for answer in await self._commands.run_all(calls):
            if isinstance(answer, Exception):
                raise answer

    def _call(self, script: Script, upload_id: str, *arguments: bytes | int | float | str) -> Call:
        return Call(script, (self._keys.head(upload_id), self._keys.digests(upload_id)), arguments)

    def _telling(self, upload_id: str) -> tuple[bytes | int | str, ...]:
        """What a script that may tell is given first."""
        return self._keys.state_channel(upload_id), self._tell, self._ttl_s, f"{self._dice.getrandbits(64):016x}"

    def _publish_call(self, event: Event) -> Call:
        return self._call(
            self._publish,
            event.upload_id,
            *self._telling(event.upload_id),
            *(event.version or (0, 0)),
            _flags(event.terminal, event.version is not None, event.presumed),
            _written_owner(event.owner),
            event.digest.hex(),
            event.outcome.hex() if event.outcome else _NONE,
            int(event.queued),
            event.published,
        )

    def _reconcile_call(self, upload_id: str, stored: Stored, now: float) -> Call:
        head = stored.head
        return self._call(
            self._reconcile,
            upload_id,
            *self._telling(upload_id),
            *head.version,
            _flags(head.terminal, head.versioned, head.presumed),
            _written_owner(head.owner),
            head.digest.hex(),
            head.outcome.hex() if head.outcome else _NONE,
            max(0, round((now - head.accepted_at) * 1000)),
            head.frame.payload,
            stored.incarnation,
        )


def read_state(message: bytes, now: float) -> Stored:
    """What was told on an upload's channel. On the hot path: a header line, then the bytes that leave for the browser.

    Raises:
        ValueError: it is nothing that a script of ours told.
    """
    attempt, seq, flags, incarnation, age_ms, digest, outcome, rest = message.split(b" ", 7)
    owner, payload = rest.split(b"\n", 1)
    head = Head(
        Version(int(attempt), int(seq)),
        b"t" in flags,
        Frame(payload),
        _read_owner(owner) if owner else None,
        unhexlify(digest),
        None if outcome == b"-" else unhexlify(outcome),
        now - int(age_ms) / 1000,
        b"p" in flags,
        b"v" in flags,
    )
    return Stored(head, incarnation)


def _state_of(answer: Any, now: float) -> Stored | Exception | None:
    if answer is None or isinstance(answer, Exception):
        return answer
    return read_state(answer, now)


def _receipt(answer: list[Any]) -> Receipt:
    verdict, attempt, seq, receivers, owned = answer
    return Receipt(Verdict(verdict.decode()), Version(int(attempt), int(seq)), receivers, bool(owned))


def _flags(terminal: bool, versioned: bool, presumed: bool) -> str:
    return "t" * terminal + "v" * versioned + "p" * presumed or _NONE


def _written_owner(owner: str | None) -> str:
    """In one line, whatever an application's user ids look like."""
    return quote(owner, safe="@/:+ ") if owner else ""


def _read_owner(owner: bytes) -> str:
    return unquote(owner.decode()) if b"%" in owner else owner.decode()
