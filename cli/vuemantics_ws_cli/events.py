"""The events that a person asked for, with what they left out filled in as a real worker would have said it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import NamedTuple

from vuemantics_ws.errors import BadSetting
from vuemantics_ws.messages import ProgressPayload, Stage, Status, UploadProgress, encode
from vuemantics_ws.simulation.pipeline import (
    AUDIT_SCORE,
    PERCENTS,
    PipelineName,
    Progress,
    announcements,
    at_percent,
    completed_event,
    describe,
    ends_after_s,
    failed_event,
    pipeline,
    progress_event,
)

ENDS = ("completed", "failed")

_SUITS = {
    "progress": ("--stage", "--message", "--error", "--audit-score"),
    "completed": ("--description", "--audit-score"),
    "failed": ("--error",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said beside the progress. None: as the real pipeline would."""

    stage: str | None = None
    message: str | None = None
    error: str | None = None
    description: str | None = None
    audit_score: int | None = None

    def options(self) -> list[str]:
        """The options that were given."""
        names = ("stage", "message", "error", "description", "audit_score")
        return ["--" + name.replace("_", "-") for name in names if getattr(self, name) is not None]


class Cue(NamedTuple):
    """An event that is due ``at_s`` seconds after the start of a run. ``event`` makes its bytes for the moment it is given."""

    at_s: float
    percent: int
    stage: str
    event: Callable[[datetime], bytes]


def cue_of(upload_id: str, progress: str, said: Said, when: datetime, *, version: tuple[int, int] | None) -> Cue:
    """One event, to be published now.

    Raises:
        BadSetting: ``progress`` is neither a percent nor an end, or something was said that such an event cannot carry.
    """
    kind = progress if progress in ENDS else "progress"
    for option in said.options():
        if option not in _SUITS[kind]:
            hint = f"what does: {', '.join(_SUITS[kind])}"
            raise BadSetting(f"{option}: it means nothing beside {progress}", setting=option, hint=hint)
    if kind == "completed":
        description = said.description if said.description is not None else "A published upload"
        score = said.audit_score if said.audit_score is not None else AUDIT_SCORE
        event = completed_event(upload_id, when, description=description, audit_score=score, version=version)
        return Cue(0.0, 100, kind, lambda _: event)
    if kind == "failed":
        reason = said.error if said.error is not None else "The analysis failed"
        event = failed_event(upload_id, when, reason=reason, version=version)
        return Cue(0.0, 100, kind, lambda _: event)
    percent = _read_percent(progress)
    step = at_percent(percent) if said.stage is None else _stage_named(said.stage)
    event = _progress_event(upload_id, percent, step, said, when, version)
    return Cue(0.0, percent, step.stage, lambda _: event)


def cues_of_pipeline(upload_id: str, name: PipelineName, *, version: tuple[int, int] | None) -> list[Cue]:
    """A whole run, with an announcement about every second. ``version`` is the first event's; seq counts up from there."""
    steps = tuple(step._replace(steps=max(1, round(step.for_s))) for step in pipeline(name))
    cues = []
    for number, (at_s, stage, percent) in enumerate(announcements(steps)):
        mine = (version[0], version[1] + number) if version is not None else None
        cues.append(Cue(at_s, percent, stage, partial(progress_event, upload_id, stage, percent, version=mine)))
    mine = (version[0], version[1] + len(cues)) if version is not None else None
    end = partial(completed_event, upload_id, description=f"A simulated {name}", version=mine)
    return [*cues, Cue(ends_after_s(steps), 100, Stage.COMPLETED, end)]


def _read_percent(text: str) -> int:
    number = text.removesuffix("%")
    if number.isascii() and number.isdigit() and len(number) <= 3 and int(number) <= 100:
        return int(number)
    raise BadSetting(f"PROGRESS: expected 0 to 100, completed or failed, got {text[:40]!r}", setting="PROGRESS")


def _progress_event(
    upload_id: str, percent: int, step: Progress, said: Said, when: datetime, version: tuple[int, int] | None
) -> bytes:
    audited = percent >= PERCENTS[Stage.EMBEDDING_GENERATION]
    payload = ProgressPayload(
        upload_id=upload_id,
        status=step.status,
        stage=step.stage,
        progress_percent=percent,
        message=said.message if said.message is not None else step.message,
        error_message=said.error,
        description_audit_score=said.audit_score if said.audit_score is not None else AUDIT_SCORE if audited else None,
    )
    message = UploadProgress(payload=payload, timestamp=when)
    if version is not None:
        message.attempt, message.seq = version
    return encode(message)


def _stage_named(name: str) -> Progress:
    if name in ENDS:  # progress that says so: the end itself is another message
        return Progress(Stage(name), Status(name), name.capitalize())
    if name not in PERCENTS:
        nearest = get_close_matches(name, list(PERCENTS), n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else None
        raise BadSetting(f"--stage: expected {', '.join(PERCENTS)}, got {name[:40]!r}", setting="--stage", hint=hint)
    return describe(Stage(name))
