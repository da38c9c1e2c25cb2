"""Asynchronous generators that have begun, in the order in which they did."""

import contextvars
from collections.abc import AsyncGenerator, Iterator
from typing import Any
from weakref import ref

from vuemantics_ws.simulation.clock.process import process_of

Generator = AsyncGenerator[Any, Any]

KEPT_MIN = 1000
"""Below that, those that have ended are not looked for."""


class Generators:
    """What a loop has in the place of asyncio's set of them, which is in the order of their addresses in memory.

    By address, too, but for looking up alone: one that is being freed has lost its weak references before it is asked for.
    """

    def __init__(self) -> None:
        self._begun: dict[int, tuple[ref[Generator], contextvars.Context]] = {}
        self._look_at = KEPT_MIN

    def add(self, generator: Generator) -> None:
        self._begun.pop(id(generator), None)  # somebody else's, of before
        self._begun[id(generator)] = ref(generator), contextvars.copy_context()
        if len(self._begun) >= self._look_at:
            self._begun = {key: begun for key, begun in self._begun.items() if begun[0]() is not None}
            self._look_at = max(KEPT_MIN, 2 * len(self._begun))

    def take(self, generator: Generator) -> contextvars.Context | None:
        """Where it began. It is forgotten here."""
        begun = self._begun.pop(id(generator), None)
        return None if begun is None else begun[1]

    def discard(self, generator: Generator) -> None:
        self.take(generator)

    def __iter__(self) -> Iterator[Generator]:
        """Those that live, and whose process does."""
        for reference, context in self._begun.values():
            generator, process = reference(), process_of(context)
            if generator is not None and (process is None or not process.is_dead):
                yield generator

    def __len__(self) -> int:
        return len(self._begun)

    def clear(self) -> None:
        self._begun.clear()
