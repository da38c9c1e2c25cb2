"""Long looks at the tables that hold up nobody."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import islice
from typing import TypeVar

from vuemantics_ws.ambient import Clock

SLICE_S = 0.0005
REST_S = 0.001
"""For so long a look holds the loop at once, and rests then: what is published takes several turns of the loop, and a look that
took one between each two of them would delay it by as many slices."""

R = TypeVar("R")


class Slices:
    """Goes through rows a slice at a time, for one look after the other: however many look, the loop is held for one slice.

    ``async with slices.turn`` waits for the others' looks to end. A look takes many turns of the loop, so what it goes through
    must bear being changed meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self.turn = asyncio.Lock()
        self._now = clock.monotonic

    async def each(self, rows: Iterable[R], *, at_once: int = 32) -> AsyncGenerator[list[R], None]:
        """The rows, some at once, with a rest whenever a slice is over."""
        now, left = self._now, iter(rows)
        until = now() + SLICE_S
        while some := list(islice(left, at_once)):
            yield some
            if now() >= until:
                await asyncio.sleep(REST_S)
                until = now() + SLICE_S
