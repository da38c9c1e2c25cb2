"""Looking into a node while it works: pages of its tables, and the whole at a glance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.pulse import Pulse
from vuemantics_ws.gateway.query import Filter, SortField, read_filter, read_sort
from vuemantics_ws.gateway.slices import Slices
from vuemantics_ws.gateway.views import STALLED_S, VIEWS, Looked, View
from vuemantics_ws.gateway.warnings import Stalled, warnings
from vuemantics_ws.limits import Limits

WATCHES_MAX = 64
"""Each costs a look at all connections a second, and one that is never read stays for as long as its socket does."""

LIMITS_TOLD = (
    *("connections_max", "unauthenticated_max", "heads_max", "uploads_per_user_max", "reply_bytes_max", "direct_bytes_max"),
    "grace_s",
)
"""What a frame has under ``limits``: what tables are held against, and what a simulation must know to judge fairly."""

SORTED_AT_ONCE = 128
"""Sorting cannot be done a slice at a time, so no more rows than this are sorted in one go, beside those that are kept."""

FIRST_MAX = 500
"""A page that ends within so many rows is found by keeping these and no others. A later one takes all rows."""


class Inspected(Looked, Protocol):
    """What of a node is told beside its tables."""

    @property
    def state(self) -> str: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def pulse(self) -> Pulse: ...
    @property
    def unauthenticated(self) -> int: ...
    def describe(self) -> dict[str, Any]:
        """What the node is, as ``node`` in a frame."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows of which views, and in which order.

    The filter was read for each view, the order for the first one; the others keep their own.
    """

    views: tuple[str, ...]
    filter: str
    sort: str
    limit: int
    offset: int
    filters: tuple[Filter, ...]
    order: tuple[SortField, ...]

    @classmethod
    def read(cls, views: Sequence[str], *, filter: str, sort: str, limit: int, offset: int) -> "Question":  # noqa: A002
        """Raises:
        BadQuery: one of the views does not have such fields, or it is no filter or order at all.
        """
        kinds = [VIEWS[view].kinds for view in views]
        filters = tuple(read_filter(filter, of) for of in kinds)
        return cls(tuple(views), filter, sort, limit, offset, filters, read_sort(sort, kinds[0]))


class Survey(NamedTuple):
    """A node's tables and counters at a glance."""

    tables: dict[str, Any]
    counters: dict[str, Any]
    slow: int
    stalled: Stalled | None


class Inspection:
    """Answers whoever looks. Nothing is kept for it but the pulse and the sightings; all rows are made when they are wanted."""

    def __init__(self, node: Inspected) -> None:
        self._node = node
        self._slices = Slices(node.clock)
        self._surveying = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._watches = 0

    def stop(self) -> None:
        """End every watch."""
        self._stopped.set()

    async def page(self, question: Question, *, at_turn: Callable[[], Awaitable[None]] | None = None) -> dict[str, Any]:
        """One page of the question's first view.

        ``at_turn`` is awaited when its turn has come, and raises where nobody waits for it any more. Otherwise one who asks
        again and again, and never waits for long, would keep pages being made for nobody.
        """
        async with self._slices.turn:
            if at_turn is not None:
                await at_turn()
            return await self._page(question, 0)

    async def survey(self) -> Survey:
        """As fresh as the time that it takes. Waits for no page, so that nobody's filter keeps a node from being measured."""
        async with self._surveying:
            return await self._survey()

    @property
    def is_full(self) -> bool:
        """Whether there are as many watches as there may be."""
        return self._watches >= WATCHES_MAX

    async def watch(self, question: Question, *, every_s: float) -> AsyncIterator[dict[str, Any]]:
        """A frame at once, then one ``every_s`` seconds, until the node stops. Whoever takes longer to read gets fewer."""
        now = self._node.timers.now
        due_at = now()
        self._watches += 1
        try:
            while not self._stopped.is_set():
                yield await self._frame(question)
                due_at = max(due_at + every_s, now())
                try:
                    await asyncio.wait_for(self._stopped.wait(), timeout=due_at - now())
                except TimeoutError:
                    pass
        finally:
            self._watches -= 1

    async def _frame(self, question: Question) -> dict[str, Any]:
        node = self._node
        async with self._slices.turn:
            survey = await self._survey()
            views = [await self._page(question, index) for index in range(len(question.views))]
        limits = {name: getattr(node.limits, name) for name in LIMITS_TOLD}
        return {
            "at": round(node.clock.wall(), 3),
            "node": node.describe(),
            "tables": survey.tables,
            "limits": limits,
            "counters": survey.counters,
            "rates": node.pulse.rates(),
            "warnings": warnings(
                state=node.state, tables=survey.tables, limits=limits, samples=node.pulse.samples, stalled=survey.stalled
            ),
            "views": views,
        }

    async def _page(self, question: Question, index: int) -> dict[str, Any]:
        name = question.views[index]
        view: View[Any] = VIEWS[name](self._node)
        fields = view.fields
        passes = question.filters[index].bind(fields)
        sort = question.order if index == 0 else ()
        best = _Best(_key(view, sort), question.offset + question.limit)
        total = matched = 0
        async with aclosing(self._slices.each(view.rows())) as chunks:
            async for chunk in chunks:
                total += len(chunk)
                found = chunk if passes is None else [row for row in chunk if passes(row)]
                matched += len(found)
                best.add(found)
        shown: list[dict[str, Any]] = []
        places = enumerate(best.rows()) if matched > question.offset else ()
        async with aclosing(self._slices.each(places, at_once=1)) as rows:
            async for ((place, row),) in rows:
                if place >= question.offset:
                    shown.append(view.as_json(row))
        return {
            "view": name,
            "filter": question.filter,
            "sort": question.sort if index == 0 else "",
            "offset": question.offset,
            "matched": matched,
            "total": total,
            "rows": shown,
        }

    async def _survey(self) -> Survey:
        tally = _Tally(self._node)
        async with aclosing(self._slices.each(tally.connections)) as chunks:
            async for chunk in chunks:
                tally.add(chunk)
        return tally.survey()

    def survey_at_once(self) -> Survey:
        """The same in one go, which may hold the loop for some milliseconds."""
        tally = _Tally(self._node)
        tally.add(tally.connections)
        return tally.survey()


class _Tally:
    """One pass over the connections. Those that end meanwhile are in it, so that what is counted never falls."""

    def __init__(self, node: Inspected) -> None:
        self.connections = list(node.connections)
        self._node = node
        self._now = node.timers.now()
        self._conflated = node.manager.counters.conflated
        self._outbox_bytes = self._outbox_bytes_max = self._slow = 0
        self._stalled: Stalled | None = None

    def add(self, connections: list[Connection]) -> None:
        for connection in connections:
            self._conflated += connection.conflated
            pending_bytes = connection.pending_bytes
            if pending_bytes:
                self._outbox_bytes += pending_bytes
                self._outbox_bytes_max = max(self._outbox_bytes_max, pending_bytes)
            if connection.is_slow:
                self._slow += 1
                self._note_stalled(connection)

    def _note_stalled(self, connection: Connection) -> None:
        taken_nothing_s = connection.taken_nothing_s(self._now)
        if taken_nothing_s < STALLED_S:
            return
        stalled = self._stalled or Stalled(0, connection.number, connection.user_id, taken_nothing_s)
        if taken_nothing_s > stalled.taken_nothing_s:
            stalled = Stalled(stalled.connections, connection.number, connection.user_id, taken_nothing_s)
        self._stalled = stalled._replace(connections=stalled.connections + 1)

    def survey(self) -> Survey:
        node = self._node
        registry = node.manager.registry
        tables = {
            "connections": len(node.connections),
            "unauthenticated": node.unauthenticated,
            "users": len(registry.users),
            "uploads": len(registry.uploads),
            "follows": registry.follows,
            "heads": node.broker.heads,
            "outbox_bytes": self._outbox_bytes,
            "outbox_bytes_max": self._outbox_bytes_max,
        }
        counters = node.manager.counters.as_json() | {"conflated": self._conflated}
        return Survey(tables, counters, self._slow, self._stalled)


class _Best:
    """The first so many of rows that come in no order, each with its key made once."""

    def __init__(self, key: Callable[[Any], Any], count_max: int) -> None:
        self._key = key
        self._count_max = count_max
        self._runs: list[list[tuple[Any, int, Any]]] = []  # each in order; where few are kept there is one
        self._new: list[tuple[Any, int, Any]] = []
        self._number = 0  # of the row, so that what has the same key stays as it came

    def add(self, rows: list[Any]) -> None:
        key, number, new = self._key, self._number, self._new
        few = self._runs[0] if self._count_max <= FIRST_MAX and self._runs else []
        worst = few[-1] if len(few) >= self._count_max else None
        for place, row in enumerate(rows, number):
            entry = (key(row), place, row)
            if worst is None or entry < worst:
                new.append(entry)
        self._number += len(rows)
        if len(new) >= SORTED_AT_ONCE:
            self._sort_in()

    def rows(self) -> Iterator[Any]:
        """In order, each found when it is asked for."""
        self._sort_in()
        return (row for _, _, row in islice(merge(*self._runs), self._count_max))

    def _sort_in(self) -> None:
        new, self._new = self._new, []
        if self._count_max > FIRST_MAX:
            self._runs.append(sorted(new))
        else:
            self._runs = [sorted(chain(*self._runs, new))[: self._count_max]]


class _Descending(NamedTuple):
    """A text that sorts the other way round."""

    text: str

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self.text > other[0])


def _key(view: View[Any], order: Sequence[SortField]) -> Callable[[Any], Any]:
    """What rows are sorted by: the fields that were asked for, then the view's own order. What is missing comes last."""
    if not order:
        return view.order
    fields, default = view.fields, view.order
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
