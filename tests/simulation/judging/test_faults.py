"""What counts while something is broken, what counts again soon afterwards, and whether it broke at all."""

import pytest

from tests.simulation.judging.expecting import CAT, both_follow, judged, plan, violation
from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.judging.checkers import convergence, independence, no_seam
from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S, SOON_S
from vuemantics_ws.simulation.judging.injected import injected
from vuemantics_ws.simulation.judging.rules import documented
from vuemantics_ws.simulation.log import NodeExited
from vuemantics_ws.simulation.planning.faults import PlannedFault

LONG_S = RECOVERS_S + 2 * SOON_S


def outage(told: Story, lasts_s: float) -> Story:
    return told.breaks("redis.down").publishes(CAT, 1, 1, end=True).waits(lasts_s).mends("redis.down")


def both_get_it(told: Story) -> Story:
    return told.gets("desk", CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True)


def test_what_comes_soon_after_an_outage_is_in_time() -> None:
    history = both_get_it(outage(both_follow(), 30)).waits(LONG_S).history()

    assert independence(history).verdict == "held"
    assert convergence(history).verdict == "held"
    assert not history.is_disturbed(history.ends_at)


def test_what_comes_long_after_an_outage_is_late() -> None:
    history = both_get_it(outage(both_follow(), 30).waits(LONG_S)).history()

    assert independence(history).verdict == "violated"


def test_what_never_comes_after_an_outage_is_missed() -> None:
    history = outage(both_follow(), 1).waits(LONG_S).history()

    assert convergence(history).verdict == "violated"


def test_as_long_as_an_outage_lasts_nothing_is_missed() -> None:
    history = both_follow().breaks("redis.hang").publishes(CAT, 1, 1).waits(60).history()

    assert convergence(history).samples == 0


def test_a_killed_node_excuses_nobody() -> None:
    told = both_follow().breaks("node.kill").publishes(CAT, 1, 1).waits(2.0).mends("node.kill").waits(2.0)

    assert convergence(told.history()).verdict == "violated"


def test_during_an_outage_a_node_may_know_less_than_there_is() -> None:
    told = Story(uploads=both_follow().history().began.uploads).publishes(CAT, 1, 1).waits(2.0)

    during = told.breaks("redis.down").joins("desk").follows("desk", CAT, known=False).history()

    assert no_seam(during).violation is None


def test_what_those_follow_who_are_away_when_data_is_lost_is_not_known() -> None:
    told = both_follow().leaves("desk").leaves("phone").breaks("redis.flush", loses_data=True).mends("redis.flush")

    history = told.publishes(CAT, 1, 1).waits(LONG_S).joins("desk").waits(LONG_S).history()

    assert [window.certain for window in history.windows[-1:]] == [False]


def test_what_a_node_knew_that_ends_just_after_data_was_lost_is_not_known() -> None:
    def story(waits_s: float) -> list[bool]:
        told = both_follow().breaks("redis.flush", loses_data=True).mends("redis.flush").waits(waits_s)
        told.add(NodeExited(told.step(), -9, asked=True, killed=True))
        return [window.certain for window in told.leaves("desk").joins("desk").history().windows[-1:]]

    assert story(0.4) == [False]
    assert story(10.0) == [True]


def test_a_node_that_a_fault_killed_has_not_failed() -> None:
    told = both_follow()
    told.add(NodeExited(told.step(), -9, asked=True, killed=True))

    assert documented(told.history()).violation is None


class TestTerminal:
    def test_within_counts_from_the_end_of_the_outage(self) -> None:
        in_time = both_get_it(outage(both_follow(), 30))
        late = both_get_it(outage(both_follow(), 30).waits(3.0))

        assert judged("terminal: {uploads: cat, within: 2s, after: faults}", in_time).verdict == "held"
        assert "after 3.0" in violation(judged("terminal: {uploads: cat, within: 2s, after: faults}", late))
        assert judged("terminal: {uploads: cat, within: 2s}", in_time).verdict == "violated"

    def test_an_outage_long_before_excuses_nothing(self) -> None:
        told = both_follow().breaks("redis.down").mends("redis.down").waits(20.0)

        told = both_get_it(told.publishes(CAT, 1, 1, end=True).waits(3.0))

        assert judged("terminal: {uploads: cat, within: 2s, after: faults}", told).verdict == "violated"

    def test_what_is_learned_while_a_fault_lasts_is_in_time(self) -> None:
        told = both_get_it(both_follow().breaks("redis.hang").publishes(CAT, 1, 1, end=True).waits(9.0))

        assert judged("terminal: {uploads: cat, within: 2s, after: faults}", told).verdict == "held"


class TestRate:
    def test_the_time_of_a_fault_does_not_count_nor_the_window_after_it(self) -> None:
        told = both_follow().waits(5.0).breaks("node.kill")
        for _ in range(10):
            told.joins("desk").leaves("desk")
        told.mends("node.kill")
        for _ in range(10):
            told.joins("desk").leaves("desk")

        assert judged("rate: {of: connects, max: 5/s, except: node.kill}", told).verdict == "held"
        assert judged("rate: {of: connects, max: 5/s, except: node.restart}", told).verdict == "violated"
        told.waits(3.0)
        for _ in range(10):
            told.joins("desk").leaves("desk")
        assert judged("rate: {of: connects, max: 5/s, except: node.kill}", told).verdict == "violated"


class TestHealth:
    EXPECTED = "health: {node: 'node:0', is: degraded, during: redis.hang, within: 10s}"

    def test_a_node_says_in_time_that_it_is_degraded(self) -> None:
        told = both_follow().says("ready").breaks("redis.hang").waits(5.0).says("degraded").waits(20.0)

        finding = judged(self.EXPECTED, told.mends("redis.hang").says("ready"))

        assert (finding.verdict, finding.samples) == ("held", 1)

    def test_a_node_says_it_late(self) -> None:
        told = both_follow().says("ready").breaks("redis.hang").waits(11.0).says("degraded").mends("redis.hang")

        assert "11.0 s after redis.hang had begun, expected 10s" in violation(judged(self.EXPECTED, told))

    def test_a_node_never_says_it(self) -> None:
        told = both_follow().says("ready").breaks("redis.hang").waits(20.0).mends("redis.hang").says("degraded")

        assert "said that it was ready while redis.hang lasted" in violation(judged(self.EXPECTED, told))

    def test_a_node_takes_it_back(self) -> None:
        told = both_follow().says("ready").breaks("redis.hang").says("degraded").waits().says("ready").waits()

        assert "said that it was ready again" in violation(judged(self.EXPECTED, told.mends("redis.hang")))

    def test_where_no_such_fault_was_nothing_is_proved(self) -> None:
        assert judged(self.EXPECTED, both_follow().says("ready")).verdict == "vacuous"


class TestInjected:
    PLAN = plan("close: {codes: [1000]}")._replace(faults=(PlannedFault(1, 3.0, "redis.down", 2.0),))

    @pytest.mark.parametrize(
        ("told", "wrong"),
        [
            (both_follow(), "redis.down of redis, planned for 3.0 s, never happened"),
            (both_follow().breaks("redis.down", evidence=None), "and nothing was seen of it"),
            (both_follow().breaks("redis.down"), "never ended"),
            (both_follow().breaks("redis.down").mends("redis.down", evidence=None), "nothing was seen of its end"),
            (both_follow().breaks("redis.down").mends("redis.down"), None),
        ],
    )
    def test_a_fault_counts_once_it_was_seen(self, told: Story, wrong: str | None) -> None:
        finding = injected(self.PLAN, told.history())

        if wrong is None:
            assert finding.verdict == "held"
        else:
            assert wrong in violation(finding)

    @pytest.mark.parametrize("told", [both_follow(), both_follow().breaks("redis.down")])
    def test_what_an_interrupted_run_did_not_come_to_is_not_held_against_it(self, told: Story) -> None:
        assert injected(self.PLAN, told.history(), interrupted=True).verdict == "vacuous"
        assert injected(self.PLAN, told.history()).verdict == "violated"

    def test_nor_is_a_beginning_of_which_nothing_was_seen_excused_by_it(self) -> None:
        told = both_follow().breaks("redis.down", evidence=None)

        assert "nothing was seen of it" in violation(injected(self.PLAN, told.history(), interrupted=True))

    def test_where_there_are_none_it_does_not_apply(self) -> None:
        assert injected(plan("close: {codes: [1000]}"), both_follow().history()).verdict == "does not apply"
