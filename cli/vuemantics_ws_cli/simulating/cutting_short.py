"""An end, before its time, of what computes and never looks up."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from vuemantics_ws.ambient import SystemClock


class Deadline:
    """What is left of a time limit, which may be None for none."""

    def __init__(self, after_s: float | None) -> None:
        self._clock = SystemClock()
        self._until = None if after_s is None else self._clock.monotonic() + after_s

    @property
    def left_s(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - self._clock.monotonic())


class Limit:
    """Whether the time was over."""

    is_over = False


@contextlib.contextmanager
def cut_short(after_s: float | None, limit: Limit) -> Iterator[None]:
    """Raise KeyboardInterrupt in the midst of what is done meanwhile: after so long, at a SIGTERM, and at a SIGHUP.

    As Ctrl-C does, since nobody catches that by accident. ``after_s`` of None is never. ``limit`` is the
    caller's, since a time that is over at once is over before this could give anything back. Must be used in the main thread.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        limit.is_over = limit.is_over or number == signal.SIGALRM
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of a job in the background of a shell without job control
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # which a loop that runs meanwhile makes an orderly end of

    numbers = [signal.SIGTERM, signal.SIGHUP, *([signal.SIGALRM] if after_s is not None else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    timer = None
    try:
        if after_s is not None:
            timer = signal.setitimer(signal.ITIMER_REAL, max(after_s, 0.000_001))
        yield
    finally:
        if timer is not None:
            signal.setitimer(signal.ITIMER_REAL, *timer)
        for number, handler in before.items():
            signal.signal(number, handler)
