"""Processes of the virtual world: what is started in one belongs to it, and is paused or killed with it."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_HERE: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Killed(Exception):
    """A process is dead: it can be asked nothing, and what others still wait for of it will not come."""


class Process:
    """A process of the virtual world.

    Whatever is called, timed or started by code that runs in it belongs to it, since callbacks and tasks inherit their
    context. It is paused, resumed and killed by the loop that runs it, which says what each means
    (:class:`~vuemantics_ws.simulation.clock.loop.VirtualLoop`).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_paused = False
        self.is_dead = False
        self.held: list[asyncio.Handle] = []
        """What became due while it was paused or dead, in order. The loop's."""
        self.remains: list[object] = []
        """What is left of it after its death. Kept until the loop closes, since to free it could run code of the dead.

        Whoever holds something of it that would not like to be forgotten, as a connection that was never closed, adds it.
        """
        self.context = contextvars.copy_context()
        self.context.run(_HERE.set, self)

    def __repr__(self) -> str:
        state = "dead" if self.is_dead else "paused" if self.is_paused else "alive"
        return f"<Process {self.name!r}, {state}>"

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call something in it, now. Whether it is paused is not asked, so that others can look into it.

        Raises:
            Killed: it is dead.
        """
        self._must_live()
        return self.context.copy().run(function, *arguments)

    def start(self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> "asyncio.Task[T]":
        """Start a task in it. Whoever waits for the task from outside gets :class:`Killed` when the process dies.

        Raises:
            Killed: it is dead.
        """
        try:
            self._must_live()
        except Killed:
            coroutine.close()  # else it would complain that nobody awaited it
            raise
        return asyncio.get_running_loop().create_task(coroutine, name=name, context=self.context.copy())

    def _must_live(self) -> None:
        if self.is_dead:
            raise Killed(f"{self.name} is dead")


def process_of(context: contextvars.Context) -> Process | None:
    """Whose context it is; None where it is nobody's, which is the world's own."""
    return context.get(_HERE)


def here() -> Process | None:
    """In which process the caller runs; None in the world itself."""
    return _HERE.get()
