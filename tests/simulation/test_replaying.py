"""A trace says what was played, keeps secrets out, and shows where two runs part."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.simulation.format.files import SMALL
from tests.simulation.judging.histories import CAT, Story
from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.log import Played, Received, Record, to_ndjson
from vuemantics_ws.simulation.replaying import (
    first_difference,
    other_versions,
    plan_of,
    played,
    read_traces,
    to_trace,
)

TEXT = SMALL.replace("image}", "image, start: '${env:START|0s}', outcome: '${env:OUTCOME|completed}'}")


def records() -> list[Record]:
    story = Story().joins("desk").follows("desk", CAT)
    for seq in range(1, 9):
        story.publishes(CAT, 1, seq).gets("desk", CAT, 1, seq)
    return story.is_over().records


def head(text: str = TEXT, environment: dict[str, str] | None = None, seed: int = 7) -> Played:
    versions = {"Python": "3.11.7", "websockets": "17.4"}
    return played(
        text,
        records(),
        seed=seed,
        arm="virtual",
        options={"broker": None, "shuffle": True},
        versions=versions,
        environment=environment or {},
    )


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "run.ndjson"
    path.write_bytes(data)
    return path


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    (trace,) = read_traces(written(tmp_path, to_trace(head(), records())))

    assert trace.played == head()
    assert trace.records == records()
    assert first_difference(trace.records, records()) is None


def test_the_traces_of_several_runs_are_read_one_after_the_other(tmp_path: Path) -> None:
    several = to_trace(head(), records()) + to_trace(head(seed=8), records()) + to_trace(head(seed=9), records())

    traces = read_traces(written(tmp_path, several))

    assert [(trace.played.seed, len(trace.records)) for trace in traces] == [(seed, len(records())) for seed in (7, 8, 9)]


def test_the_first_line_says_what_was_played() -> None:
    first = msgspec.json.decode(to_trace(head(), records()).splitlines()[0])

    assert list(first) == ["kind", "scenario", "environment", "seed", "arm", "options", "versions", "trace_hash"]
    assert (first["kind"], first["seed"], first["arm"]) == ("played", 7, "virtual")


def test_what_the_environment_said_is_not_in_a_trace() -> None:
    data = to_trace(head(environment={"OUTCOME": "failed", "PATH": "/secret"}), records())

    assert b"failed" not in data.splitlines()[0]
    assert b"secret" not in data
    assert head(environment={"OUTCOME": "failed", "PATH": "/secret"}).environment == ["OUTCOME"]


def test_a_run_is_planned_again_with_the_same_variables() -> None:
    said = head(environment={"OUTCOME": "failed"})

    plan = plan_of(said, {"OUTCOME": "failed", "START": "5s"}, file="x")

    assert plan.seed == 7
    assert plan.uploads[0].events[-1].action == "upload_failed"
    assert plan.uploads[0].start_s == 0, "the environment had no START then"


def test_a_variable_that_is_missing_is_named() -> None:
    with pytest.raises(BadScenario) as refused:
        plan_of(head(environment={"OUTCOME": "failed"}), {}, file="run.ndjson")

    assert refused.value.message == "run.ndjson: the environment has no OUTCOME, which it had when this was played"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected a first line that says what was played"),
        (to_ndjson(records()), "expected a first line that says what was played"),
        (b"no json\n", "expected a record of a run in line 1"),
        (to_trace(head(), records()[:-1]), "it was changed, or is not whole"),
        (to_trace(head(), records()) + to_trace(head(seed=8), records()[1:]), "it was changed, or is not whole"),
        (to_ndjson(records()) + to_trace(head(), records()), "expected a first line that says what was played"),
    ],
)
def test_what_is_no_trace_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadScenario) as refused:
        read_traces(written(tmp_path, data))

    assert str(tmp_path) in refused.value.message
    assert said in refused.value.message


def test_a_trace_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="no such file"):
        read_traces(tmp_path / "nothing")


def test_the_first_record_that_differs_is_shown_with_what_led_to_it() -> None:
    expected = records()
    place = next(number for number, record in enumerate(expected) if isinstance(record, Received) and record.seq == 5)
    got = [*expected]
    got[place] = msgspec.structs.replace(expected[place], at=99.0, seq=6)
    got[place + 1] = expected[0]

    difference = first_difference(expected, got)

    assert difference is not None
    assert (difference.number, difference.fields) == (place + 1, ("at", "seq"))
    assert (difference.expected, difference.got) == (expected[place], got[place])
    assert difference.before == tuple(expected[place - 5 : place])


def test_a_run_that_ends_sooner_differs_there() -> None:
    expected = records()

    shorter, longer = first_difference(expected, expected[:-2]), first_difference(expected[:-2], expected)

    assert shorter is not None
    assert longer is not None
    assert (shorter.number, shorter.expected, shorter.got, shorter.fields) == (len(expected) - 1, expected[-2], None, ())
    assert (longer.expected, longer.got) == (None, expected[-2])


def test_other_versions_are_named() -> None:
    assert other_versions({"Python": "3.11.7", "redis": "8.1"}, {"Python": "3.11.7", "redis": "8.1"}) == []
    assert other_versions({"Python": "3.11.7", "redis": "8.1"}, {"Python": "3.13.0", "hiredis": "3"}) == [
        "Python 3.13.0, then 3.11.7",
        "redis is not there, then 8.1",
        "hiredis 3, then not there",
    ]


def test_a_judge_beside_takes_a_whole_trace() -> None:
    answered = subprocess.run(
        [sys.executable, "-m", "vuemantics_ws.simulation.judging"],
        input=to_trace(head(), records()) + b"\n",
        capture_output=True,
        timeout=30,
        check=True,
    )

    assert ["order", "held"] in msgspec.json.decode(answered.stdout)
