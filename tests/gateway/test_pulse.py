"""The last minute in samples, on a loop whose time the test owns."""

import asyncio
from typing import cast

from tests.gateway.test_timers import Loop
from vuemantics_ws.core.counters import Counters
from vuemantics_ws.gateway.pulse import BEAT_S, SAMPLES_MAX, Pulse


def beating() -> tuple[Loop, Counters, Pulse]:
    loop, counters = Loop(), Counters()
    counters.deliveries = 1_000  # before it began
    pulse = Pulse(counters, cast(asyncio.AbstractEventLoop, loop))
    pulse.start()
    return loop, counters, pulse


def test_a_sample_has_what_grew_in_its_second() -> None:
    loop, counters, pulse = beating()

    counters.events.update({"accepted": 5, "stale": 2, "after_terminal": 1})
    counters.deliveries += 40
    counters.connects += 3
    counters.closes[1012] += 4
    counters.unowned_events += 6
    loop.advance(1_001.0)
    loop.advance(1_002.0)

    assert [tuple(sample) for sample in pulse.samples] == [(8.0, 40.0, 3.0, 4.0, 3.0, 6.0, 0.0), (0.0,) * 7]
    assert pulse.rates() == {
        "events_per_s": [8.0, 0.0], "deliveries_per_s": [40.0, 0.0], "connects_per_s": [3.0, 0.0], "closes_per_s": [4.0, 0.0],
        "refused_per_s": [3.0, 0.0], "loop_lag_s": [0.0, 0.0],
    }  # fmt: skip


def test_a_minute_is_kept() -> None:
    loop, counters, pulse = beating()

    for second in range(SAMPLES_MAX + 5):
        counters.connects += second
        loop.advance(1_001.0 + second)

    assert [sample.connects_per_s for sample in pulse.samples] == [float(second) for second in range(5, SAMPLES_MAX + 5)]


def test_a_loop_that_was_held_is_seen_to_be_late_and_its_rates_are_of_the_time_that_passed() -> None:
    loop, counters, pulse = beating()

    loop.advance(1_000.0 + 3 * BEAT_S)
    counters.deliveries += 90
    assert loop.armed is not None
    _, beat = loop.armed
    loop.now = 1_003.0  # two seconds late
    beat()

    (sample,) = pulse.samples
    assert (sample.loop_lag_s, sample.deliveries_per_s) == (2.0, 30.0)
    assert (pulse.loop_lag_s.count, pulse.loop_lag_s.sum) == (4, 2.0)


def test_a_pulse_that_has_stopped_asks_for_no_more_calls() -> None:
    loop, _, pulse = beating()

    pulse.stop()
    pulse.stop()

    assert loop.armed is None
