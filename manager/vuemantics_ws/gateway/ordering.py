"""What rows are sorted by: the fields that were asked for, then a table's own order. What is missing comes last."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vuemantics_ws.gateway.query import Read, SortField


class _Descending(NamedTuple):
    """A text that sorts the other way round."""

    text: str

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.text > other[0])


def key_of(order: Sequence[SortField], fields: Mapping[str, Read], default: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``fields`` reads a row's fields, and ``default`` is what its table sorts by where nothing else was asked for."""
    if not order:
        return default
    reads = [(fields[field.name], field.descending) for field in order]

    def key(row: Any) -> Any:
        found: list[Any] = []
        for read, descending in reads:
            value = read(row)
            if value is None:
                found.append((1,))
            elif not descending:
                found.append((0, value))
            else:
                found.append((0, _Descending(value) if isinstance(value, str) else -value))
        found.append(default(row))
        return found

    return key
