"""Redis loses its data: what may be gone then is owed to nobody, and all else is."""

from collections.abc import Callable

import pytest

from tests.simulation.judging.histories import CAT, Story
from vuemantics_ws.simulation.judging.checkers import check_laws, convergence, independence, no_seam, the_end_arrives
from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S, SOON_S
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.rules import documented, taken
from vuemantics_ws.simulation.log import NodeExited

LONG_S = RECOVERS_S + 2 * SOON_S


def is_emptied(told: Story, number: int = 9) -> Story:
    return told.breaks("redis.flush", number, loses_data=True).mends("redis.flush", number)


def fails_over(told: Story, behind_s: float) -> Story:
    return told.breaks("redis.failover", 8, loses_data=True, behind_s=behind_s).mends("redis.failover", 8)


def watched() -> Story:
    """A tab has shown the first two states."""
    told = Story().joins("desk").follows("desk", CAT)
    return told.publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).publishes(CAT, 1, 2).gets("desk", CAT, 1, 2)


def said(law: Callable[[History], Finding], told: Story) -> str:
    finding = law(told.history())
    assert finding.violation is not None
    return finding.violation.message


def test_what_nobody_watched_may_begin_anew() -> None:
    told = is_emptied(Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2)).waits(LONG_S).publishes(CAT, 1, 1)

    assert taken(told.history()).verdict == "held"


def test_what_begins_anew_goes_on_from_there() -> None:
    told = is_emptied(Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2)).waits(LONG_S).publishes(CAT, 1, 1).publishes(CAT, 1, 1)

    assert "was taken as (1, 1), accepted, which another had been before it" in said(taken, told)


def test_without_a_loss_nothing_begins_anew() -> None:
    told = Story().publishes(CAT, 1, 1).publishes(CAT, 1, 2).breaks("redis.restart").mends("redis.restart").publishes(CAT, 1, 1)

    assert "was taken as (1, 1), accepted, which another had been before it" in said(taken, told)


def test_what_a_node_knows_does_not_begin_anew_once_it_has_told() -> None:
    assert taken(is_emptied(watched()).publishes(CAT, 1, 1).waits(LONG_S).history()).verdict == "held"
    assert "taken as (1, 1)" in said(taken, is_emptied(watched()).waits(LONG_S).publishes(CAT, 1, 1))


def test_a_replica_has_what_came_before_it_fell_behind() -> None:
    told = Story().publishes(CAT, 1, 1).waits(3.0)

    assert taken(fails_over(told, 5.0).waits(LONG_S).publishes(CAT, 1, 1).history()).verdict == "held"
    told = Story().publishes(CAT, 1, 1).waits(3.0)
    assert "taken as (1, 1)" in said(taken, fails_over(told, 1.0).waits(LONG_S).publishes(CAT, 1, 1))


def parted(told: Story, *, loses_data: bool) -> Story:
    """The only node that watches hears nothing of an end, and Redis is emptied."""
    told.breaks("partition", target="node:0 and redis").publishes(CAT, 1, 3, end=True).waits(3.0)
    if loses_data:
        is_emptied(told)
    return told.mends("partition").waits(LONG_S)


def test_what_no_node_had_heard_is_owed_to_nobody() -> None:
    told = parted(watched(), loses_data=True)

    findings = [convergence(told.history()), the_end_arrives(told.history())]
    assert all(finding.violation is None for finding in findings)
    assert "the last it got is (1, 2)" in said(convergence, parted(watched(), loses_data=False))
    assert "never got the end of cat" in said(the_end_arrives, parted(watched(), loses_data=False))


def test_what_a_node_must_have_heard_is_owed_even_so() -> None:
    told = is_emptied(watched().publishes(CAT, 1, 3).waits(5.0)).waits(LONG_S)

    assert "the last it got is (1, 2)" in said(convergence, told)


def test_what_a_node_has_shown_is_owed_to_whoever_joins_later() -> None:
    told = is_emptied(watched()).waits(LONG_S).joins("phone").waits()

    assert "phone (connection 2) joined and never got the state of cat" in said(no_seam, told)


def test_what_nobody_watched_is_owed_to_nobody_who_joins_later() -> None:
    told = is_emptied(Story().publishes(CAT, 1, 1)).waits(LONG_S).joins("desk").follows("desk", CAT, known=False).waits()

    assert no_seam(told.history()).violation is None
    told = Story().publishes(CAT, 1, 1).waits(LONG_S).joins("desk").follows("desk", CAT, known=False).waits()
    assert "was told that nothing is known of cat" in said(no_seam, told)


def test_what_comes_after_what_was_lost_is_not_late_for_it() -> None:
    told = parted(watched(), loses_data=True).waits(20.0).publishes(CAT, 2, 1).gets("desk", CAT, 2, 1)

    assert independence(told.history()).verdict == "held"
    told = parted(watched(), loses_data=False).waits(20.0).publishes(CAT, 2, 1).gets("desk", CAT, 2, 1)
    assert "after (1, 3) was published, and nothing new before" in said(independence, told)


def test_what_begins_anew_is_owed_under_its_new_version() -> None:
    def anew(told: Story) -> Story:
        return is_emptied(told).publishes(CAT, 1, 1, end=True)

    given_back = anew(watched()).gets("desk", CAT, 1, 3, end=True).waits(LONG_S)
    never_told = anew(watched()).waits(LONG_S)
    failed = anew(watched()).gets("desk", CAT, 1, 3, end=True, failed=True).waits(LONG_S)

    assert {finding.name for finding in check_laws(given_back.history()) if finding.violation is not None} == set()
    assert "never got the end of cat" in said(the_end_arrives, never_told)
    assert "never got the end of cat" in said(the_end_arrives, failed)


def test_two_events_may_have_had_one_version() -> None:
    def shown(*, failed: bool, emptied: bool) -> Finding:
        told = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1, end=True, failed=True)
        if emptied:
            is_emptied(told)
        told.publishes(CAT, 1, 1, verdict="duplicate" if not emptied else "accepted")
        return documented(told.gets("desk", CAT, 1, 1, end=True, failed=failed).history())

    assert shown(failed=True, emptied=True).verdict == "held"
    assert shown(failed=False, emptied=True).verdict == "violated"
    assert shown(failed=False, emptied=False).verdict == "violated"


@pytest.mark.parametrize(("do", "target"), [("redis.down", "redis"), ("partition", "node:0 and redis")])
def test_what_was_asked_for_on_a_node_that_ended_before_redis_was_back_is_not_known(do: str, target: str) -> None:
    def certain(target: str, *, asks_before: bool = False, is_killed: bool = True) -> bool:
        told = Story().joins("desk")
        told = told.follows("desk", CAT) if asks_before else told
        told.breaks("partition" if do == "partition" else "redis.down", target=target)
        told = told if asks_before else told.follows("desk", CAT)
        if is_killed:
            told.add(NodeExited(told.step(), -9, asked=True, killed=True))
        return told.leaves("desk").joins("desk").history().windows[-1].certain

    assert not certain(target)
    assert certain(target, asks_before=True)
    assert certain(target, is_killed=False)
    if do == "partition":
        assert certain("node:1 and redis")
