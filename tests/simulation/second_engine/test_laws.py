"""The laws of the design on an engine that is not ours, judged by our checkers: the production gateway and simulated tabs."""

import pytest

from tests.simulation.second_engine import plays
from tests.simulation.second_engine.engine import Program, decisions, explore, needs_engine

pytestmark = needs_engine

PLAYS = [
    plays.a_crowd,
    plays.a_publisher_races_with_a_join,
    plays.somebody_reads_slowly,
    plays.one_tab_gives_it_up,
    plays.somebody_comes_back,
    plays.the_node_stops,
]


@pytest.mark.parametrize("play", PLAYS)
def test_the_laws_hold_in_whatever_order_things_happen(play: Program) -> None:
    explore(play, seeds=8)


@pytest.mark.slow
@pytest.mark.parametrize("play", PLAYS)
def test_they_hold_under_many_more_seeds(play: Program) -> None:
    explore(play, seeds=150)


def test_a_seed_is_a_run() -> None:
    assert decisions(plays.a_crowd, 1) == decisions(plays.a_crowd, 1)
    assert decisions(plays.a_crowd, 1) != decisions(plays.a_crowd, 2)
