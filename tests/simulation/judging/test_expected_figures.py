"""Expectations about numbers: of refused events, of the server's own figures, of rates, of complaints."""

import pytest

from tests.simulation.judging.expecting import CAT, both_follow, judged, story, violation
from tests.simulation.judging.histories import Story


class TestDropped:
    def told(self) -> Story:
        told = story().publishes(CAT, 1, 1).publishes(CAT, 1, 1, verdict="duplicate", messy=True)
        return told.publishes(CAT, 1, 2).publishes(CAT, 1, 1, verdict="stale", messy=True)

    @pytest.mark.parametrize("bound", ["min: 1", "max: 1", "min: 1, max: 1", "uploads: cat, min: 1"])
    def test_as_many_as_expected(self, bound: str) -> None:
        finding = judged(f"dropped: {{reason: stale, {bound}}}", self.told())

        assert (finding.verdict, finding.samples) == ("held", 4)

    def test_too_few(self) -> None:
        assert violation(judged("dropped: {reason: after_terminal, min: 1}", self.told())) == (
            "0 events were after_terminal, expected at least 1"
        )

    def test_too_many_shows_the_first_that_was_too_many(self) -> None:
        told = self.told().publishes(CAT, 1, 1, verdict="stale", messy=True).publishes(CAT, 1, 1, verdict="stale", messy=True)

        finding = judged("dropped: {reason: stale, max: 1}", told)

        assert violation(finding) == "2 events were stale, expected at most 1"
        assert finding.violation is not None
        assert finding.violation.record is told.records[-2]

    def test_where_nothing_was_published_nothing_is_proved(self) -> None:
        assert judged("dropped: {reason: stale, max: 0}", story()).verdict == "vacuous"
        assert judged("dropped: {reason: stale, uploads: dog, max: 0}", self.told()).verdict == "vacuous"


class TestServer:
    def test_a_figure_stays_within_its_bounds(self) -> None:
        told = story().measures(outbox_bytes=100).measures(outbox_bytes=300_000).is_over()

        finding = judged("server: {metric: outbox_bytes, max: 300kB}", told)

        assert (finding.verdict, finding.samples, finding.figures) == ("held", 3, {"most": 300_000})
        assert violation(judged("server: {metric: outbox_bytes, max: 299kB}", told)) == (
            "outbox_bytes was 300000, expected at most 299000"
        )

    def test_min_is_what_it_reaches_once(self) -> None:
        told = story().measures().measures(connections=7).measures(connections=2)

        assert judged("server: {metric: connections, min: 7}", told).verdict == "held"
        assert violation(judged("server: {metric: connections, min: 8}", told)) == "connections was 7, expected at least 8"

    def test_counters_are_figures_too(self) -> None:
        told = story().counts(deliveries=3).counts(deliveries=9, **{"events.stale": 2})

        assert judged("server: {metric: deliveries, min: 9, max: 9}", told).verdict == "held"
        assert judged("server: {metric: events.stale, max: 1}", told).verdict == "violated"

    @pytest.mark.parametrize("metric", ["events.after_terminal", "closes.4008", "limits.connections_max"])
    def test_a_kind_of_which_there_was_none_counts_nothing(self, metric: str) -> None:
        finding = judged(f"server: {{metric: {metric}, max: 0}}", story().counts(deliveries=3))

        assert (finding.verdict, finding.samples) == ("held", 1)

    @pytest.mark.parametrize("metric", ["unowned_events", "conflated", "shutdown_seconds"])
    def test_what_the_server_never_said_proves_nothing(self, metric: str) -> None:
        assert judged(f"server: {{metric: {metric}, max: 0}}", story().counts(deliveries=3).is_over()).verdict == "vacuous"

    def test_how_long_a_stop_took_is_one_of_them(self) -> None:
        told = story().is_over(took_s=11.5)

        assert judged("server: {metric: shutdown_seconds, max: 12s}", told).verdict == "held"
        assert violation(judged("server: {metric: shutdown_seconds, max: 10s}", told)) == (
            "shutdown_seconds was 11.5, expected at most 10"
        )


class TestRate:
    def bursts(self) -> Story:
        """Ten events within a tenth of a second, one second of nothing, and ten more."""
        told = story()
        for seq in range(1, 11):
            told.publishes(CAT, 1, seq)
        told.waits(1.0)
        for seq in range(11, 21):
            told.publishes(CAT, 1, seq)
        return told

    def test_within_bounds(self) -> None:
        finding = judged("rate: {of: events, max: 10/s}", self.bursts())

        assert (finding.verdict, finding.samples, finding.figures) == ("held", 20, {"most_a_second": 10.0})

    def test_a_burst_is_found_wherever_its_window_begins(self) -> None:
        finding = judged("rate: {of: events, max: 5/s, window: 100ms}", self.bursts())

        assert violation(finding) == "1 events within 100ms, expected at most 5 a second"
        assert violation(judged("rate: {of: events, max: 10/s, window: 1.2s}", self.bursts())) == (
            "13 events within 1.2s, expected at most 10 a second"
        )

    def test_a_gap_is_found(self) -> None:
        assert judged("rate: {of: events, min: 1/s, window: 2s}", self.bursts()).verdict == "held"
        assert violation(judged("rate: {of: events, min: 1/s, window: 1s}", self.bursts())) == (
            "0 events within 1s, expected at least 1 a second"
        )

    def test_connects_closes_and_deliveries_have_rates_of_the_clients_that_are_named(self) -> None:
        told = both_follow().gets("desk", CAT, 1, 1).leaves("desk", code=1012).joins("desk")

        assert judged("rate: {of: connects, max: 3/s}", told).samples == 3
        assert judged("rate: {of: connects, clients: phone, max: 1/s}", told).verdict == "held"
        assert judged("rate: {of: connects, clients: desk, max: 1/s}", told).verdict == "violated"
        assert judged("rate: {of: closes, max: 1/s}", told).samples == 1
        assert judged("rate: {of: deliveries, max: 1/s}", told).samples == 1

    def test_the_goodbyes_at_the_end_are_no_rate(self) -> None:
        finding = judged("rate: {of: closes, max: 1/s}", both_follow().is_over())

        assert (finding.verdict, finding.samples) == ("held", 2), "that nobody had to go was seen of two"

    @pytest.mark.parametrize("what", ["of: events, max: 1/s", "of: connects, max: 1/s", "of: closes, max: 1/s"])
    def test_where_nothing_could_happen_nothing_is_proved(self, what: str) -> None:
        assert judged(f"rate: {{{what}}}", story()).verdict == "vacuous"

    def test_a_least_rate_of_nothing_proves_nothing(self) -> None:
        assert judged("rate: {of: deliveries, min: 1/s}", both_follow()).verdict == "vacuous"


class TestErrors:
    def told(self) -> Story:
        return both_follow().is_refused("desk", "upload_limit").is_refused("desk", "bad_message")

    def test_as_many_as_expected(self) -> None:
        assert judged("errors: {clients: desk, min: 2, max: 2}", self.told()).verdict == "held"
        assert judged("errors: {clients: desk, code: upload_limit, min: 1, max: 1}", self.told()).verdict == "held"
        assert judged("errors: {clients: phone, max: 0}", self.told()).verdict == "held"

    def test_too_many_and_too_few(self) -> None:
        assert violation(judged("errors: {max: 1}", self.told())) == "desk got 2 errors, expected at most 1"
        assert violation(judged("errors: {clients: phone, code: forbidden, min: 1}", self.told())) == (
            "phone got 0 errors forbidden, expected at least 1"
        )

    def test_whoever_was_never_connected_proves_nothing(self) -> None:
        assert judged("errors: {clients: tablet, max: 0}", self.told()).verdict == "vacuous"
