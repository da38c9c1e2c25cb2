"""How often a quantity had which size."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """Counts observations up to each bound, and those above the last. Costs a search and two additions an observation."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def observe(self, size: float, times: int = 1) -> None:
        self._counts[bisect_left(self._bounds, size)] += times
        self.sum += size * times

    @property
    def count(self) -> int:
        return sum(self._counts)

    def up_to(self) -> list[tuple[float | None, int]]:
        """How many observations were at most as large as each bound; None stands for no bound."""
        return list(zip((*self._bounds, None), accumulate(self._counts), strict=True))
