"""What a block of a job has in its hands, less what differs with and without an event loop."""

import logging
import re
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Protocol, TypeVar

from vuemantics_ws.ambient import Clock
from vuemantics_ws.errors import BadEvent, NotPublished
from vuemantics_ws.messages import UPLOAD_ID_PATTERN, Stage, UploadCompleted, UploadFailed
from vuemantics_ws.publisher.outgoing import Outgoing
from vuemantics_ws.publisher.stages import SPANS
from vuemantics_ws.publisher.telling import End, Outcome, Progress, Telling, when
from vuemantics_ws.publisher.track import Track

logger = logging.getLogger(__name__)

T = TypeVar("T")

FailureText = Callable[[BaseException], str | None]
"""What people read when a job raised; None to say nothing, where the queue will try the job again."""


def failure_text(error: BaseException) -> str:
    """Names what was raised, and never quotes its text: nobody knows what stands in it."""
    if isinstance(error, Exception):
        return f"The processing failed ({type(error).__name__})"
    return "The processing was cut short"


class Source(Protocol):
    """Of a block: the publisher that opened it."""

    clock: Clock
    failure_text: FailureText

    def outgoing(self) -> Outgoing | None:
        """Where to; None where the publisher is closed. Never raises."""
        ...


class Reporting:
    """Says how one upload is doing. Its calls may come from any thread, return at once and never raise.

    The first end that is said counts; what is said after it counts for nothing.
    """

    def __init__(self, source: Source, upload_id: str, owner: str | None) -> None:
        """Raises:
        BadEvent: no server would take such an id.
        """
        if not re.match(UPLOAD_ID_PATTERN, upload_id):
            raise BadEvent("expected an upload_id of 1 to 128 letters, digits, dots, underscores and hyphens")
        self.upload_id = upload_id
        self._source = source
        self._wall = source.clock.wall
        self._telling = Telling(upload_id, owner)
        self._result: tuple[str, int] | None = None

    def progress(
        self, stage: Stage, percent: float | None = None, message: str | None = None, *, audit_score: int | None = None
    ) -> None:
        """Say how far it is. Of what is said within an interval only the newest leaves.

        Args:
            percent: 0 to 100; beyond either counts as either, and a fraction is cut off. By default where the stage begins.
            message: what a person reads, by default the stage's own words.
            audit_score: how good the description is, 0 to 100, where that is known.
        """
        telling = self._telling
        telling.newest = Progress(next(telling.numbers), self._wall(), stage, percent, message, audit_score)
        outgoing = self._source.outgoing()
        if outgoing is None or telling.waits_in is not outgoing:
            self._push(outgoing)

    def track(
        self,
        items: Iterable[T] | AsyncIterable[T],
        stage: Stage,
        *,
        between: tuple[int, int] | None = None,
        total: int | None = None,
        message: str | None = None,
    ) -> Track[T]:
        """The same items, for ``for`` or ``async for``. Each percent that is reached is said.

        Args:
            between: the percents at which it begins and ends; by default the stage's own.
            total: how many items there are, where ``len`` does not say. Where nobody knows, the percent does not move.
            message: by default the stage's own words.
        """
        span = SPANS[stage]
        begins, ends = between or (span.begins, span.ends)
        return Track(items, lambda percent: self.progress(stage, percent, message), total=total, begins=begins, ends=ends)

    def set_result(self, description: str, audit_score: int) -> None:
        """What the end of the block says, if it is reached."""
        self._result = description, audit_score

    @property
    def outcome(self) -> Outcome | None:
        """What became of the end: its receipt, or why it was not published. None while that is not known."""
        settled = self._telling.settled
        return settled.result() if settled.done() else None

    def _say_completed(self, description: str, audit_score: int) -> None:
        message = UploadCompleted(
            upload_id=self.upload_id, description=description, audit_score=audit_score, timestamp=when(self._wall())
        )
        self._say_end(message)

    def _say_failed(self, error_message: str) -> None:
        self._say_end(UploadFailed(upload_id=self.upload_id, error_message=error_message, timestamp=when(self._wall())))

    def _say_end(self, message: End) -> None:
        if self._telling.end is None:
            self._telling.end = message
            self._push(self._source.outgoing())

    def _leave(self, error: BaseException | None) -> bool:
        """Say what the end of a block says. Returns whether its outcome is worth waiting for."""
        if self._telling.end is not None:
            return False  # whoever said it has waited
        if error is not None:
            text = self._text_of(error)
            if text is None:
                return False
            self._say_failed(text)
            return isinstance(error, Exception)  # who is cut short is in a hurry; closing the publisher waits
        if self._result is None:
            return False
        self._say_completed(*self._result)
        return True

    def _text_of(self, error: BaseException) -> str | None:
        try:
            return self._source.failure_text(error)
        except Exception as mistake:
            logger.exception("failure_text raised %s", type(mistake).__name__)
            return failure_text(error)

    def _push(self, outgoing: Outgoing | None) -> None:
        telling = self._telling
        if outgoing is not None:
            telling.waits_in = outgoing
            outgoing.push(telling)
        elif telling.end is not None and not telling.settled.done():
            telling.settled.set_result(NotPublished(self.upload_id, "its publisher is closed"))
