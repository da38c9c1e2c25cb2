"""Deadlines in one place. Driven by a loop whose time the test owns, so nothing waits."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from vuemantics_ws.gateway.timers import NEVER, RESOLUTION_S, Timers


class Loop:
    """The two calls of a loop that Timers makes, with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.armed: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        self.armed = (when, callback)
        return self

    def cancel(self) -> None:
        self.armed = None

    def advance(self, to: float) -> None:
        while self.armed is not None and self.armed[0] <= to:
            when, callback = self.armed
            self.armed = None
            self.now = max(self.now, when)
            callback()
        self.now = to


class Alarm:
    def __init__(self, *again: float) -> None:
        self.due_tick = 0
        self.called_at: list[float] = []
        self._again = list(again)

    def on_timer(self, now: float) -> float:
        self.called_at.append(now)
        return self._again.pop(0) if self._again else NEVER


def _timers() -> tuple[Loop, Timers]:
    loop = Loop()
    return loop, Timers(cast(asyncio.AbstractEventLoop, loop))


def test_a_call_comes_at_its_time_or_within_the_resolution_after() -> None:
    loop, timers = _timers()
    alarms = [(1_000 + offset / 97, Alarm()) for offset in range(1, 400)]
    for at, alarm in alarms:
        timers.schedule(alarm, at)

    loop.advance(1_010)

    for at, alarm in alarms:
        assert len(alarm.called_at) == 1
        assert at <= alarm.called_at[0] <= at + RESOLUTION_S + 1e-9


def test_an_earlier_wish_replaces_a_later_one_and_not_the_other_way() -> None:
    loop, timers = _timers()
    earlier, later = Alarm(), Alarm()
    timers.schedule(earlier, 1_009)
    timers.schedule(earlier, 1_002)
    timers.schedule(later, 1_002)
    timers.schedule(later, 1_009)

    loop.advance(1_010)

    assert earlier.called_at == [1_002]
    assert later.called_at == [1_002]


def test_what_is_called_says_when_it_wants_to_be_called_again() -> None:
    loop, timers = _timers()
    alarm = Alarm(1_003, 1_004, NEVER)
    timers.schedule(alarm, 1_001)

    loop.advance(1_100)

    assert alarm.called_at == [1_001, 1_003, 1_004]
    assert loop.armed is None


def test_a_cancelled_call_does_not_come() -> None:
    loop, timers = _timers()
    alarm = Alarm()
    timers.schedule(alarm, 1_001)

    timers.cancel(alarm)
    loop.advance(1_002)

    assert alarm.called_at == []


def test_a_time_that_has_passed_is_due_at_once() -> None:
    loop, timers = _timers()
    alarm = Alarm()
    timers.schedule(alarm, 5.0)

    loop.advance(1_000)

    assert alarm.called_at == [1_000]


def test_stopping_forgets_everything() -> None:
    loop, timers = _timers()
    alarm = Alarm()
    timers.schedule(alarm, 1_001)

    timers.stop()

    assert loop.armed is None
