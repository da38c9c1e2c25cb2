"""Long looks a slice at a time."""

import asyncio
from contextlib import aclosing

from tests.brokers.benches import HandClock
from vuemantics_ws.gateway.slices import SLICE_S, Slices


def sizes(*takes_s: float) -> list[int]:
    """How many rows come at once, where each of them takes so long."""

    async def scenario() -> list[int]:
        clock = HandClock()
        seen = []
        async with aclosing(Slices(clock).each(takes_s)) as chunks:
            async for chunk in chunks:
                clock.now += sum(chunk)
                seen.append(len(chunk))
        return seen

    return asyncio.run(scenario())


def test_rows_that_take_no_time_come_more_and_more_at_once() -> None:
    assert sizes(*[0.0] * 100) == [1, 2, 4, 8, 16, 32, 32, 5]


def test_rows_that_take_long_come_one_by_one() -> None:
    assert sizes(*[2 * SLICE_S] * 5) == [1, 1, 1, 1, 1]


def test_where_rows_begin_to_take_long_fewer_come_at_once() -> None:
    assert sizes(*[0.0] * 63, *[2 * SLICE_S] * 64) == [1, 2, 4, 8, 16, 32, 32, 16, 8, 4, 2, 1, 1]
