"""Whoever was away when it would have asked is owed nothing where the scenario kept it away, and else has found a fault."""

import pytest

from tests.simulation.judging.expecting import CAT, plan, story, violation
from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.format.faults import FaultName
from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S
from vuemantics_ws.simulation.judging.expectations import check_expectations
from vuemantics_ws.simulation.judging.findings import Finding

TERMINAL = "terminal: {clients: [desk, phone]}"
NODE = "faults: [{at: 20ms, do: node.kill, down: 1s}]"


def found(told: Story, *, fault: str = "", desk: str = "") -> Finding:
    """``desk`` dropped its request; ``phone`` asked, and learned how it went."""
    told.joins("phone").follows("phone", CAT).publishes(CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True)
    (finding,) = check_expectations(plan(TERMINAL, more=fault, desk=desk), told.history())
    return finding


def lost(do: FaultName | None = None) -> Story:
    """The connection of ``desk`` ends, and a fault goes on if there is one."""
    told = story().joins("desk")
    return (told.breaks(do) if do else told).leaves("desk", code=1006)


def test_whoever_was_cut_off_by_a_fault_need_not_learn_what_it_never_asked_for() -> None:
    finding = found(lost("node.kill").tries_in_vain("desk").drops("desk", CAT), fault=NODE)

    assert (finding.verdict, finding.samples) == ("held", 1)
    assert finding.figures == {"never_asked_while_away": 1}


def test_without_a_fault_a_tab_that_could_not_ask_is_a_fault_of_the_server() -> None:
    finding = found(lost().drops("desk", CAT))

    assert violation(finding) == "desk could not ask for cat: it was not connected, and no fault had kept it away"


@pytest.mark.parametrize(
    ("do", "fault"),
    [
        ("redis.down", "faults: [{at: 20ms, do: redis.down, for: 1s}]"),
        ("node.kill", "server: {nodes: 2}\nfaults: [{at: 20ms, do: node.kill, target: 'node:1', down: 1s}]"),
        ("connections.kill", "faults: [{at: 20ms, do: connections.kill, target: phone}]"),
    ],
)
def test_a_fault_of_others_is_no_reason(do: FaultName, fault: str) -> None:
    assert found(lost(do).drops("desk", CAT), fault=fault).verdict == "violated"


def test_a_fault_that_was_over_long_before_is_no_reason() -> None:
    told = story().joins("desk").breaks("node.kill").mends("node.kill").waits(RECOVERS_S + 1).leaves("desk", code=1006)

    assert found(told.drops("desk", CAT), fault=NODE).verdict == "violated"


def test_a_server_that_refuses_long_after_a_fault_keeps_a_tab_away_itself() -> None:
    told = lost("node.kill").mends("node.kill").waits(RECOVERS_S + 1).tries_in_vain("desk")

    assert found(told.drops("desk", CAT), fault=NODE).verdict == "violated"


def test_a_tab_that_only_waits_before_it_comes_back_is_still_away_by_the_fault() -> None:
    told = lost("node.kill").mends("node.kill").waits(RECOVERS_S + 1)

    assert found(told.drops("desk", CAT), fault=NODE).verdict == "held"


def test_a_fault_that_never_happened_is_no_reason() -> None:
    assert found(lost().drops("desk", CAT), fault=NODE).verdict == "violated"


@pytest.mark.parametrize("desk", [", network: tunnel", ", reading: {stop: 1s}", ", token: {ttl: 1s}"])
def test_a_tab_may_be_away_by_its_own_doing(desk: str) -> None:
    tunnel = "network: {tunnel: {outage: {every: 1s, for: 1s}}}"

    assert found(lost().drops("desk", CAT), fault=tunnel, desk=desk).verdict == "held"


def test_what_a_sibling_asked_for_is_learned_all_the_same() -> None:
    told = lost("node.kill").drops("desk", CAT).mends("node.kill").joins("desk")
    told.joins("phone").follows("phone", CAT).publishes(CAT, 1, 1, end=True)
    told.gets("desk", CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True)

    (finding,) = check_expectations(plan(TERMINAL, more=NODE), told.history())

    assert (finding.verdict, finding.samples, finding.figures) == ("held", 2, {})
