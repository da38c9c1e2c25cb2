"""Latency counts every state that somebody was owed, from the moment at which it was due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.judging.expecting import CAT, DOG, both_follow, judged, story, violation
from tests.simulation.judging.histories import MOMENT_S, Story
from vuemantics_ws.simulation.judging.latency import delays, latency_by_entry


def seconds(told: Story) -> list[float]:
    return [round(delay.seconds, 6) for delay in delays(told.history())]


def desk_follows() -> Story:
    return story().joins("desk").follows("desk", CAT)


class TestDelays:
    def test_it_begins_when_the_event_was_due_and_not_when_a_late_worker_sent_it(self) -> None:
        told = desk_follows().waits().publishes(CAT, 1, 1, late_s=0.5).gets("desk", CAT, 1, 1)

        assert seconds(told) == [0.5 + 2 * MOMENT_S]

    def test_a_state_that_a_newer_one_replaced_lasts_until_the_newer_one_came(self) -> None:
        told = desk_follows().publishes(CAT, 1, 1).waits(1.0).publishes(CAT, 1, 2).gets("desk", CAT, 1, 2)

        assert seconds(told) == [1.0 + 3 * MOMENT_S, 2 * MOMENT_S]

    def test_what_was_due_before_the_client_followed_has_no_latency(self) -> None:
        told = story().publishes(CAT, 1, 1).waits(60.0).joins("desk").follows("desk", CAT, known=True).gets("desk", CAT, 1, 1)

        assert seconds(told) == []

    def test_what_was_due_while_the_client_was_away_has_none_either(self) -> None:
        told = desk_follows().leaves("desk", code=1012).publishes(CAT, 1, 1).waits().joins("desk").gets("desk", CAT, 1, 1)

        assert seconds(told) == []

    def test_what_never_came_is_for_the_laws_to_judge(self) -> None:
        assert seconds(desk_follows().publishes(CAT, 1, 1).waits().leaves("desk")) == []

    def test_what_the_judge_refused_was_owed_to_nobody(self) -> None:
        told = desk_follows().publishes(CAT, 1, 2).gets("desk", CAT, 1, 2).publishes(CAT, 1, 1, verdict="stale", messy=True)

        assert seconds(told.publishes(CAT, 1, 3).gets("desk", CAT, 1, 3)) == [2 * MOMENT_S, 2 * MOMENT_S]

    def test_a_state_that_came_before_its_worker_had_the_answer_counts(self) -> None:
        told = desk_follows().waits().gets("desk", CAT, 1, 1).publishes(CAT, 1, 1, late_s=0.015)

        assert seconds(told) == [0.015]

    def test_every_connection_has_its_own(self) -> None:
        told = both_follow().publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).gets("phone", CAT, 1, 1)

        assert seconds(told) == [2 * MOMENT_S, 3 * MOMENT_S]
        assert {entry: found.count for entry, found in latency_by_entry(told.history()).items()} == {"desk": 1, "phone": 1}

    @given(st.lists(st.sampled_from(["publish", "flush", "wait"]), max_size=60))
    def test_every_state_that_was_due_is_counted_once_if_anything_came_after_it(self, steps: list[str]) -> None:
        told, due, flushed = desk_follows(), 0, 0
        for step in steps:
            if step == "publish":
                due += 1
                told.publishes(CAT, 1, due)
            elif step == "flush" and due > flushed:
                flushed = due
                told.gets("desk", CAT, 1, due)
            elif step == "wait":
                told.waits(0.5)

        found = list(delays(told.history()))

        assert [delay.due.seq for delay in found] == list(range(1, flushed + 1))
        moments = {accepted.version: accepted.published.scheduled_at for accepted in told.history().accepted(CAT)}
        assert all(delay.seconds == delay.state.at - moments[delay.due] for delay in found)
        assert all(delay.state.version is not None and delay.state.version >= delay.due for delay in found)


class TestLatency:
    def told(self) -> Story:
        return desk_follows().waits(3.0)

    def test_it_holds_and_says_what_was_measured(self) -> None:
        told = self.told().publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)

        finding = judged("latency: {clients: desk, p99: 250ms, p90: 100ms}", told)

        assert (finding.verdict, finding.samples) == ("held", 1)
        assert {name: round(value, 6) for name, value in finding.figures.items()} == dict.fromkeys(
            ("p50_s", "p90_s", "p99_s", "max_s"), 2 * MOMENT_S
        )

    def test_the_first_that_took_longer_is_shown(self) -> None:
        told = self.told()
        for seq in range(1, 101):
            told.publishes(CAT, 1, seq, late_s=2.0 if seq in (50, 60) else 0.0).gets("desk", CAT, 1, seq)

        finding = judged("latency: {p99: 250ms, p50: 100ms}", told)

        assert violation(finding) == (
            "p99 is 2020.0 ms, expected at most 250ms; 2 of 100 took longer, first desk with (1, 50) of cat: 2020.0 ms"
        )
        assert finding.violation is not None
        assert getattr(finding.violation.record, "seq", None) == 50

    def test_a_share_may_take_longer(self) -> None:
        told = self.told()
        for seq in range(1, 101):
            told.publishes(CAT, 1, seq, late_s=2.0 if seq == 50 else 0.0).gets("desk", CAT, 1, seq)

        assert judged("latency: {p99: 250ms}", told).verdict == "held"
        assert judged("latency: {max: 250ms}", told).verdict == "violated"

    @pytest.mark.parametrize("whom", ["clients: phone", "uploads: dog"])
    def test_nobody_and_nothing_proves_nothing(self, whom: str) -> None:
        told = self.told().publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)

        assert judged(f"latency: {{{whom}, p99: 1s}}", told).verdict == "vacuous"

    def test_what_is_not_theirs_is_not_measured(self) -> None:
        told = story().joins("desk").follows("desk", DOG).publishes(DOG, 1, 1).gets("desk", DOG, 1, 1)

        assert judged("latency: {p99: 1s}", told).verdict == "vacuous"


class TestConnectTime:
    def test_it_holds(self) -> None:
        finding = judged("connect_time: {p99: 100ms}", story().joins("desk", took_s=0.02).joins("phone", took_s=0.05))

        assert (finding.verdict, finding.samples) == ("held", 2)
        assert round(finding.figures["max_s"], 6) == 0.05

    def test_it_took_too_long(self) -> None:
        finding = judged("connect_time: {max: 30ms}", story().joins("desk", took_s=0.02).joins("phone", took_s=0.05))

        assert violation(finding) == "max is 50.0 ms, expected at most 30ms; 1 of 2 took longer, first phone: 50.0 ms"

    def test_whoever_never_came_so_far_proves_nothing(self) -> None:
        assert judged("connect_time: {p99: 1s, clients: tablet}", story().joins("desk", took_s=0.02)).verdict == "vacuous"
