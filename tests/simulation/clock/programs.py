"""Runs little programs in virtual time, and generated ones in it and in asyncio's own loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.running import run_virtually

T = TypeVar("T")

Trace = list[tuple[Any, ...]]


def traced(program: Callable[[VirtualLoop, Trace], Coroutine[Any, Any, Any]], **options: Any) -> Trace:
    """What a program noted while it ran."""
    trace: Trace = []
    run_virtually(lambda loop: program(loop, trace), **options)
    return trace


class Action(NamedTuple):
    """One thing that one of several tasks does."""

    verb: str
    other: int
    """Of the tasks, the queues or the locks."""

    tenths: int
    """Of a second."""


async def play(plans: list[list[Action]], trace: Trace) -> None:
    """Tasks that sleep, wait, lock, hand over and cancel each other as they were told, and note all of it."""
    loop = asyncio.get_running_loop()
    queues = [asyncio.Queue[int](1) for _ in range(2)]
    locks = [asyncio.Lock() for _ in range(2)]
    tasks: list[asyncio.Task[None]] = []
    began = loop.time()

    def note(number: int, *what: object) -> None:
        trace.append((round(loop.time() - began, 3), number, *what))

    async def one(number: int, action: Action) -> None:
        pause_s = action.tenths / 10
        match action.verb:
            case "sleep":
                await asyncio.sleep(pause_s)
            case "put":
                async with asyncio.timeout(1 + pause_s):
                    await queues[action.other % 2].put(number)
            case "get":
                async with asyncio.timeout(1 + pause_s):
                    note(number, "got", await queues[action.other % 2].get())
            case "lock":
                async with locks[action.other % 2]:
                    await asyncio.sleep(pause_s)
            case "cancel":
                tasks[action.other % len(tasks)].cancel()
            case "group":
                async with asyncio.TaskGroup() as group:
                    for index in range(action.other % 3 + 2):
                        group.create_task(fail_after(number, index, pause_s))
            case "gather":
                await asyncio.gather(*(asyncio.sleep(pause_s) for _ in range(3)))
            case "later":
                loop.call_later(pause_s, note, number, "later")

    async def fail_after(number: int, index: int, pause_s: float) -> None:
        try:
            await asyncio.sleep(pause_s if index == 1 else 1 + pause_s)
            raise LookupError
        finally:
            note(number, "member", index)

    async def act(number: int, actions: list[Action]) -> None:
        for action in actions:
            try:
                await one(number, action)
                note(number, action.verb)
            except (TimeoutError, ExceptionGroup) as error:
                note(number, action.verb, type(error).__name__)

    tasks += [asyncio.ensure_future(act(number, plan)) for number, plan in enumerate(plans)]
    for number, outcome in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
        note(number, "ended", type(outcome).__name__)


VERBS = ("sleep", "put", "get", "lock", "cancel", "group", "gather", "later")
