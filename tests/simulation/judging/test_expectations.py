"""What a file expects is judged over what happened, and an expectation that saw nothing fails."""

import pytest

from tests.simulation.judging.expecting import CAT, both_follow, desk_and_phone_learn, judged, plan, story, violation
from vuemantics_ws.simulation.format.expected import Expectation
from vuemantics_ws.simulation.judging.expectations import CHECKS, all_have_come, check_expectations


class TestTerminal:
    def test_every_subscriber_learns(self) -> None:
        finding = judged("terminal: {is: completed, within: 1s}", desk_and_phone_learn())

        assert (finding.verdict, finding.samples) == ("held", 2)
        assert finding.about == "all clients learn that all uploads completed within 1s"

    def test_one_does_not(self) -> None:
        told = both_follow().publishes(CAT, 1, 1, end=True).gets("desk", CAT, 1, 1, end=True)

        finding = judged("terminal: {}", told)

        assert violation(finding) == "phone never learned how cat ended"
        assert finding.samples == 2

    def test_the_outcome_is_another(self) -> None:
        assert judged("terminal: {is: failed}", desk_and_phone_learn(failed=True)).verdict == "held"
        assert "learned that cat completed, expected failed" in violation(
            judged("terminal: {is: failed}", desk_and_phone_learn())
        )

    def test_late_counts_from_when_the_event_was_due(self) -> None:
        told = both_follow().publishes(CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True)
        told.waits(2.0).gets("desk", CAT, 1, 1, end=True)

        assert "desk learned that cat completed after 2.0" in violation(judged("terminal: {within: 1s}", told))
        assert judged("terminal: {within: 3s}", told).verdict == "held"

    def test_a_latecomer_counts_from_its_own_subscribe(self) -> None:
        told = story().publishes(CAT, 1, 1, end=True).waits(60.0).joins("desk").joins("phone")
        told.follows("desk", CAT, known=True).gets("desk", CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True)

        assert judged("terminal: {clients: desk, within: 1s}", told).verdict == "held"

    def test_whoever_came_back_counts_from_there_if_the_file_says_so(self) -> None:
        told = story().joins("desk").follows("desk", CAT).leaves("desk", code=1012).publishes(CAT, 1, 1, end=True)
        told.waits(5.0).joins("desk").gets("desk", CAT, 1, 1, end=True)

        assert judged("terminal: {clients: desk, within: 1s, after: reconnect}", told).verdict == "held"
        assert judged("terminal: {clients: desk, within: 1s}", told).verdict == "violated"

    def test_the_end_of_an_earlier_attempt_is_not_enough(self) -> None:
        told = both_follow().publishes(CAT, 1, 1, end=True).gets("desk", CAT, 1, 1, end=True)
        told.publishes(CAT, 2, 1, end=True)

        assert violation(judged("terminal: {clients: desk}", told)) == "desk never learned how cat ended"

    def test_whoever_left_before_is_asked_nothing(self) -> None:
        told = both_follow().leaves("phone").publishes(CAT, 1, 1, end=True).gets("desk", CAT, 1, 1, end=True)

        finding = judged("terminal: {}", told, phone_leaves=True)

        assert (finding.verdict, finding.samples) == ("held", 1)

    @pytest.mark.parametrize("whom", ["{clients: tablet}", "{clients: desk, uploads: dog}"])
    def test_whoever_asks_for_nothing_that_is_theirs_proves_nothing(self, whom: str) -> None:
        assert judged(f"terminal: {whom}", desk_and_phone_learn()).verdict == "vacuous"


class TestReceived:
    def test_bounds_are_of_each_client(self) -> None:
        told = both_follow().gets("desk", CAT, 1, 1).gets("desk", CAT, 1, 2).gets("phone", CAT, 1, 2)

        assert judged("received: {action: upload_progress, clients: desk, min: 2, max: 2}", told).verdict == "held"
        assert violation(judged("received: {action: upload_progress, clients: [desk, phone], min: 2}", told)) == (
            "phone got 1 upload_progress, expected at least 2"
        )
        assert violation(judged("received: {action: upload_progress, clients: [desk, phone], max: 1}", told)) == (
            "desk got 2 upload_progress, expected at most 1"
        )

    def test_bounds_may_be_of_each_upload(self) -> None:
        told = both_follow().gets("desk", CAT, 1, 1)

        finding = judged("received: {action: upload_progress, clients: desk, per: upload, min: 1}", told)

        assert finding.samples == 2
        assert violation(finding) == "desk got 0 upload_progress, expected at least 1"

    def test_only_messages_about_the_named_uploads_count(self) -> None:
        told = both_follow().gets("desk", CAT, 1, 1)

        assert judged("received: {action: upload_progress, clients: desk, uploads: dog, max: 0}", told).verdict == "held"
        assert judged("received: {action: upload_progress, clients: desk, uploads: cat, max: 0}", told).verdict == "violated"

    def test_what_is_about_no_upload_can_be_counted_too(self) -> None:
        told = story().joins("tablet").hears("tablet", "ping")

        assert judged("received: {action: ping, clients: tablet, min: 1, max: 1}", told).verdict == "held"

    def test_silence_proves_something_only_where_somebody_was_connected(self) -> None:
        expectation = "received: {action: upload_progress, clients: tablet, max: 0}"

        assert judged(expectation, story()).verdict == "vacuous"
        assert judged(expectation, story().joins("tablet")).verdict == "held"


class TestClose:
    def test_every_connection_of_a_client_counts(self) -> None:
        told = story().joins("desk").leaves("desk", code=1012).joins("desk").leaves("desk")

        finding = judged("close: {clients: desk, codes: [1000, 1012]}", told)

        assert (finding.verdict, finding.samples) == ("held", 2)
        assert violation(judged("close: {clients: desk, codes: [1000]}", told)) == "desk ended with 1012, expected 1000"

    def test_coming_back_too_often_is_found(self) -> None:
        told = story().joins("desk").leaves("desk", code=1012).joins("desk").leaves("desk")

        assert judged("close: {clients: desk, codes: [1000, 1012], max_reconnects: 1}", told).verdict == "held"
        assert violation(judged("close: {clients: desk, codes: [1000, 1012], max_reconnects: 0}", told)) == (
            "desk came back 1 times, expected at most 0"
        )

    @pytest.mark.parametrize(
        ("when", "verdict"),
        [("within: 1s", "violated"), ("within: 3s", "held"), ("between: 1s..3s", "held"), ("between: 3s..4s", "violated")],
    )
    def test_an_end_has_its_time(self, when: str, verdict: str) -> None:
        told = story().joins("desk").waits(2.0).leaves("desk", code=4001)

        assert judged(f"close: {{clients: desk, codes: [4001], {when}}}", told).verdict == verdict

    def test_a_connection_that_never_ended_proves_nothing(self) -> None:
        assert judged("close: {codes: [1000]}", story().joins("desk")).verdict == "vacuous"


def test_a_violation_shows_what_led_to_it() -> None:
    finding = judged("received: {action: upload_progress, clients: desk, max: 0}", both_follow().gets("desk", CAT, 1, 1))

    assert finding.violation is not None
    assert [type(record).__name__ for record in finding.violation.context][:3] == ["Opened", "Received", "Authenticated"]
    assert finding.violation.context[-1] is finding.violation.record


def test_ends_of_connections_are_not_waited_for() -> None:
    told = both_follow()

    assert all_have_come(plan("close: {codes: [1000]}"), told.history())
    assert not all_have_come(plan("terminal: {}"), told.history())
    assert all_have_come(plan("terminal: {}"), desk_and_phone_learn().history())


def test_what_may_still_come_is_waited_for_and_what_no_waiting_mends_is_not() -> None:
    told = both_follow()

    assert not all_have_come(plan("received: {action: upload_progress, clients: desk, min: 1}"), told.history())
    assert all_have_come(plan("received: {action: subscribed, clients: desk, max: 0}"), told.history())
    assert not all_have_come(plan("sometimes: {that: event dropped}"), told.history())
    assert all_have_come(plan("latency: {p99: 1ms}"), told.history())


def test_every_key_of_the_format_is_judged() -> None:
    assert set(CHECKS) == set(Expectation.model_fields)


def test_what_is_left_out_of_an_arm_is_said_to_be_and_breaks_nothing() -> None:
    late = both_follow().waits().publishes(CAT, 1, 1, late_s=1.0).gets("desk", CAT, 1, 1)

    finding = judged("latency: {p99: 1ms, modes: [real]}", late, arm="virtual")

    assert (finding.verdict, finding.samples, finding.is_good) == ("not judged here", 0, True)
    assert judged("latency: {p99: 1ms, modes: [real]}", late, arm="real").verdict == "violated"


def test_what_might_still_have_come_is_not_missed_in_a_run_that_was_interrupted() -> None:
    told = both_follow().publishes(CAT, 1, 1, late_s=0.2).gets("desk", CAT, 1, 1)

    (never_learned,) = check_expectations(plan("terminal: {}"), told.history(), interrupted=True)
    (too_many,) = check_expectations(
        plan("received: {action: upload_progress, clients: desk, max: 0}"), told.history(), interrupted=True
    )

    assert (never_learned.verdict, never_learned.samples) == ("vacuous", 0)
    assert too_many.verdict == "violated"


class TestLeavingEarly:
    def test_whoever_left_before_the_time_was_over_may_have_missed_it(self) -> None:
        told = both_follow().publishes(CAT, 1, 1, end=True).gets("desk", CAT, 1, 1, end=True).leaves("phone")

        finding = judged("terminal: {within: 1s}", told, phone_leaves=True)

        assert (finding.verdict, finding.samples) == ("held", 1)

    def test_what_it_learned_all_the_same_must_be_right(self) -> None:
        told = desk_and_phone_learn(failed=True).leaves("phone")

        finding = judged("terminal: {is: completed, clients: phone, within: 1s}", told, phone_leaves=True)

        assert "phone learned that cat failed, expected completed" in violation(finding)


def test_an_end_is_late_by_its_own_time_and_not_by_that_of_a_straggler() -> None:
    told = both_follow().publishes(CAT, 1, 1, end=True).waits(1.9).publishes(CAT, 1, 2, verdict="after_terminal", messy=True)
    told.gets("desk", CAT, 1, 1, end=True)

    assert "after 1.9" in violation(judged("terminal: {clients: desk, within: 1s}", told))


def test_the_end_of_a_stall_counts_from_the_last_event() -> None:
    told = both_follow().publishes(CAT, 1, 1).waits(3.0).gets("desk", CAT, 1, 2, end=True, failed=True)

    assert judged("terminal: {clients: desk, is: failed, within: 4s}", told).verdict == "held"
    assert "after 3.0" in violation(judged("terminal: {clients: desk, is: failed, within: 2s}", told))
