"""A fault that a node met is one, whether or not anybody outside noticed; only runs in virtual time see it."""

from tests.simulation.judging.expecting import both_follow, plan
from vuemantics_ws.simulation.judging.report import judge_run
from vuemantics_ws.simulation.judging.sound import sound
from vuemantics_ws.simulation.log import Troubled

PLAN = plan("close: {codes: [1000]}")


def test_nodes_that_met_no_fault_are_sound() -> None:
    assert sound(both_follow().history()).verdict == "held"


def test_a_fault_of_a_node_is_told_with_its_words() -> None:
    told = both_follow()
    told.add(Troubled(told.step(), "node:0", "it logged an error: no"))

    violation = sound(told.history()).violation

    assert violation is not None
    assert violation.message == "node:0 met a fault of its own: it logged an error: no"


def test_it_is_judged_in_virtual_time_alone() -> None:
    history = both_follow().history()

    assert "sound" in {rule.name for rule in judge_run(PLAN, history, arm="virtual").rules}
    assert "sound" not in {rule.name for rule in judge_run(PLAN, history, arm="real").rules}
