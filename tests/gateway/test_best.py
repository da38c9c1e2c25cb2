"""The first of many rows: the right ones, and at no time many comparisons in one go."""

import random
from itertools import pairwise
from typing import Any

import pytest

from vuemantics_ws.gateway.inspection import FIRST_MAX, SORTED_AT_ONCE, _Best


class Counted:
    """A key that counts how often it is compared."""

    compared = 0

    def __init__(self, number: int) -> None:
        self._number = number

    def __eq__(self, other: Any) -> bool:
        return bool(self._number == other._number)

    def __lt__(self, other: Any) -> bool:
        Counted.compared += 1
        return bool(self._number < other._number)

    __hash__ = None  # type: ignore[assignment]


def shuffled(count: int) -> list[int]:
    numbers = [number // 3 for number in range(count)]
    random.Random(7).shuffle(numbers)
    return numbers


@pytest.mark.parametrize("count_max", [1, 50, FIRST_MAX, FIRST_MAX + 1, 2_000, 10**9])
def test_they_are_what_sorting_all_of_them_would_give(count_max: int) -> None:
    rows = list(enumerate(shuffled(3_000)))
    best = _Best(lambda row: row[1], count_max)

    for first in range(0, len(rows), 32):
        best.add(rows[first : first + 32])

    assert list(best.rows()) == sorted(rows, key=lambda row: row[1])[:count_max]


@pytest.mark.parametrize("count_max", [50, FIRST_MAX, 10**9])
def test_no_step_compares_more_than_a_few_rows(count_max: int) -> None:
    best = _Best(Counted, count_max)
    numbers = shuffled(10_000)
    compared = [Counted.compared]

    for first in range(0, len(numbers), 32):
        best.add(numbers[first : first + 32])
        compared.append(Counted.compared)
    compared.extend(Counted.compared for _ in best.rows())

    assert max(after - before for before, after in pairwise(compared)) < 10 * (FIRST_MAX + SORTED_AT_ONCE)
