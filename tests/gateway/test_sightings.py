"""What is remembered of each upload's events, and for how long."""

import pytest

from vuemantics_ws.gateway.sightings import WINDOW_S, Sightings


class Seen:
    """A table whose time and living uploads the test sets."""

    def __init__(self, *, lingers_s: float = 0.0) -> None:
        self.now = 1_000.0
        self.living: set[str] = set()
        self.table = Sightings(lives=self.living.__contains__, now=lambda: self.now, lingers_s=lingers_s)

    def event(self, upload_id: str = "u", verdict: str = "accepted", *, attempt: int = 1, terminal: bool = False) -> None:
        self.table.take({"upload_id": upload_id, "verdict": verdict, "attempt": attempt, "seq": 1, "terminal": terminal})


def test_each_verdict_is_counted_by_itself() -> None:
    seen = Seen()

    for verdict, times in (("accepted", 4), ("duplicate", 3), ("stale", 2), ("after_terminal", 1)):
        for _ in range(times):
            seen.event(verdict=verdict)

    found = seen.table.get("u")
    assert found is not None
    assert (found.accepted, found.duplicate, found.stale, found.after_terminal, found.refused) == (4, 3, 2, 1, 3)
    assert seen.table.get("v") is None


@pytest.mark.parametrize("per_s", [1, 4, 20])
def test_a_steady_rate_is_told_as_it_is(per_s: int) -> None:
    seen = Seen()

    for _ in range(30 * per_s):
        seen.event()
        seen.now += 1 / per_s

    found = seen.table.get("u")
    assert found is not None
    assert found.rate_per_s(seen.now) == pytest.approx(per_s, rel=0.25)


def test_a_rate_ends_soon_after_the_events() -> None:
    seen = Seen()
    for _ in range(100):
        seen.event()

    found = seen.table.get("u")
    assert found is not None
    assert found.rate_per_s(seen.now) == 20
    assert 0 < found.rate_per_s(seen.now + WINDOW_S * 1.5) < 20
    assert found.rate_per_s(seen.now + WINDOW_S * 2) == 0


def test_the_time_to_the_end_is_that_of_the_attempt() -> None:
    seen = Seen()

    for attempt, lasts_s in ((1, 3.0), (2, 20.0)):
        seen.event(attempt=attempt)
        seen.now += lasts_s
        seen.event("u", "stale", attempt=1)
        seen.event(attempt=attempt, terminal=True)
        seen.now += 100.0

    took = seen.table.time_to_terminal_s
    assert (took.count, took.sum) == (2, 23.0)


def test_an_upload_that_lives_keeps_its_place() -> None:
    seen = Seen()
    seen.living.update(f"u{number}" for number in range(10))

    for number in range(10):
        seen.event(f"u{number}")
    for number in range(1_000):
        seen.event(f"short-{number}")

    assert [found.number for number in range(10) if (found := seen.table.get(f"u{number}"))] == list(range(1, 11))


def test_what_lives_no_more_is_forgotten_by_those_that_come() -> None:
    seen = Seen()
    seen.living.update(f"u{number}" for number in range(100))

    for number in range(10_000):
        seen.event(f"short-{number}")
        if number < 100:
            seen.event(f"u{number}")
        assert len(seen.table) <= 2 * 100 + 2

    assert all(seen.table.get(f"u{number}") for number in range(100))


def test_one_that_may_live_elsewhere_is_kept_for_a_while() -> None:
    seen = Seen(lingers_s=60.0)
    seen.event("elsewhere")

    seen.now += 59.0
    for number in range(100):
        seen.event(f"new-{number}")
    kept = seen.table.get("elsewhere")
    seen.now += 61.0
    for number in range(300):
        seen.event(f"newer-{number}")

    assert kept is not None
    assert seen.table.get("elsewhere") is None
