"""How long things took, all together: percentiles of any number of durations in bounded memory."""

import math
from collections.abc import Iterable
from typing import Self

EXACT_MAX = 100_000
"""Up to so many durations the percentiles are exact."""

PARTS_A_DOUBLING = 128
"""Beyond that durations are counted in parts: so many between each power of two seconds and the next."""

ERROR = 1 / (2 * PARTS_A_DOUBLING)
"""By how much a percentile may then be off, as a share of itself: half of the widest part."""

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}


class Durations:
    """Takes seconds, and says which share of them took how long at most.

    A percentile is the smallest of the durations that at least this share of them does not exceed (nearest rank), so it is one
    that was measured. Beyond :data:`EXACT_MAX` it is the middle of the part that holds it, within :data:`ERROR`; the largest
    and the smallest stay exact.
    """

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self.count = 0
        self._exact: list[float] = []
        self._is_sorted = True
        self._parts: dict[int, int] = {}
        """By part, once there are too many to keep."""
        self._least = math.inf
        self._most = -math.inf
        self.update(seconds)

    def add(self, seconds: float) -> None:
        """Take one duration. One below nothing counts as nothing: clocks of two processes may disagree by so much."""
        seconds = max(0.0, seconds)
        self.count += 1
        self._least = min(self._least, seconds)
        self._most = max(self._most, seconds)
        if self.count <= EXACT_MAX:
            self._exact.append(seconds)
            self._is_sorted = False
            return
        self._count_in_parts()
        self._count(_part(seconds), 1)

    def update(self, seconds: Iterable[float]) -> Self:
        """Take all of them."""
        for each in seconds:
            self.add(each)
        return self

    def merge(self, other: "Durations") -> Self:
        """Take all that another one has taken."""
        if other._exact or not other.count:
            return self.update(other._exact)
        self._count_in_parts()
        self.count += other.count
        self._least, self._most = min(self._least, other._least), max(self._most, other._most)
        for part, count in other._parts.items():
            self._count(part, count)
        return self

    def at(self, share: float) -> float:
        """What this share of the durations does not exceed; NaN where there are none."""
        if not self.count:
            return math.nan
        rank = max(1, math.ceil(share * self.count - 1e-9))
        if rank >= self.count:
            return self._most
        if self._exact:
            if not self._is_sorted:
                self._exact.sort()
                self._is_sorted = True
            return self._exact[rank - 1]
        for part in sorted(self._parts):
            rank -= self._parts[part]
            if rank <= 0:
                return min(self._most, max(self._least, _middle(part)))
        raise AssertionError("expected as many durations in the parts as were counted")

    def figures(self, names: Iterable[str] = ("p50", "p90", "p99", "max")) -> dict[str, float]:
        """These percentiles, named with their unit; nothing where there are no durations."""
        return {f"{name}_s": self.at(SHARES[name]) for name in names} if self.count else {}

    def _count_in_parts(self) -> None:
        for seconds in self._exact:
            self._count(_part(seconds), 1)
        self._exact = []

    def _count(self, part: int, count: int) -> None:
        self._parts[part] = self._parts.get(part, 0) + count


_NOTHING = -(1 << 20)
"""The part of no time at all, before that of the shortest time there is."""


def _part(seconds: float) -> int:
    mantissa, exponent = math.frexp(seconds)  # of which the mantissa is from 1/2 to 1, or nothing
    return exponent * 2 * PARTS_A_DOUBLING + int(mantissa * 2 * PARTS_A_DOUBLING) if seconds else _NOTHING


def _middle(part: int) -> float:
    exponent, within = divmod(part, 2 * PARTS_A_DOUBLING)
    return math.ldexp((within + 0.5) / (2 * PARTS_A_DOUBLING), exponent) if part != _NOTHING else 0.0
