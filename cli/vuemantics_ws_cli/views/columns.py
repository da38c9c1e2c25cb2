"""A table that fits: columns give way by rank, and what is left is never squeezed.

A cell is drawn for the room that it gets. Columns keep a usual width, so that a live table does not dance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

from rich.cells import cell_len
from rich.text import Text

from vuemantics_ws_cli.console import printable

Row = dict[str, Any]
R = TypeVar("R")

GAP = 2
"""Blanks between two columns."""

APART = 2 * GAP
"""Blanks between two blocks that stand side by side."""

RANK_OF_SORT = 1.5
"""Before the column that one sorts by come only the two that say whom a row is about."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column.

    ``name`` is the head, and the name in filter and sort. ``draw`` makes a row's cell for the room given, or in full for None.
    ``rank`` says who gives way: the highest first. ``least`` is the usual width. A column needs what its cells need, unless it
    ``grows``: then the usual width will do, and it takes what is left, or ``fills`` what those leave. One with ``rank_in_full``
    is shown at its usual width or in full, for which it waits its turn. ``instead_of`` is a column that need not be shown
    beside this one.
    """

    name: str
    draw: Callable[[R, int | None], Text]
    rank: int
    least: int = 0
    right: bool = False
    grows: bool = False
    fills: bool = False
    rank_in_full: int | None = None
    instead_of: str = ""


def said(value: object, *, ascii_only: bool = False) -> str:
    """A text from the wire as it may be shown; nothing for None."""
    if value is None:
        return ""
    text = printable(str(value))
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def cut(text: Text, width: int, *, ascii_only: bool = False) -> Text:
    """The text, or its beginning with a mark that something is missing."""
    if text.cell_len <= width:
        return text
    shorter = text.copy()
    shorter.truncate(max(0, width - 1))
    return shorter.append("~" if ascii_only else "…") if width > 0 else shorter


def joined(parts: Sequence[Text], more: int, room: int | None) -> Text:
    """As many parts as there is room for, then how many there are besides. ``more`` counts those that are not given."""
    ends = list(accumulate((part.cell_len + len(", ") for part in parts), initial=-len(", ")))
    for count in range(len(parts), 0, -1):
        left_out = len(parts) - count + more
        besides = f" +{left_out}" if left_out else ""
        if room is None or ends[count] + len(besides) <= room or count == 1:
            return Text(", ").join(parts[:count]).append(besides, "dim")
    return Text()


def table(
    columns: Sequence[Column[R]], rows: Sequence[R], width: int, *, sort: str = "", ascii_only: bool = False
) -> list[Text]:
    """A head and a line for each row. ``sort`` is the order asked for; its first column is marked, and hardly gives way."""
    first = sort.partition(",")[0]
    by, descending = first.removeprefix("-"), first.startswith("-")
    arrow = ("v" if descending else "^") if ascii_only else ("▼" if descending else "▲")
    heads = [f"{column.name} {arrow}" if column.name == by else column.name for column in columns]
    widths = _fit(columns, heads, rows, width, by)
    lines = [Text(), *(Text() for _ in rows)]
    for column, head in zip(columns, heads, strict=True):
        room = widths.get(column.name)
        if room is None:
            continue
        cells = [Text(head, "bold"), *(column.draw(row, room) for row in rows)]
        for line, cell in zip(lines, cells, strict=True):
            cell = cut(cell, room, ascii_only=ascii_only)
            blanks = " " * (room - cell.cell_len)
            line.append(" " * GAP if line else "")
            line.append_text(Text(blanks) + cell if column.right else cell + Text(blanks))
    for line in lines:
        line.rstrip()
    return lines


def side_by_side(parts: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """Blocks of lines side by side, each as wide as the others. Their lines must fit :func:`share`."""
    lines = []
    for number in range(max((len(part) for part in parts), default=0)):
        line = Text()
        for place, part in enumerate(parts):
            line.append(" " * (place * (share(width, len(parts)) + APART) - line.cell_len))
            line.append_text(part[number] if number < len(part) else Text())
        lines.append(line)
    return lines


def share(width: int, count: int) -> int:
    """How wide each of so many blocks may be."""
    return (width - APART * (count - 1)) // max(1, count)


def _fit(columns: Sequence[Column[R]], heads: Sequence[str], rows: Sequence[R], width: int, by: str) -> dict[str, int]:
    """How wide each column is that has room. Whoever grows takes what is left, those of low rank first."""
    full = {
        column.name: max(cell_len(head), column.least, *(column.draw(row, None).cell_len for row in rows), 0)
        for column, head in zip(columns, heads, strict=True)
    }
    needed = {
        column.name: max(cell_len(head), column.least)
        if column.grows or column.fills or column.rank_in_full
        else full[column.name]
        for column, head in zip(columns, heads, strict=True)
    }
    turns: list[tuple[float, Column[R]]] = [
        (min(column.rank, RANK_OF_SORT) if column.name == by else column.rank, column) for column in columns
    ]
    turns += [(column.rank_in_full, column) for column in columns if column.rank_in_full]
    widths: dict[str, int] = {}
    for _, column in sorted(turns, key=lambda turn: turn[0]):
        left = width - sum(widths.values()) - GAP * len(widths)
        if column.name in widths:
            more = full[column.name] - widths[column.name]
            widths[column.name] += more if more <= left + GAP else 0
        elif needed[column.name] <= left or not widths:
            widths[column.name] = min(needed[column.name], width)
    for column in columns:
        if column.name in widths and column.instead_of in widths and column.instead_of != by:
            del widths[column.instead_of]
    for column in sorted(columns, key=lambda column: (column.fills, column.rank)):
        if (column.grows or column.fills) and column.name in widths:
            left = width - sum(widths.values()) - GAP * (len(widths) - 1)
            widths[column.name] += max(0, min(left, full[column.name] - widths[column.name]))
    return widths
