"""Runs a program in virtual time, from its beginning until nothing of it is left."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from vuemantics_ws.simulation.clock.burying import bury
from vuemantics_ws.simulation.clock.guard import guard
from vuemantics_ws.simulation.clock.interrupts import interrupts_held
from vuemantics_ws.simulation.clock.loop import STEPS_MAX, BusyLoop, Deadlock, Overrun, VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.telling import listed, told
from vuemantics_ws.simulation.dice import stream

T = TypeVar("T")

COLLECT_EVERY = 250_000
"""Steps between two collections of garbage."""

FROZEN_BY_PYTHON_MAX = 1_000
"""Of what is there at its start the collector leaves out some hundred objects in Python 3.12."""

ENDING_S = 60.0
"""Virtual seconds for what is left after the end to end when it is told to."""


class StillRunning(RuntimeError):
    """The program has ended, and something that it started does not."""


def run_virtually(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    shuffle: bool = True,
    steps_max: int = STEPS_MAX,
    collect_every: int = COLLECT_EVERY,
    ends_by: float = float("inf"),
) -> T:
    """Run a program in a loop of its own, and return what it returns. The same seed, the same steps.

    What it leaves is told to end, in the order in which it began; what is left of the processes that were killed is buried.
    Garbage is collected at the same steps in each run, and of what was there before nothing is looked at. Ctrl-C ends it at any
    moment, and leaves nothing of it.

    Args:
        seed: of all chance: of the order of timers, and of what libraries draw on their own.
        shuffle: timers that are due at the same instant run in the dice's order, else in that in which they were set.
        steps_max: calls at one instant before it counts as a busy loop.
        collect_every: steps between two collections of garbage.
        ends_by: seconds after which nothing may be left to happen.

    Raises:
        Deadlock: it would wait for ever.
        BusyLoop: its clock does not get on.
        Overrun: it goes on after its end.
        StillRunning: something of it does not end.
        Exception: whatever it raises.
    """
    dice = stream(seed, "loop", "order") if shuffle else None
    with interrupts_held() as let_through, _collecting_ourselves(), guard(stream(seed, "loop", "others")):
        loop = VirtualLoop(dice=dice, steps_max=steps_max, collect_every=collect_every, ends_by=ends_by)
        loop.let_through = let_through
        try:
            task = loop.create_task(main(loop), name="main")
            return _run_to_its_end(loop, task)
        finally:
            _abandon(loop)
            bury(loop)
            loop.close()
            del loop, task  # else the collector that ends this finds them in use


def _run_to_its_end(loop: VirtualLoop, task: "asyncio.Task[T]") -> T:
    """With all that it started. Where it is interrupted nothing of it can go on."""
    try:
        result = loop.run_until_complete(task)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        if task.done():
            _end_the_rest(loop, failed=True)
        raise
    _end_the_rest(loop, failed=False)
    return result


def _end_the_rest(loop: VirtualLoop, *, failed: bool) -> None:
    """Where the program has failed, that is what its caller gets to know, whatever else goes wrong."""
    for process in {task.process: None for task in loop.tasks()}:
        if process is not None and process.is_paused:
            loop.kill(process)
    left: list[asyncio.Task[Any]] = []
    try:
        left = loop.run_until_complete(_end_tasks(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())
        gc.collect()  # while whoever hears of what went wrong can still be told
    except (Deadlock, BusyLoop, Overrun):
        if not failed:
            raise
    if left and not failed:
        raise StillRunning(
            f"after {ENDING_S:g} s these had not ended, though they were cancelled:\n{listed([*map(told, left)])}"
        )


async def _end_tasks(loop: VirtualLoop) -> "list[asyncio.Task[Any]]":
    """Those that do not end."""
    until = loop.time() + ENDING_S
    while left := [task for task in loop.tasks() if task is not asyncio.current_task()]:
        if loop.time() >= until:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=until - loop.time())
    return [*left]


def _abandon(loop: VirtualLoop) -> None:
    """What has not ended now never will."""
    rest = Process("what was left")
    loop.kill(rest)
    for task in loop.tasks():
        task.die(rest)


@contextmanager
def _collecting_ourselves() -> Iterator[None]:
    """Nobody else collects garbage, and what was there before is left out of it, since to look at all that takes long.

    At the end nothing is left: what the next run of many would find, asyncio's list of all tasks too, would only grow.
    """
    was_enabled, is_frozen = gc.isenabled(), gc.get_freeze_count() > FROZEN_BY_PYTHON_MAX
    gc.disable()
    if not is_frozen:
        gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        if not is_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()
