"""Simulated workers say what the application's workers say (PROTOCOL.md section 3, SEMANTICS.md section 8)."""

import json
from datetime import UTC, datetime

import pytest

from tests.browser_validator import problems
from vuemantics_ws.core.upload import Event, Version
from vuemantics_ws.messages import Stage, Status
from vuemantics_ws.simulation.dice import upload_id_of
from vuemantics_ws.simulation.pipeline import (
    PERCENTS,
    PipelineName,
    Step,
    announcements,
    at_percent,
    completed_event,
    describe,
    ends_after_s,
    failed_event,
    pipeline,
    progress_event,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
HOLIDAY = upload_id_of(1, "holiday")

IMAGE = [("queued", 0, 0), ("vision_analysis", 0.5, 20), ("description_audit", 4, 50), ("embedding_generation", 5, 60), ("indexing", 7, 90)]  # fmt: skip # noqa: E501
VIDEO = [("queued", 0, 0), ("extracting_frames", 0.5, 10), ("vision_analysis", 10, 20), ("description_audit", 30, 50), ("embedding_generation", 32, 60), ("indexing", 38, 90)]  # fmt: skip # noqa: E501


@pytest.mark.parametrize(("name", "expected", "lasts_s"), [("image", IMAGE, 8), ("video", VIDEO, 40)])
def test_a_real_pipeline_announces_each_stage_when_and_as_it_should(
    name: PipelineName, expected: list[tuple[str, float, int]], lasts_s: float
) -> None:
    steps = pipeline(name)

    said = announcements(steps)

    assert [(one.stage, round(one.at_s, 6), one.percent) for one in said] == expected
    assert ends_after_s(steps) == lasts_s


def test_steps_within_a_stage_move_towards_the_next_one() -> None:
    steps = (Step(Stage.VISION_ANALYSIS, 4.0, steps=4), Step(Stage.DESCRIPTION_AUDIT, 1.0), Step(Stage.INDEXING, 1.0, steps=2))

    said = announcements(steps)

    assert [(one.at_s, one.percent) for one in said] == [(0, 20), (1, 27), (2, 35), (3, 42), (4, 50), (5, 90), (5.5, 95)]


def test_a_stage_that_is_gone_back_to_moves_nowhere() -> None:
    steps = (Step(Stage.DESCRIPTION_AUDIT, 1.0, steps=2), Step(Stage.VISION_ANALYSIS, 1.0))

    assert [one.percent for one in announcements(steps)] == [50, 50, 20]


def test_what_ends_early_announces_nothing_beyond() -> None:
    steps = pipeline("image")

    said = announcements(steps, until=Stage.VISION_ANALYSIS)

    assert [one.stage for one in said] == [Stage.QUEUED, Stage.VISION_ANALYSIS]
    assert ends_after_s(steps, until=Stage.VISION_ANALYSIS) == 4.0


@pytest.mark.parametrize(
    ("percent", "stage", "status"),
    [
        (0, Stage.QUEUED, Status.ANALYZING),
        (19, Stage.QUEUED, Status.ANALYZING),
        (20, Stage.VISION_ANALYSIS, Status.ANALYZING),
        (59, Stage.DESCRIPTION_AUDIT, Status.ANALYZING),
        (60, Stage.EMBEDDING_GENERATION, Status.EMBEDDING),
        (100, Stage.INDEXING, Status.EMBEDDING),
    ],
)
def test_a_percent_tells_stage_and_status(percent: int, stage: Stage, status: Status) -> None:
    assert at_percent(percent)[:2] == (stage, status)


def test_only_a_video_extracts_frames() -> None:
    assert at_percent(15).stage is Stage.QUEUED
    assert at_percent(15, video=True).stage is Stage.EXTRACTING_FRAMES


def test_every_stage_has_a_sentence_of_its_own() -> None:
    assert len({describe(stage).message for stage in PERCENTS}) == len(PERCENTS)


@pytest.mark.parametrize("version", [None, (2, 7)])
@pytest.mark.parametrize("stage", PERCENTS)
def test_progress_passes_the_browser_and_the_judge(stage: Stage, version: tuple[int, int] | None) -> None:
    event = progress_event(HOLIDAY, stage, 42, WHEN, version=version)

    assert problems(event) == []
    read = Event.read(event)
    assert read.version == (None if version is None else Version(*version))
    assert (read.terminal, read.queued) == (False, stage is Stage.QUEUED)
    assert json.loads(event)["timestamp"] == "2026-01-02T03:04:05.678000Z"


@pytest.mark.parametrize("version", [None, (2, 7)])
def test_ends_pass_the_browser_and_the_judge(version: tuple[int, int] | None) -> None:
    for event in (completed_event(HOLIDAY, WHEN, version=version), failed_event(HOLIDAY, WHEN, reason="no", version=version)):
        assert problems(event) == []
        assert Event.read(event).terminal


def test_the_audit_score_is_known_once_there_is_one() -> None:
    def score(stage: Stage) -> int | None:
        found: int | None = json.loads(progress_event(HOLIDAY, stage, 1, WHEN))["payload"]["description_audit_score"]
        return found

    assert score(Stage.DESCRIPTION_AUDIT) is None
    assert score(Stage.EMBEDDING_GENERATION) == 87
