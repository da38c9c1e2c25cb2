"""Percentiles are those of the sorted durations, exactly as long as there are not too many, and within a stated error then."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.simulation.judging import percentiles
from vuemantics_ws.simulation.judging.percentiles import ERROR, Durations

seconds = st.lists(st.floats(min_value=0.0, max_value=1e5), min_size=1, max_size=300)
shares = st.floats(min_value=0.01, max_value=1.0)


def by_rank(values: list[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed, found by counting."""
    return next(value for value in sorted(values) if sum(other <= value for other in values) >= share * len(values) - 1e-9)


@given(seconds, shares)
def test_few_durations_have_exact_percentiles(values: list[float], share: float) -> None:
    assert Durations(values).at(share) == by_rank(values, share)


@given(seconds, shares)
def test_many_durations_are_off_by_no_more_than_is_said(values: list[float], share: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "EXACT_MAX", 3)
        found = Durations(values).at(share)

    assert math.isclose(found, by_rank(values, share), rel_tol=ERROR, abs_tol=1e-300)


@given(seconds)
def test_the_largest_is_exact_however_many_there_are(values: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "EXACT_MAX", 3)
        durations = Durations(values)

    assert durations.at(1.0) == max(values)
    assert durations.count == len(values)


def test_more_durations_may_come_after_a_percentile_was_asked_for() -> None:
    durations = Durations([3.0, 1.0])

    assert durations.at(0.5) == 1.0
    assert durations.update([0.5, 0.2]).at(0.5) == 0.5


def test_a_million_durations_need_no_more_memory_than_their_parts() -> None:
    durations = Durations(number / 1000 for number in range(200_000))

    assert len(durations._parts) < 128 * 30
    assert math.isclose(durations.at(0.99), 198.0, rel_tol=ERROR)


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(Durations().at(0.5))
    assert Durations().figures() == {}


def test_figures_are_named_with_their_unit() -> None:
    assert Durations([0.1, 0.2]).figures(["p50", "max"]) == {"p50_s": 0.1, "max_s": 0.2}


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    assert Durations([-0.1]).at(1.0) == 0.0


@given(st.lists(st.lists(st.floats(min_value=0.0, max_value=1e5), max_size=12), min_size=1, max_size=6), shares)
def test_what_was_gathered_apart_can_be_put_together(groups: list[list[float]], share: float) -> None:
    values = [value for group in groups for value in group]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentiles, "EXACT_MAX", 8)
        merged = Durations()
        for group in groups:
            merged.merge(Durations(group))

    assert merged.count == len(values)
    if values:
        assert math.isclose(merged.at(share), by_rank(values, share), rel_tol=ERROR, abs_tol=1e-300)
        assert merged.at(1.0) == max(values)
