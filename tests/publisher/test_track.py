"""Going over something, and saying how far that is."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from vuemantics_ws.publisher.track import Track


def tracked(items: object, said: list[int], total: int | None = None, begins: int = 10, ends: int = 20) -> "Track[int]":
    return Track(items, said.append, total=total, begins=begins, ends=ends)  # type: ignore[arg-type]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def gone_over(track: "Track[int]") -> list[int]:
    return [item async for item in track]


def test_each_percent_is_said_once_from_the_first_to_the_last() -> None:
    said: list[int] = []

    items = list(tracked(range(1000), said))

    assert items == list(range(1000))
    assert said == list(range(10, 21))


def test_an_item_is_done_when_the_next_one_is_asked_for() -> None:
    said: list[int] = []

    for item in tracked(range(2), said, begins=0, ends=100):
        assert said[-1] == 50 * item

    assert said == [0, 50, 100]


def test_an_asynchronous_iterable_is_tracked_with_its_total() -> None:
    said: list[int] = []

    items = asyncio.run(gone_over(tracked(numbers(5), said, total=5)))

    assert items == list(range(5))
    assert said == [10, 12, 14, 16, 18, 20]


def test_a_plain_iterable_gives_the_loop_its_turns_in_async_for() -> None:
    said: list[int] = []
    turns = 0

    async def scene() -> None:
        nonlocal turns
        done = False

        async def count() -> None:
            nonlocal turns
            while not done:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        assert await gone_over(tracked([1, 2, 3], said)) == [1, 2, 3]
        done = True
        await counting

    asyncio.run(scene())

    assert turns >= 3


def test_where_nobody_knows_how_many_there_are_the_percent_stays() -> None:
    said: list[int] = []

    items = list(tracked((number for number in range(5)), said))

    assert items == list(range(5))
    assert said == [10]


@pytest.mark.parametrize(("total", "last"), [(3, 20), (10, 15)])
def test_a_total_that_is_wrong_leads_no_further_than_the_end(total: int, last: int) -> None:
    said: list[int] = []

    list(tracked(iter(range(5)), said, total=total))

    assert said[-1] == last
    assert said == sorted(said)


def test_nothing_to_go_over_stays_where_it_begins() -> None:
    said: list[int] = []

    assert list(tracked([], said)) == []

    assert said == [10]


def test_a_loop_that_is_left_early_says_nothing_more() -> None:
    said: list[int] = []

    for item in tracked(range(10), said):
        if item == 5:
            break

    assert said[-1] == 15


def test_what_the_iterable_raises_passes_through() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    said: list[int] = []

    with pytest.raises(OSError, match="the disk"):
        list(tracked(broken(), said, total=2))

    assert said == [10, 15]


def test_a_plain_for_over_an_asynchronous_iterable_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="expected async for"):
        list(tracked(numbers(1), []))
