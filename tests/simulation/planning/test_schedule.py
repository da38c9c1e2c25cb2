"""What workers publish: endings in their shares, steady progress, and slips that stay what they are."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.format.scenario import Upload
from vuemantics_ws.simulation.pipeline import PERCENTS
from vuemantics_ws.simulation.planning.schedule import PlannedEvent, plan_events
from vuemantics_ws.simulation.planning.slips import STRAGGLES_S


def upload(**keys: Any) -> Upload:
    return Upload.model_validate({"id": "up", "owner": "alice", "pipeline": "image", **keys})


def events_of(seed: int = 1, start_s: float = 0.0, name: str = "up", **keys: Any) -> list[PlannedEvent]:
    return list(plan_events(upload(**keys), name, start_s, seed))


def test_outcomes_come_in_their_shares() -> None:
    outcome = {"completed": "70%", "failed": "20%", "stalled@indexing": "10%"}

    ends = Counter(events_of(name=f"up:{number}", outcome=outcome)[-1].action for number in range(2000))

    assert ends["upload_completed"] == pytest.approx(1400, abs=100)
    assert ends["upload_failed"] == pytest.approx(400, abs=80)
    assert ends["upload_progress"] == pytest.approx(200, abs=60)


def test_a_share_of_nothing_never_comes_and_one_of_all_always() -> None:
    found = {events_of(seed, outcome={"failed": 0, "completed": "100%"})[-1].action for seed in range(300)}

    assert found == {"upload_completed"}


def test_the_stage_of_a_failure_is_drawn_evenly_from_those_after_the_first() -> None:
    stages = Counter(events_of(name=f"up:{number}", outcome="failed")[-1].stage for number in range(2000))

    assert set(stages) == {Stage.VISION_ANALYSIS, Stage.DESCRIPTION_AUDIT, Stage.EMBEDDING_GENERATION, Stage.INDEXING}
    assert all(count == pytest.approx(500, abs=90) for count in stages.values())


def test_what_has_one_stage_fails_in_it() -> None:
    assert events_of(outcome="failed", pipeline=[{"stage": "queued", "for": "1s"}])[-1].stage is Stage.QUEUED


def test_a_rate_of_progress_is_steady_and_reaches_the_end_when_it_should() -> None:
    events = events_of(start_s=3.0, pipeline={"progress": "10/s", "for": "2s"})

    assert [event.at_s for event in events] == [pytest.approx(3 + number / 10) for number in range(21)]
    assert [event.percent for event in events[:-1]] == [5 * number for number in range(20)]
    assert (events[-1].action, events[-1].seq) == ("upload_completed", 21)
    assert [event.stage for event in events[:-1]] == sorted((event.stage for event in events[:-1]), key=list(PERCENTS).index)


def test_a_failure_at_a_rate_of_progress_comes_where_the_next_stage_would() -> None:
    failed = events_of(pipeline={"progress": "10/s", "for": "10s"}, outcome="failed@vision_analysis")
    stalled = events_of(pipeline={"progress": "10/s", "for": "10s"}, outcome="stalled@vision_analysis")

    assert (failed[-1].action, failed[-1].stage, failed[-1].at_s) == ("upload_failed", Stage.VISION_ANALYSIS, 5.0)
    assert [event.percent for event in failed[:-1]] == list(range(50))
    assert stalled == failed[:-1]


MESSINESS = st.fixed_dictionaries(
    {
        "duplicate": st.sampled_from([0, "10%", "100%"]),
        "reorder": st.sampled_from([0, "30%", "100%"]),
        "after_terminal": st.integers(0, 3),
    }
)
PIPELINES: Any = st.sampled_from(
    [
        "image",
        [{"stage": "queued", "for": "1s"}],
        [{"stage": "queued", "for": 0, "steps": 5}, {"stage": "indexing", "for": "20ms", "steps": 9}],
        {"progress": "10/s", "for": "3s"},
        {"progress": "100/s", "for": "1s"},
    ]
)
RUNS = st.sampled_from([None, {"after": 0, "times": 2}, {"after": "300ms"}, {"after": "5s"}])


@st.composite
def messy_uploads(draw: st.DrawFn) -> dict[str, Any]:
    keys = {
        "messiness": draw(MESSINESS),
        "pipeline": draw(PIPELINES),
        "outcome": draw(st.sampled_from(["completed", "failed"])),
    }
    regenerate = draw(RUNS)
    return {**keys, "regenerate": regenerate} if regenerate else keys


@given(messy_uploads(), st.integers(0, 1000))
def test_slips_change_nothing_of_what_is_right(keys: dict[str, Any], seed: int) -> None:
    tidy = events_of(seed, **{**keys, "messiness": {}})

    messy = events_of(seed, **keys)

    assert [one.at_s <= other.at_s for one, other in pairwise(messy)] == [True] * (len(messy) - 1)
    assert len(messy) <= upload(**keys).events_max
    versions = Counter((event.attempt, event.seq, event.action, event.stage) for event in messy if not event.copy)
    assert all(versions[event.attempt, event.seq, event.action, event.stage] == 1 for event in tidy)
    assert [event for event in messy if not event.messy] == [event for event in tidy if event in messy]
    ends = [event for event in tidy if event.action != "upload_progress"]
    assert [event for event in messy if event.action != "upload_progress" and not event.messy] == ends


@given(messy_uploads(), st.integers(0, 1000))
def test_a_duplicate_comes_after_its_original_and_is_the_same(keys: dict[str, Any], seed: int) -> None:
    messy = events_of(seed, **keys)

    for index, event in enumerate(messy):
        if event.copy:
            originals = [other for other in messy[:index] if not other.copy and other[1:6] == event[1:6]]
            assert len(originals) == 1
            assert 0 < event.at_s - originals[0].at_s <= 0.2 + 1e-9


@given(messy_uploads(), st.integers(0, 1000))
def test_reordering_stays_within_its_attempt_and_moves_nothing_past_an_end(keys: dict[str, Any], seed: int) -> None:
    tidy = events_of(seed, **{**keys, "messiness": {}})
    due = {(event.attempt, event.seq): event for event in tidy}
    ends = {event.attempt: event.at_s for event in tidy if event.action != "upload_progress"}

    for event in events_of(seed, **keys):
        original = due.get((event.attempt, event.seq))
        if event.messy and not event.copy and original is not None and original.action == event.action:
            overtook = due[event.attempt, event.seq + 1]
            assert overtook.action == "upload_progress"
            assert overtook.at_s < event.at_s < ends[event.attempt]


@given(messy_uploads(), st.integers(0, 1000))
def test_stragglers_come_after_the_end_of_their_run_and_before_the_next(keys: dict[str, Any], seed: int) -> None:
    messy = events_of(seed, **keys)
    ends = {event.attempt: event for event in messy if event.action != "upload_progress" and not event.messy}
    begins = {event.attempt: event.at_s for event in messy if event.seq == 1 and not event.messy}

    stragglers = [event for event in messy if event.messy and event.seq > ends[event.attempt].seq]

    assert len(stragglers) == keys["messiness"]["after_terminal"] * len(ends)
    for event in stragglers:
        assert event.action == "upload_progress"
        assert event.stage is not Stage.QUEUED
        assert ends[event.attempt].at_s <= event.at_s <= ends[event.attempt].at_s + STRAGGLES_S.high
        assert event.at_s <= begins.get(event.attempt + 1, event.at_s)
        assert messy.index(event) > messy.index(ends[event.attempt])


def test_every_second_event_is_reordered_at_most() -> None:
    messy = events_of(pipeline={"progress": "10/s", "for": "10s"}, messiness={"reorder": "100%"})

    assert [event.seq for event in messy][:6] == [2, 1, 4, 3, 6, 5]
    assert [event.seq for event in messy][-3:] == [100, 99, 101] or [event.seq for event in messy][-2:] == [100, 101]


def test_slips_of_one_kind_do_not_shift_the_luck_of_another() -> None:
    both = events_of(messiness={"duplicate": "50%", "after_terminal": 2}, regenerate={"after": "5s"})
    alone = events_of(messiness={"duplicate": "50%"}, regenerate={"after": "5s"})

    assert [event for event in both if event.copy] == [event for event in alone if event.copy]


CHANCES = {"late": "100%", "retries": "100%", "crashes": "100%"}


def times_of(events: list[PlannedEvent]) -> list[tuple[float, str, int]]:
    return [(round(event.at_s, 6), event.stage.value, event.attempt) for event in events]


def test_a_failed_audit_goes_back_once_and_the_percent_falls() -> None:
    events = events_of(messiness={"retries": "100%"})

    assert [event.percent for event in events] == [0, 20, 50, 20, 50, 60, 90, 90]
    assert [event.at_s for event in events] == [0, 0.5, 4, 5, 8.5, 9.5, 11.5, 12.5]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {event.attempt for event in events} == {1}
    assert events[-1].action == "upload_completed"


def test_an_audit_that_is_never_reached_is_not_retried() -> None:
    failed: Any = {"outcome": "failed@vision_analysis"}

    assert events_of(messiness={"retries": "100%"}, **failed) == events_of(**failed)


def test_a_worker_that_dies_is_followed_by_another_that_ends_the_upload() -> None:
    for seed in range(200):
        events = events_of(seed, messiness={"crashes": "100%"})
        first, second = ([event for event in events if event.attempt == attempt] for attempt in (1, 2))

        assert all(event.action == "upload_progress" for event in first)
        assert [event.seq for event in second] == list(range(1, len(second) + 1))
        assert second[0].stage in (Stage.QUEUED, first[-1].stage)
        assert second[-1].action == "upload_completed"
        assert second[0].at_s - first[-1].at_s >= 0.5
        whole = times_of(events_of(seed))
        begins_s = second[0].at_s - whole[[stage for _, stage, _ in whole].index(second[0].stage.value)][0]
        assert [(round(at_s - begins_s, 6), stage) for at_s, stage, _ in times_of(second)] == [
            (at_s, stage) for at_s, stage, _ in whole[-len(second) :]
        ]


def test_a_worker_begins_again_where_the_other_died_or_from_the_start() -> None:
    agains = Counter(
        events[0].stage
        for seed in range(300)
        if (events := [event for event in events_of(seed, messiness={"crashes": "100%"}) if event.attempt == 2])
    )

    assert agains[Stage.QUEUED] == pytest.approx(180, abs=40)  # it is where some of them died, too
    assert set(agains) == {stage for stage in PERCENTS if stage is not Stage.EXTRACTING_FRAMES}


def test_each_run_has_its_own_luck_and_begins_after_the_one_before() -> None:
    events = events_of(messiness={"crashes": "50%", "retries": "50%"}, regenerate={"after": "1s", "times": 30})
    ends = [event for event in events if event.action == "upload_completed"]
    attempts = [event.attempt for event in events]

    assert len(ends) == 31
    assert 31 < attempts[-1] < 62
    assert attempts == sorted(attempts)


def test_a_late_event_is_held_up_but_not_past_its_end() -> None:
    on_time = events_of()
    late = events_of(messiness={"late": "100%"})

    assert late[-1] == on_time[-1]
    by_seq = {event.seq: event for event in late}
    for event in on_time[:-1]:
        held_up_s = by_seq[event.seq].at_s - event.at_s
        assert 0 < held_up_s <= 5
        assert by_seq[event.seq].messy
        assert by_seq[event.seq].at_s < late[-1].at_s


def test_nothing_of_a_dead_worker_comes_after_its_death() -> None:
    for seed in range(100):
        events = events_of(seed, messiness=CHANCES)

        first = [event.at_s for event in events if event.attempt == 1]
        assert max(first) < min(event.at_s for event in events if event.attempt == 2)


def test_a_slip_that_is_not_asked_for_changes_nothing() -> None:
    calm = events_of(messiness={"duplicate": "30%", "reorder": "30%"})

    assert events_of(messiness={"duplicate": "30%", "reorder": "30%", "late": 0, "crashes": 0, "retries": 0}) == calm
