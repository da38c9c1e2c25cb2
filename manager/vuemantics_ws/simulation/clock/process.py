"""Processes of the virtual world: what is started in one belongs to it, and is paused or killed with it."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_HERE: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Process:
    """A process of the virtual world.

    Whatever is called, timed or started by code that runs in it belongs to it, since callbacks and tasks inherit their
    context. While it is paused none of that runs, and what becomes due waits in order; after its death none of it ever does.

    The loop that runs it is a :class:`~vuemantics_ws.simulation.clock.loop.VirtualLoop`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_paused = False
        self.is_dead = False
        self.held: list[asyncio.Handle] = []
        """What became due while it was paused, in order. The loop's."""
        self.context = contextvars.copy_context()
        self.context.run(_HERE.set, self)

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call something in it, now."""
        return self.context.copy().run(function, *arguments)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start a task in it."""
        return asyncio.get_running_loop().create_task(coroutine, context=self.context.copy())


def process_of(context: contextvars.Context) -> Process | None:
    """Whose context it is; None where it is nobody's, which is the world's own."""
    return context.get(_HERE)


def here() -> Process | None:
    """In which process the caller runs."""
    return _HERE.get()
