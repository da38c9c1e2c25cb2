"""A Ctrl-C at any moment ends a program, and leaves nothing of it behind."""

import asyncio
import asyncio.base_events
import gc
import os
import random
import secrets
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any, Self

import pytest

from vuemantics_ws.simulation.clock import guard, interrupts, loop, running
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.running import FROZEN_BY_PYTHON_MAX, run_virtually

FILES = {module.__file__ for module in (asyncio.base_events, guard, interrupts, loop, running)}
"""A signal comes between two lines of these."""

LINES_AT_LEAST = 200


class SignalAt:
    """Sends us a SIGINT before one of the lines of :data:`FILES` that are executed from ``run_virtually`` on: before the
    first execution of the one that is new as the given number.
    """

    def __init__(self, number: int) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._number = number
        self._began = False

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        sys.settrace(self._before)

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        self._began = self._began or frame.f_code is run_virtually.__code__
        return self._step if self._began and frame.f_code.co_filename in FILES else None

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in self.lines:
            self.lines.add(place)
            if len(self.lines) == self._number:
                signal.raise_signal(signal.SIGINT)
        return self._step


async def program(loop: VirtualLoop) -> str:
    Process("node:0").start(asyncio.sleep(3600), name="killed")
    loop.create_task(asyncio.sleep(3600))
    await asyncio.sleep(1)
    for task in loop.tasks():
        if task.process is not None:
            loop.kill(task.process)
    return "done"


def world() -> list[object]:
    """What a run changes for a while."""
    functions = [time.monotonic, time.sleep, random.random, os.urandom, secrets.token_bytes]
    collecting = gc.isenabled(), gc.get_freeze_count() > FROZEN_BY_PYTHON_MAX
    return [*functions, random.getstate(), *collecting, signal.getsignal(signal.SIGINT), asyncio._get_running_loop()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # it was made, and not begun yet
def test_an_interrupt_at_any_moment_leaves_nothing_behind() -> None:
    """A loop that is not closed is a warning, and warnings are errors."""
    with SignalAt(0) as whole:
        assert run_virtually(program) == "done"
    assert len(whole.lines) > LINES_AT_LEAST
    before = world()

    for number in range(1, len(whole.lines) + 1):
        with SignalAt(number) as signals, pytest.raises(KeyboardInterrupt):
            run_virtually(program)
        assert len(signals.lines) >= number
        assert world() == before, number
    gc.collect()
