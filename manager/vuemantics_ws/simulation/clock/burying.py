"""What is done with the dead when a run is over."""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.tasks import VirtualTask

TRIES_MAX = 100
"""How often a coroutine is told to end: it may await something in each ``finally`` that it is in."""

_UNDYING: list[object] = []
"""Coroutines that would not end. Kept for as long as the program runs, since it would be told about them otherwise."""


def bury(loop: VirtualLoop) -> None:
    """End what the processes of a loop left that were killed, so that nobody sees it. The loop must not run any more.

    Python gives a suspended coroutine no other end than to run its ``finally`` clauses. That happens here: what they call,
    time or start goes nowhere, and what they log, warn of or raise is not heard.
    """
    if not loop.dead:
        return
    with _in_silence(), loop.nothing_happens():
        for process in loop.dead:
            for left in process.remains:
                if isinstance(left, VirtualTask):
                    process.context.copy().run(_end, loop, left)
            process.remains.clear()
            process.held.clear()
        loop.dead.clear()
        gc.collect()


def _end(loop: VirtualLoop, task: VirtualTask[Any]) -> None:
    """As if it ran: who catches everything and tries again would do so for ever where all that it calls is refused."""
    coroutine: Any = task.get_coro()
    asyncio._set_running_loop(loop)
    asyncio.tasks._enter_task(loop, task)
    try:
        for _ in range(TRIES_MAX):
            try:
                coroutine.close()
            except RuntimeError:  # it awaits something, or failed
                continue
            except BaseException:  # noqa: BLE001 - whatever it is, it is over now
                return
            else:
                return
        _UNDYING.append(coroutine)
    finally:
        asyncio.tasks._leave_task(loop, task)
        asyncio._set_running_loop(None)


@contextmanager
def _in_silence() -> Iterator[None]:
    heard, told = logging.root.manager.disable, sys.unraisablehook
    logging.disable()
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = told
        logging.disable(heard)
