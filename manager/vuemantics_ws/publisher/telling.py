"""What one block of a job says of its upload, and with which versions. Knows neither loop nor Redis."""

import itertools
from concurrent.futures import Future
from datetime import UTC, datetime
from enum import Enum, auto
from typing import NamedTuple

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.core.upload import Event, Verdict, Version
from vuemantics_ws.errors import BadEvent, NotPublished
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import (
    VERSION_NUMBER_MAX,
    ProgressPayload,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    encode,
)
from vuemantics_ws.publisher.stages import SPANS

EVENT_BYTES_MAX = Limits().event_bytes_max

MOMENTS = itertools.count(1)
"""In which order blocks were opened and ended in this process."""

End = UploadCompleted | UploadFailed
Outcome = Receipt | NotPublished


class Progress(NamedTuple):
    """What a job said, not looked at yet: saying it must cost next to nothing. ``number`` counts what its block has said."""

    number: int
    said_at: float
    stage: str
    percent: float | None
    message: str | None
    audit_score: int | None


class Became(Enum):
    """What became of an event."""

    PUBLISHED = auto()
    DROPPED = auto()
    SUPERSEDED = auto()
    TO_REPEAT = auto()


class Telling:
    """The newest progress of one block, then its end, and the version that each gets.

    The first event has no version: it continues the attempt that is under way, or begins one, as the judge finds, and its
    receipt says which. From then on each event names its own, so that none that was held up on its way overtakes a newer one.
    Nobody is refused for ever: after ``stale``, because another worker is at the same upload, the next try stands right above
    what is there; after ``after_terminal``, because the upload was ended meanwhile, it opens the next attempt. Only progress of
    a block that was open when *this* publisher ended the attempt is a straggler, and dropped.

    What was not answered is asked again in the same bytes, so that having been heard twice shows as a duplicate. An end that
    was not answered and then stands below a newer attempt was heard: an attempt begins only behind an end.

    ``newest``, ``end`` and ``waits_in`` are written by the job, in whatever thread it runs; the rest belongs to the loop.
    """

    def __init__(self, upload_id: str, owner: str | None) -> None:
        self.upload_id = upload_id
        self.owner = owner
        self.opened = next(MOMENTS)
        self.numbers = itertools.count(1)
        self.newest: Progress | None = None
        self.end: End | None = None
        self.waits_in: object = None
        self.settled: Future[Outcome] = Future()
        self.conflated = 0
        self.complained_of = False
        self._number_done = 0
        self._done: Progress | End | None = None
        self._version: Version | None = None
        self._event: Event | None = None
        self._about: Progress | End | None = None
        self._asked_in_vain = False

    @property
    def has_more(self) -> bool:
        """Whether there is something that has not been published."""
        return self._to_say is not self._done

    @property
    def _to_say(self) -> Progress | End | None:
        return self.end or self.newest

    def next_event(self) -> Event | None:
        """What to publish now. The same again until its answer has been taken, or something newer was said.

        Raises:
            BadEvent: it cannot be said. It counts as done.
        """
        saying = self._to_say
        if saying is self._done or saying is None:
            return None
        if self._event is None or self._about is not saying:
            self._about, self._asked_in_vain = saying, False
            try:
                self._event = self._make(saying)
            except BadEvent:
                self._finish()
                raise
        return self._event

    def was_not_answered(self) -> None:
        """Redis may have heard it, or not."""
        self._asked_in_vain = True

    def take(self, receipt: Receipt, *, is_straggler: bool) -> Became:
        """What the judge said of the last event.

        Args:
            is_straggler: the end that it met was told by this publisher while this block was open.
        """
        event, head = self._event, receipt.version
        assert event is not None
        assert head is not None
        if receipt.verdict.is_success:
            self._version = event.version or head
            self._finish()
            return Became.PUBLISHED
        if receipt.verdict is Verdict.AFTER_TERMINAL:
            if is_straggler and not event.terminal:
                self._finish()
                return Became.DROPPED
            self._version = Version(head.attempt + 1, 0)
        else:
            if self._asked_in_vain and event.terminal and event.version and head.attempt > event.version.attempt:
                self._finish()
                return Became.SUPERSEDED
            self._version = head
        self._event = None
        return Became.TO_REPEAT

    def drop(self) -> int:
        """The newest progress will not be published. Returns how many those are: none where it has been."""
        if self.newest is self._done or self.newest is None:
            return 0
        self._about = self.newest
        self._finish()
        return 1

    def _finish(self) -> None:
        """Count what was skipped on the way."""
        about = self._about
        number = about.number if isinstance(about, Progress) else self.newest.number + 1 if self.newest else 1
        self.conflated += number - self._number_done - 1
        self._number_done = number
        self._done, self._event = about, None

    def _make(self, saying: Progress | End) -> Event:
        message = _progress_message(self.upload_id, saying) if isinstance(saying, Progress) else saying
        if self._version is not None:
            self._version = _above(self._version)
            message.attempt, message.seq = self._version
        return read_event(encode_event(message), self.owner)


def encode_event(message: UploadProgress | End) -> bytes:
    """Raises:
    BadEvent: it holds what JSON or UTF-8 cannot.
    """
    try:
        return encode(message)
    except (TypeError, ValueError):
        raise BadEvent("expected text that UTF-8 can write, and numbers") from None


def read_event(published: bytes, owner: str | None) -> Event:
    """Raises:
    BadEvent: the browser would refuse it, or it is too long.
    """
    if len(published) > EVENT_BYTES_MAX:
        raise BadEvent(f"expected an event of at most {EVENT_BYTES_MAX} bytes, got {len(published)}")
    return Event.read(published, owner=owner)


def when(said_at: float) -> datetime:
    """A wall clock's reading as messages carry it."""
    return datetime.fromtimestamp(round(said_at, 3), UTC)


def _progress_message(upload_id: str, said: Progress) -> UploadProgress:
    span = SPANS.get(said.stage)
    if span is None:
        raise BadEvent(f"expected a stage: {', '.join(SPANS)}")
    payload = ProgressPayload(
        upload_id=upload_id,
        status=span.status,
        stage=said.stage,  # type: ignore[arg-type]
        progress_percent=_whole(span.begins if said.percent is None else said.percent),
        message=span.words if said.message is None else said.message,
        error_message=None,
        description_audit_score=said.audit_score,
    )
    return UploadProgress(payload=payload, timestamp=when(said.said_at))


def _whole(percent: float) -> int:
    try:
        return int(min(max(percent, 0), 100))
    except (TypeError, ValueError):
        raise BadEvent("expected a percent from 0 to 100") from None


def _above(version: Version) -> Version:
    if version.seq < VERSION_NUMBER_MAX:
        return Version(version.attempt, version.seq + 1)
    return Version(version.attempt + 1, 1)
