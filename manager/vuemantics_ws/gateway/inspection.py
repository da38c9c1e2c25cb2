"""Looking into a node while it works: pages of its tables, and the whole at a glance."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from heapq import merge
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

from vuemantics_ws.errors import BadQuery
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.ordering import key_of
from vuemantics_ws.gateway.pulse import Pulse
from vuemantics_ws.gateway.query import Filter, SortField, read_filter, read_sort
from vuemantics_ws.gateway.slices import Slices
from vuemantics_ws.gateway.view import Looked, View
from vuemantics_ws.gateway.views import STALLED_S, VIEWS
from vuemantics_ws.gateway.warnings import Stalled, somebody_adopts, warnings
from vuemantics_ws.limits import Limits

WATCHES_MAX = 64
"""Each costs a look at all connections a second, and one that is never read stays for as long as its socket does."""

LIMITS_TOLD = (
    *("connections_max", "unauthenticated_max", "heads_max", "uploads_per_user_max", "reply_bytes_max", "direct_bytes_max"),
    "grace_s",
)
"""What a frame has under ``limits``: what tables are held against, and what a simulation must know to judge fairly."""

PAGE_MAX = 500
"""The most rows of a page."""

TOGETHER_MAX = 4 * PAGE_MAX
"""A page of several nodes ends within so many rows: each of them gives all that come before."""

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

    def report(self) -> dict[str, Any]:
        """How it does, as one of ``nodes`` in a frame."""
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
    for_merging: bool = False
    """The rows are to be put together with those of other nodes."""

    @classmethod
    def read(cls, views: Sequence[str], *, filter: str, sort: str, limit: int, offset: int) -> "Question":  # noqa: A002
        """Raises:
        BadQuery: one of the views does not have such fields, or it is no filter or order at all.
        """
        kinds = [VIEWS[view].kinds for view in views]
        filters = tuple(read_filter(filter, of) for of in kinds)
        return cls(tuple(views), filter, sort, limit, offset, filters, read_sort(sort, kinds[0]))

    def of_each_node(self) -> "Question":
        """What each node must be asked so that their answers make one.

        Raises:
            BadQuery: that would be too much.
        """
        if self.offset + self.limit > TOGETHER_MAX:
            hint = "a filter finds what is further down, or ask one node with scope=node"
            raise BadQuery(
                f"offset: expected at most {TOGETHER_MAX} together with limit, where several nodes are asked", hint=hint
            )
        return replace(self, limit=self.offset + self.limit, offset=0, for_merging=True)

    def as_json(self) -> dict[str, Any]:
        """What another node needs to read the same."""
        return {
            "views": list(self.views), "filter": self.filter, "sort": self.sort, "limit": self.limit, "offset": self.offset,
        }  # fmt: skip


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

    async def rows(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, Any]]]:
        """What there is of certain uploads, or users, by view; for merging. What is not known here is left out."""
        found: dict[str, list[dict[str, Any]]] = {}
        async with self._slices.turn:
            for name, names in wanted.items():
                view: View[Any] = VIEWS[name](self._node)
                told = found[name] = []
                async with aclosing(self._slices.each(names)) as chunks:
                    async for chunk in chunks:
                        rows = [row for one in chunk if (row := view.find(one)) is not None]
                        told += [view.as_json(row) | view.for_merging(row) for row in rows]
        return found

    async def survey(self) -> Survey:
        """As fresh as the time that it takes. Waits for no page, so that nobody's filter keeps a node from being measured."""
        async with self._surveying:
            return await self._survey()

    @property
    def is_full(self) -> bool:
        """Whether there are as many watches as there may be."""
        return self._watches >= WATCHES_MAX

    async def watch(
        self, question: Question, *, every_s: float, look: Callable[[Question], Awaitable[dict[str, Any]]] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """A frame at once, then one ``every_s`` seconds, until the node stops. Whoever takes longer to read gets fewer.

        ``look`` makes one; by default it is of this node alone.
        """
        look = look or self.frame
        now = self._node.timers.now
        due_at = now()
        self._watches += 1
        try:
            while not self._stopped.is_set():
                yield await look(question)
                due_at = max(due_at + every_s, now())
                try:
                    async with asyncio.timeout(due_at - now()):
                        await self._stopped.wait()
                except TimeoutError:
                    pass
        finally:
            self._watches -= 1

    async def frame(self, question: Question) -> dict[str, Any]:
        """The node at a glance, with a page of every view that was asked for."""
        node = self._node
        async with self._slices.turn:
            survey = await self._survey()
            views = [await self._page(question, index) for index in range(len(question.views))]
        limits = {name: getattr(node.limits, name) for name in LIMITS_TOLD}
        broker, reports = self.broker(), self._reports()
        return {
            "at": round(node.clock.wall(), 3),
            "node": node.describe(),
            "broker": broker,
            "nodes": reports[:1],
            "missing": [],
            "tables": survey.tables,
            "limits": limits,
            "counters": survey.counters,
            "rates": node.pulse.rates(),
            "warnings": warnings(
                state=node.state,
                broker=broker,
                nodes=reports,
                tables=survey.tables,
                limits=limits,
                samples=node.pulse.samples,
                stalled=survey.stalled,
            ),
            "views": views,
        }

    def adopted(self) -> bool | None:
        """Whether any node around the broker hears plain publishers; None where there are none to be heard."""
        return somebody_adopts(self._reports())

    def _reports(self) -> list[dict[str, Any]]:
        """How every node does as far as this one knows, its own first."""
        nodes = self._node.broker.nodes
        return [self._node.report(), *(nodes.others() if nodes is not None else ())]

    def broker(self) -> dict[str, Any]:
        """How the node's broker is, as ``broker`` in a frame."""
        broker = self._node.broker
        health = broker.health
        return {
            "name": broker.name,
            "ready": health.ready,
            "reason": health.reason,
            "hint": health.hint,
            "since_s": round(max(0.0, self._node.clock.monotonic() - health.since), 3),
            "lag_ms": round(health.lag_s * 1000, 3) if health.lag_s is not None else None,
            "gaps": health.gaps,
            "adopts": health.adopts,
        }

    async def _page(self, question: Question, index: int) -> dict[str, Any]:
        name = question.views[index]
        view: View[Any] = VIEWS[name](self._node)
        fields = view.fields
        passes = question.filters[index].bind(fields)
        sort = question.order if index == 0 else ()
        best = _Best(key_of(sort, fields, view.order), question.offset + question.limit)
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
                    shown.append(view.as_json(row) | (view.for_merging(row) if question.for_merging else {}))
        return {
            "view": name,
            "filter": question.filter,
            "sort": question.sort if index == 0 else "",
            "offset": question.offset,
            "matched": matched,
            "total": total,
            "at_most": False,
            "nodes": [self._node.name],
            "missing": [],
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
            conflated, pending_bytes, is_slow = connection.load()
            self._conflated += conflated
            if pending_bytes:
                self._outbox_bytes += pending_bytes
                self._outbox_bytes_max = max(self._outbox_bytes_max, pending_bytes)
            if is_slow:
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
            "watches": node.broker.watches,
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
