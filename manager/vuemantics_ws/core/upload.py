"""An upload's newest state, and the judge that decides what may become it (SEMANTICS.md section 1)."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from msgspec import UNSET

from vuemantics_ws.errors import BadMessage
from vuemantics_ws.frame import Frame
from vuemantics_ws.messages import (
    VERSION_NUMBER_MAX,
    Stage,
    UploadProgress,
    outcome_of,
    read_server_message,
    read_upload_message,
    with_version,
)

STRAGGLER_WINDOW_S = 10.0
"""For this long after an end, progress without a version that is not ``queued`` is a straggler of the attempt that ended."""

DIGESTS_KEPT = 64
DIGESTS_KEPT_S = 60.0
DIGESTS_MAX = 4_096
"""Of an upload, the last 64 digests are remembered and all of the last 60 s, but never more than 4,096."""


class Version(NamedTuple):
    """Where an event stands in its upload's history. Tuples compare as versions do: by attempt, then by seq."""

    attempt: int
    seq: int


class Verdict(StrEnum):
    """What became of a published event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    STALE = "stale"
    AFTER_TERMINAL = "after_terminal"

    @property
    def is_success(self) -> bool:
        """Whether a publisher may go on: a duplicate is known already, which is what was wanted."""
        return self in (Verdict.ACCEPTED, Verdict.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Event:
    """One published message, and what the judge needs to know of it.

    Attributes:
        version: as published, or None.
        terminal: it is ``upload_completed`` or ``upload_failed``. (Progress with status ``completed`` is progress.)
        queued: it is progress at stage ``queued``, which opens a run.
        published: the bytes as published. Digest and equality are of these.
        owner: who may follow the upload, as the publisher says beside the event; None where it says nothing.
        digest: of ``published``.
        outcome: of a terminal event, the digest of what it says beside when; else None.
        presumed: no worker said it. It is an end that was made because the worker fell silent.
    """

    upload_id: str
    version: Version | None
    terminal: bool
    queued: bool
    published: bytes
    owner: str | None
    digest: bytes
    outcome: bytes | None
    presumed: bool = False

    @classmethod
    def read(cls, published: bytes, *, owner: str | None = None, presumed: bool = False) -> "Event":
        """Read what a publisher sent.

        Raises:
            BadEvent: the browser would refuse it, or a publisher may not say it.
        """
        message = read_upload_message(published)
        progress = isinstance(message, UploadProgress)
        return cls(
            upload_id=message.upload_id,
            version=None if message.attempt is UNSET else Version(message.attempt, message.seq),  # type: ignore[arg-type]
            terminal=not progress,
            queued=isinstance(message, UploadProgress) and message.payload.stage is Stage.QUEUED,
            published=published,
            owner=owner,
            digest=_digest(published),
            outcome=None if progress else _digest(outcome_of(published)),
            presumed=presumed,
        )


def claims_event(payload: bytes) -> bool:
    """Whether a message claims to be one of those that only the judge may let through, well-formed or not."""
    try:
        return read_server_message(payload)["action"] in ("upload_progress", "upload_completed", "upload_failed")
    except BadMessage:
        return False


class Head(NamedTuple):
    """The newest accepted event of an upload. Immutable, and shared by everybody who holds it.

    ``frame`` is what leaves for the browser, ``accepted_at`` the monotonic time in seconds at which the event was accepted.
    ``presumed`` is an event's: after such an end no event is a straggler, because the worker may only have been slow.
    ``versioned`` says that the event named its version itself.
    """

    version: Version
    terminal: bool
    frame: Frame
    owner: str | None
    digest: bytes
    outcome: bytes | None
    accepted_at: float
    presumed: bool
    versioned: bool


class Judgement(NamedTuple):
    """A verdict, with the version that the event got where it was accepted, else the head's (None where there is none)."""

    verdict: Verdict
    version: Version | None


def judge(head: Head | None, event: Event, age_s: float, *, remembered: bool) -> Judgement:
    """What becomes of an event that meets this head.

    Args:
        age_s: how long ago the head was accepted.
        remembered: an event without a version and with this digest was judged before.
    """
    if event.version is not None:
        return _judge_versioned(head, event, event.version)
    if remembered:
        return Judgement(Verdict.DUPLICATE, head.version if head else None)
    if head is None:
        return Judgement(Verdict.ACCEPTED, Version(1, 1))
    attempt, seq = head.version
    if not head.terminal:
        return _accept_above(head, Version(attempt, seq + 1))
    if event.terminal and event.outcome == head.outcome:
        return Judgement(Verdict.DUPLICATE, head.version)
    if event.terminal or event.queued or head.presumed or age_s >= STRAGGLER_WINDOW_S:
        return _accept_above(head, Version(attempt + 1, 1))
    return Judgement(Verdict.AFTER_TERMINAL, head.version)


def _judge_versioned(head: Head | None, event: Event, version: Version) -> Judgement:
    if head is None:
        return Judgement(Verdict.ACCEPTED, version)
    if version == head.version and event.digest == head.digest:
        return Judgement(Verdict.DUPLICATE, head.version)
    if version <= head.version:
        return Judgement(Verdict.STALE, head.version)
    if head.terminal and version.attempt == head.version.attempt:
        return Judgement(Verdict.AFTER_TERMINAL, head.version)
    return Judgement(Verdict.ACCEPTED, version)


def _accept_above(head: Head, version: Version) -> Judgement:
    """Accept, unless a publisher has used up the numbers: then nothing stands above the head, and all that comes is stale."""
    if max(version) > VERSION_NUMBER_MAX:
        return Judgement(Verdict.STALE, head.version)
    return Judgement(Verdict.ACCEPTED, version)


class Upload:
    """The head of one upload with the digests of what was judged, as a broker keeps them."""

    __slots__ = ("_digests", "head")

    def __init__(self) -> None:
        self.head: Head | None = None
        self._digests: dict[bytes, float] = {}  # oldest first

    def judge(self, event: Event, now: float) -> Judgement:
        """Judge an event and take it as the head if it is accepted. ``now`` is monotonic, in seconds."""
        head = self.head
        age_s = now - head.accepted_at if head else 0.0
        remembered = event.version is None and self.remembers(event.digest, now)
        judgement = judge(head, event, age_s, remembered=remembered)
        if judgement.verdict is Verdict.ACCEPTED:
            assert judgement.version is not None
            self.head = _head(event, judgement.version, head, now)
        return judgement

    def remembers(self, digest: bytes, now: float) -> bool:
        """Whether it was judged before; from now on it was."""
        self._forget_old(now)
        known = self._digests.pop(digest, None) is not None
        self._digests[digest] = now
        self._forget_old(now)
        return known

    def _forget_old(self, now: float) -> None:
        digests = self._digests
        while len(digests) > DIGESTS_KEPT:
            oldest = next(iter(digests))
            if len(digests) <= DIGESTS_MAX and now - digests[oldest] <= DIGESTS_KEPT_S:
                break
            del digests[oldest]


def _head(event: Event, version: Version, former: Head | None, now: float) -> Head:
    payload = event.published if event.version else with_version(event.published, *version)
    owner = event.owner if event.owner is not None else former.owner if former else None
    versioned = event.version is not None
    return Head(version, event.terminal, Frame(payload), owner, event.digest, event.outcome, now, event.presumed, versioned)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
