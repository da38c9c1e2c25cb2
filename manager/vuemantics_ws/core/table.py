"""A table of somebody else's rows, for reading."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

R = TypeVar("R")
T = TypeVar("T")


class Table(Mapping[str, set[T]]):
    """A set by key, made when somebody looks, so that it may be kept and changed. What has nothing in it is not in it."""

    def __init__(self, rows: Mapping[str, R], look: Callable[[R], set[T]]) -> None:
        self._rows = rows
        self._look: Callable[[Any], set[T]] = look

    def __getitem__(self, key: str) -> set[T]:
        found = self._look(self._rows[key])
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, row in self._rows.items() if self._look(row)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))
