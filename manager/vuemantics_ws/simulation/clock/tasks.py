"""Tasks that have a number, by which they are told apart and put in order."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

from vuemantics_ws.simulation.clock.process import Killed, Process, process_of

T = TypeVar("T")


class VirtualTask(asyncio.Task[T]):
    """A task that knows whose it is, and its number in the order in which tasks were made.

    Its number is its hash. ``asyncio.TaskGroup`` cancels what it holds in the order of a set, and ``asyncio.wait`` returns
    sets: by their addresses in memory, tasks would stand in another order in each run.
    """

    __slots__ = ("number", "process")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: contextvars.Context,
        number: int,
    ) -> None:
        self.number = number
        self.process: Process | None = process_of(context)
        super().__init__(coroutine, loop=loop, name=name or f"task {number}", context=context)

    def __hash__(self) -> int:
        return self.number

    def die(self, process: Process) -> None:
        """A process was killed that it was part of. Its coroutine stays as it is, among what remains of the process.

        Whoever waits for it from outside gets :class:`Killed`.
        """
        process.remains.append(self)
        asyncio.Future.set_exception(self, Killed(f"{process.name} was killed"))  # what a task itself would not allow
        self._log_traceback = False


def whose(context: dict[str, Any]) -> Process | None:
    """Whose fault it is that an exception handler is told of; None for the world's own."""
    task = context.get("task") or context.get("future")
    if isinstance(task, VirtualTask):
        return task.process
    step = context.get("handle")
    return process_of(step._context) if isinstance(step, asyncio.Handle) else None  # type: ignore[attr-defined]
