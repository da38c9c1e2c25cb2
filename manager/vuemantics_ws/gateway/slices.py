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
        """The rows, some at once, with a rest whenever a slice is over.

        The first comes alone, and then more and more at once, as long as that stays within a slice: what is asked of a row may
        take a microsecond or a millisecond.
        """
        now, left, some_max = self._now, iter(rows), 1
        began_at = now()
        until = began_at + SLICE_S
        while some := list(islice(left, some_max)):
            yield some
            ended_at = now()
            some_max = min(2 * some_max, at_once) if ended_at - began_at <= SLICE_S else max(1, some_max // 2)
            if ended_at >= until:
                await asyncio.sleep(REST_S)
                ended_at = now()
                until = ended_at + SLICE_S
            began_at = ended_at
