"""A simulator that was late itself says so, and fails a run whose times it spoilt."""

import pytest

from tests.simulation.judging.expecting import CAT, plan, story, violation
from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.format.expected import Arm
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.generator import generator
from vuemantics_ws.simulation.judging.percentiles import Durations

WITHOUT = "close: {codes: [1000]}"
FIVE_S = "latency: {p99: 5s}"
"""Of which 5 % are 250 ms."""


def publishing(*late_s: float) -> Story:
    told = story()
    for seq, each in enumerate(late_s, start=1):
        told.publishes(CAT, 1, seq, late_s=each - 0.005)
    return told


def found(told: Story, expectation: str, *, arm: Arm = "real", latency: Durations | None = None) -> Finding:
    return generator(plan(expectation), told.history(), latency or Durations(), arm=arm)


def test_on_time_it_holds_and_says_by_how_much() -> None:
    finding = found(publishing(0.005, 0.006).counts(lag_s=0.001), WITHOUT)

    assert (finding.verdict, finding.samples) == ("held", 3)
    assert {name: round(value, 6) for name, value in finding.figures.items()} == {
        "p99_s": 0.006,
        "max_s": 0.006,
        "limit_s": 1.0,
    }


@pytest.mark.parametrize(
    ("expectation", "late_s", "verdict"),
    [
        (WITHOUT, 0.09, "held"),
        (WITHOUT, 1.1, "violated"),
        (FIVE_S, 0.24, "held"),
        (FIVE_S, 0.26, "violated"),
        ("latency: {p99: 100ms}", 0.009, "held"),
        ("latency: {p99: 100ms}", 0.011, "violated"),
        ("latency: {p50: 1s, max: 4s}", 0.06, "violated"),
        ("latency: {p99: 100ms, modes: [virtual]}", 0.09, "held"),
    ],
)
def test_the_limit_goes_with_what_is_expected(expectation: str, late_s: float, verdict: str) -> None:
    assert found(publishing(late_s, late_s), expectation).verdict == verdict


def test_where_latency_is_larger_than_expected_anyway_that_is_what_counts() -> None:
    told = publishing(0.05, 0.05)

    assert found(told, "latency: {p99: 100ms}").verdict == "violated"
    assert found(told, "latency: {p99: 100ms}", latency=Durations([2.0])).verdict == "held"


def test_the_observer_has_to_be_on_time_too() -> None:
    told = publishing(0.0).counts(lag_s=4.0).counts(lag_s=3.0)

    assert violation(found(told, WITHOUT)) == (
        "2 of 3 times the simulator was more than 1000.0 ms late, p99 4000.0 ms, so times say little about the server"
    )


def test_a_single_hiccup_fails_no_run() -> None:
    assert found(publishing(0.0, 0.0, 3.0), WITHOUT).verdict == "held"


def test_one_in_a_hundred_may_be_late() -> None:
    assert found(publishing(*[0.0] * 198, 5.0, 5.0), WITHOUT).verdict == "held"
    assert found(publishing(*[0.0] * 197, 5.0, 5.0, 5.0), WITHOUT).verdict == "violated"


def test_in_virtual_time_nothing_is_late() -> None:
    assert found(story(), WITHOUT, arm="virtual").verdict == "does not apply"
