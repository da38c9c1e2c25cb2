"""Pages of one view from several nodes, as one page. Pure: rows in, rows out.

Each node filters and orders its own rows, and gives as many as the whole page may need. A connection is on one node, and so is
its row. An upload, and a user, may be on many: their rows become one, whose numbers are sums. Who follows an upload on two
nodes is one follower where both nodes have named theirs, and else counted twice: such a row has ``at_most``.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from vuemantics_ws.gateway.ordering import key_of
from vuemantics_ws.gateway.query import read_sort
from vuemantics_ws.gateway.views import SHOWN_MAX, VIEWS

Row = dict[str, Any]
Page = dict[str, Any]

_JSON_NAMES = {
    "age": "age_s", "pending": "pending_bytes", "behind": "behind_s", "silent": "silent_s", "rate": "rate_per_s",
    "leaves": "leaves_in_s", "events": "events_per_s", "lag": "lag_s", "uptime": "uptime_s",
}  # fmt: skip
_SUMMED = ("connections", "rate_per_s", "accepted", "duplicate", "stale", "after_terminal", "refused")
_RANKS = {
    "uploads": {"running": 0, "unpublished": 1, "failed": 2, "completed": 3},
    "connections": {"stalled": 0, "slow": 1, "open": 2, "authenticating": 2, "handshake": 2, "closing": 2},
}
"""The default orders, by state."""


class _Placed(NamedTuple):
    """A row with its place among those of its node, and its node's among the nodes: what is equal stays in turns."""

    row: Row
    place: int
    node: int


def merge_pages(pages: Sequence[Page], *, limit: int, offset: int) -> Page:
    """One page of what all nodes have. The pages are of the same question, each from its first row on."""
    first, view = pages[0], pages[0]["view"]
    if view == "nodes":
        pages = [*pages[:1], *({**page, "rows": [{**row, "this": False} for row in page["rows"]]} for page in pages[1:])]
    found = [_Placed(row, place, node) for node, page in enumerate(pages) for place, row in enumerate(page["rows"])]
    matched, total = (sum(page[count] for page in pages) for count in ("matched", "total"))
    exact = len(pages) == 1 or view not in _JOINED
    if not exact:
        whole = len(found) == matched
        found = _join(found, NAMED_BY[view], _JOINED[view])
        if whole:
            exact = matched == total
            matched = len(found)
            total = matched if exact else total
    found.sort(key=key_of(read_sort(first["sort"], VIEWS[view].kinds), _Fields(), _default(view)))
    return {
        **first,
        "offset": offset,
        "matched": matched,
        "total": total,
        "at_most": not exact and total > 0,
        "nodes": [name for page in pages for name in page["nodes"]],
        "rows": [placed.row for placed in found[offset : offset + limit]],
    }


def names_in(page: Page) -> list[str]:
    """The uploads, or users, that a page shows: :func:`with_all_of` wants them of all nodes."""
    return [row[NAMED_BY[page["view"]]] for row in page["rows"]] if page["view"] in NAMED_BY else []


def with_all_of(page: Page, told: Sequence[Sequence[Row]]) -> Page:
    """The page with each of its rows made of all that any node has of it, which may be far down in that node's own order."""
    found: dict[str, list[_Placed]] = {}
    name = NAMED_BY[page["view"]]
    for node, rows in enumerate(told):
        for place, row in enumerate(rows):
            found.setdefault(row[name], []).append(_Placed(row, place, node))
    join = _JOINED[page["view"]]
    return page | {"rows": [join(found[row[name]]) if row[name] in found else row for row in page["rows"]]}


def page_of_silent(page: Page, silent: Sequence[Row]) -> list[Page]:
    """What nodes that do not answer add to a page: in the table of nodes they have rows, too.

    Where a filter lets only some rows through, nobody knows whether theirs would be among them.
    """
    if page["view"] != "nodes" or page["filter"] or not silent:
        return []
    rows = [{**node, "state": "silent"} for node in silent]
    return [{**page, "rows": rows, "matched": len(rows), "total": len(rows), "nodes": []}]


class _Fields(dict[str, Callable[[_Placed], Any]]):
    """How a field is read of a row as it is told, by its name in an order."""

    def __missing__(self, name: str) -> Callable[[_Placed], Any]:
        key = _JSON_NAMES.get(name, name)

        def read(placed: _Placed) -> Any:
            value = placed.row[key]
            return len(value) if isinstance(value, list) else value

        return read


def _default(view: str) -> Callable[[_Placed], Any]:
    if view == "nodes":
        return lambda placed: placed.row["name"]
    ranks = _RANKS.get(view, {})
    return lambda placed: (ranks.get(placed.row.get("state", ""), 0), placed.place, placed.node)


def _join(found: Sequence[_Placed], name: str, joined: "_Join") -> list[_Placed]:
    """Rows of the same upload, or user, as one, which stands where the first of them would."""
    alike: dict[str, list[_Placed]] = {}
    for placed in found:
        alike.setdefault(placed.row[name], []).append(placed)
    return [_Placed(joined(rows), min(placed.place for placed in rows), rows[0].node) for rows in alike.values()]


_Join = Callable[[Sequence[_Placed]], Row]


def _join_uploads(found: Sequence[_Placed]) -> Row:
    newest = found[0].row | max((placed.row for placed in found), key=_version)
    newest.pop("users", None)  # which was told for counting
    sums = {name: _sum(placed.row[name] for placed in found) for name in _SUMMED}
    return newest | sums | _followers(found) | _nodes(found)


def _join_followers(found: Sequence[_Placed]) -> Row:
    newest = {**max((placed.row for placed in found), key=lambda row: -1 if row["percent"] is None else row["percent"])}
    newest["connections"] = _sum(placed.row["connections"] for placed in found)
    users = _distinct(user for placed in found for user in placed.row["users"])
    return newest | _followers(found) | {"users": users[:SHOWN_MAX]} | _nodes(found)


def _join_follows(found: Sequence[_Placed]) -> Row:
    """A number of a connection means something on its node alone, so it is told with its node's name."""
    follows: dict[str, Row] = {}
    connections: list[str] = []
    for placed in found:
        (name,) = placed.row["nodes"]
        connections += [f"{name}/{number}" for number in placed.row["connections"]]
        for follow in placed.row["follows"]:
            held_by = [f"{name}/{number}" for number in follow["held_by"]]
            known = follows.setdefault(follow["upload"], {**follow, "held_by": []})
            known["held_by"] = [*known["held_by"], *held_by]
    counts = [placed.row["uploads"] for placed in found]
    all_told = all(placed.row["uploads"] == len(placed.row["follows"]) for placed in found)
    leaves = [placed.row["leaves_in_s"] for placed in found if placed.row["leaves_in_s"] is not None]
    return {
        **found[0].row,
        "connections": connections,
        "uploads": len(follows) if all_told else sum(counts),
        "at_most": not all_told and len(found) > 1,
        "follows": list(islice(follows.values(), SHOWN_MAX)),
        "leaves_in_s": max(leaves) if leaves and not connections else None,
    } | _nodes(found)


NAMED_BY = {"uploads": "upload", "followers": "upload", "follows": "user"}
"""Views of what may be on several nodes, with what tells that it is the same."""

_JOINED: dict[str, _Join] = {"uploads": _join_uploads, "followers": _join_followers, "follows": _join_follows}


def _followers(found: Sequence[_Placed]) -> Row:
    """How many users there are: exactly where each node has named all of its own."""
    counts = [placed.row["followers"] for placed in found]
    if len(found) == 1:
        return {"followers": counts[0], "at_most": False}
    named = [placed.row.get("users", ()) for placed in found]
    if all(len(users) == count for users, count in zip(named, counts, strict=True)):
        return {"followers": len(_distinct(user for users in named for user in users)), "at_most": False}
    return {"followers": sum(counts), "at_most": True}


def _nodes(found: Sequence[_Placed]) -> Row:
    return {"nodes": _distinct(name for placed in found for name in placed.row["nodes"])}


def _distinct(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def _sum(numbers: Any) -> float:
    return round(total, 3) if isinstance(total := sum(numbers), float) else total


def _version(row: Row) -> tuple[int, int]:
    return row["attempt"] or 0, row["seq"] or 0
