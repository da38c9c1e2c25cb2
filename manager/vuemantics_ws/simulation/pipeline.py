"""What an upload passes on its way, and the events that say so (PROTOCOL.md section 3, SEMANTICS.md section 8)."""

from datetime import datetime
from itertools import pairwise
from typing import Literal, NamedTuple

from msgspec import UNSET

from vuemantics_ws.messages import (
    ProgressPayload,
    Stage,
    Status,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    encode,
)

Action = Literal["upload_progress", "upload_completed", "upload_failed"]

AUDIT_SCORE = 87
"""What the simulated audit finds, once it has looked."""

_MESSAGES = {
    Stage.QUEUED: "Waiting to start",
    Stage.EXTRACTING_FRAMES: "Extracting frames",
    Stage.VISION_ANALYSIS: "Looking at what is in it",
    Stage.DESCRIPTION_AUDIT: "Checking the description",
    Stage.EMBEDDING_GENERATION: "Generating embeddings",
    Stage.INDEXING: "Adding it to the index",
}
PERCENTS = {
    Stage.QUEUED: 0,
    Stage.EXTRACTING_FRAMES: 10,
    Stage.VISION_ANALYSIS: 20,
    Stage.DESCRIPTION_AUDIT: 50,
    Stage.EMBEDDING_GENERATION: 60,
    Stage.INDEXING: 90,
}
"""The percent at which each stage is announced. A stage that is not here is an end, and no part of a pipeline."""

_AUDITED = (Stage.EMBEDDING_GENERATION, Stage.INDEXING)


class Step(NamedTuple):
    """A stage, how long it takes, and in how many evenly spread announcements, the first at its start."""

    stage: Stage
    for_s: float
    steps: int = 1


class Announcement(NamedTuple):
    """That an upload has come so far, ``at_s`` seconds after it started."""

    at_s: float
    stage: Stage
    percent: int


class Progress(NamedTuple):
    """How far an upload is, in words too."""

    stage: Stage
    status: Status
    message: str


_STAGES_AT_S: dict[str, dict[Stage, float]] = {
    "image": {
        Stage.QUEUED: 0,
        Stage.VISION_ANALYSIS: 0.5,
        Stage.DESCRIPTION_AUDIT: 4,
        Stage.EMBEDDING_GENERATION: 5,
        Stage.INDEXING: 7,
        Stage.COMPLETED: 8,
    },
    "video": {
        Stage.QUEUED: 0,
        Stage.EXTRACTING_FRAMES: 0.5,
        Stage.VISION_ANALYSIS: 10,
        Stage.DESCRIPTION_AUDIT: 30,
        Stage.EMBEDDING_GENERATION: 32,
        Stage.INDEXING: 38,
        Stage.COMPLETED: 40,
    },
}

PipelineName = Literal["image", "video"]


def pipeline(name: PipelineName) -> tuple[Step, ...]:
    """What a real upload of this kind passes."""
    at_s = list(_STAGES_AT_S[name].items())
    return tuple(Step(stage, after - before) for (stage, before), (_, after) in pairwise(at_s))


def announcements(steps: tuple[Step, ...], *, until: Stage | None = None) -> list[Announcement]:
    """What is announced when, in order. ``until`` is the last stage that is reached, None for all of them.

    Within a stage the percent moves evenly towards the next one's; the last stage's moves towards 100.
    """
    announced: list[Announcement] = []
    starts_s = 0.0
    for index, step in enumerate(steps):
        percent = PERCENTS[step.stage]
        beyond = PERCENTS[steps[index + 1].stage] if index + 1 < len(steps) else 100
        for number in range(step.steps):
            share = number / step.steps
            reached = percent + int(max(0, beyond - percent) * share)
            announced.append(Announcement(starts_s + step.for_s * share, step.stage, reached))
        starts_s += step.for_s
        if step.stage is until:
            break
    return announced


def ends_after_s(steps: tuple[Step, ...], *, until: Stage | None = None) -> float:
    """How long it takes from the start to the end of the last stage, or of ``until``."""
    total = 0.0
    for step in steps:
        total += step.for_s
        if step.stage is until:
            break
    return total


def at_percent(percent: int, *, video: bool = False) -> Progress:
    """What a real upload says of itself at this percent: the stage that was announced last, its status, its message."""
    passed = _STAGES_AT_S["video" if video else "image"]
    stage = next(stage for stage in reversed(PERCENTS) if PERCENTS[stage] <= percent and stage in passed)
    return describe(stage)


def describe(stage: Stage) -> Progress:
    """What is said of a stage while it lasts."""
    status = Status.EMBEDDING if stage in _AUDITED else Status.ANALYZING
    return Progress(stage, status, _MESSAGES[stage])


def progress_event(
    upload_id: str, stage: Stage, percent: int, when: datetime, *, version: tuple[int, int] | None = None
) -> bytes:
    """The JSON bytes of one ``upload_progress``. ``version`` is attempt and seq, None for a publisher that has none."""
    said = describe(stage)
    payload = ProgressPayload(
        upload_id=upload_id,
        status=said.status,
        stage=stage,
        progress_percent=percent,
        message=said.message,
        error_message=None,
        description_audit_score=AUDIT_SCORE if stage in _AUDITED else None,
    )
    attempt, seq = version or (UNSET, UNSET)
    return encode(UploadProgress(payload=payload, timestamp=when, attempt=attempt, seq=seq))


def completed_event(
    upload_id: str,
    when: datetime,
    *,
    description: str = "A simulated upload",
    audit_score: int = AUDIT_SCORE,
    version: tuple[int, int] | None = None,
) -> bytes:
    """The JSON bytes of one ``upload_completed``."""
    attempt, seq = version or (UNSET, UNSET)
    return encode(
        UploadCompleted(
            upload_id=upload_id, description=description, audit_score=audit_score, timestamp=when, attempt=attempt, seq=seq
        )
    )


def failed_event(upload_id: str, when: datetime, *, reason: str, version: tuple[int, int] | None = None) -> bytes:
    """The JSON bytes of one ``upload_failed``. ``reason`` is shown to the person."""
    attempt, seq = version or (UNSET, UNSET)
    return encode(UploadFailed(upload_id=upload_id, error_message=reason, timestamp=when, attempt=attempt, seq=seq))
