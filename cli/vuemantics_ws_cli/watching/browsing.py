"""What a person does with live tables: which view, filter, sort and page they look at, as a function of the keys pressed.

Nothing here knows a terminal or a server. A query that differs from the one before is asked anew by whoever reads frames.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

View = Literal["uploads", "subscriptions", "connections", "nodes"]

ASKED: dict[View, tuple[str, ...]] = {
    "uploads": ("uploads",),
    "subscriptions": ("followers", "follows"),
    "connections": ("connections",),
    "nodes": ("nodes",),
}
"""The server's views that make up one of ours. The sort is the first one's."""

SORTS: dict[View, tuple[str, ...]] = {
    "uploads": (
        *("upload", "stage", "-percent", "-followers", "-connections", "-rate", "age"),
        *("-refused", "-duplicate", "-stale", "-after_terminal", "owner"),
    ),
    "subscriptions": ("upload", "state", "-percent", "-followers", "-connections"),
    "connections": (
        *("connection", "node", "user", "state", "-age", "-pending", "-behind", "-silent", "-uploads"),
        *("-sent", "-sent_bytes", "-conflated", "address"),
    ),
    "nodes": ("name", "state", "-connections", "-users", "-uploads", "-events", "-lag", "-uptime", "version", "url"),
}
"""The columns to sort by, from left to right, each in the direction that one wants first."""

FILTER_CHARACTERS_MAX = 1000

_VIEW_KEYS: dict[str, View] = {"u": "uploads", "s": "subscriptions", "c": "connections", "n": "nodes"}
_VIEWS = tuple(ASKED)


class Query(NamedTuple):
    """What is asked of the server."""

    view: View = "uploads"
    filter: str = ""
    sort: str = ""
    offset: int = 0


class Shown(NamedTuple):
    """What the screen had room for: rows, and how many the filter let through."""

    rows: int
    matched: int


@dataclass(frozen=True, slots=True)
class Browsing:
    """Where a person is. ``editing`` is the filter being typed, None while none is.

    ``complaint`` is what the server said of the last filter, ``draft``; the query is then again the one before. ``elsewhere``
    is a filter that other views have fields for, and this one has not.
    """

    query: Query = field(default_factory=Query)
    editing: str | None = None
    complaint: str = ""
    draft: str = ""
    elsewhere: str = ""
    helping: bool = False
    paused: bool = False
    over: bool = False

    def press(self, key: str, shown: Shown) -> "Browsing":
        """After this key. One that means nothing changes nothing."""
        if self.editing is not None:
            return self._edit(self.editing, key)
        if key == "q":
            return self.leave()
        if self.helping:
            return replace(self, helping=False)
        if key == "?":
            return replace(self, helping=True)
        if key == "/":
            return replace(self, editing=self.draft if self.complaint else self.query.filter)
        if key == " ":
            return replace(self, paused=not self.paused)
        return self._ask(self._moved(key, shown))

    def leave(self) -> "Browsing":
        """The end, however it came."""
        return replace(self, over=True)

    def refuse(self, complaint: str, before: Query) -> "Browsing":
        """The server did not understand the query: it is again the one before. Editing goes on where it was.

        Another view may know nothing of a field of the one before: it is then shown without the filter, which waits.
        """
        query = self.query
        if query.view != before.view and query.filter in (before.filter, self.elsewhere):
            words = _said_of(query.view, complaint)
            return replace(self, query=Query(query.view), complaint=words, draft=query.filter, elsewhere=query.filter)
        return replace(self, query=before, complaint=complaint, draft=self.query.filter)

    def within(self, shown: Shown) -> "Browsing":
        """The same, but never past the last row: there may be fewer rows than a moment ago."""
        last = max(0, shown.matched - max(1, shown.rows))
        return self if self.query.offset <= last else replace(self, query=self.query._replace(offset=last))

    def _edit(self, text: str, key: str) -> "Browsing":
        if key == "enter":
            done = replace(self, editing=None, complaint="", draft="", elsewhere="")
            return done._ask(self.query._replace(filter=text.strip(), offset=0))
        if key == "escape":
            return replace(self, editing=None, complaint="", draft="")
        if key == "backspace":
            return replace(self, editing=text[:-1])
        if key == "clear":
            return replace(self, editing="")
        if len(key) == 1 and len(text) < FILTER_CHARACTERS_MAX:
            return replace(self, editing=text + key)
        return self

    def _ask(self, query: Query) -> "Browsing":
        return self if query == self.query else replace(self, query=query, complaint="", draft="")

    def _moved(self, key: str, shown: Shown) -> Query:
        query = self.query
        if key in _VIEW_KEYS:
            return self._in(_VIEW_KEYS[key])
        if key in ("tab", "backtab"):
            step = 1 if key == "tab" else -1
            return self._in(_VIEWS[(_VIEWS.index(query.view) + step) % len(_VIEWS)])
        if key in ("o", "O"):
            return query._replace(sort=_next_sort(query, 1 if key == "o" else -1), offset=0)
        if key == "r":
            return query._replace(sort=_reversed(query.sort), offset=0)
        return query._replace(offset=_offset_after(key, query.offset, shown))

    def _in(self, view: View) -> Query:
        """Another view, under the same filter. A sort belongs to the columns of one view."""
        return self.query if view == self.query.view else Query(view, self.query.filter or self.elsewhere)


def _said_of(view: View, complaint: str) -> str:
    """Why a filter of another view is none for this one: what is missing here comes first, since a line may be short."""
    _, _, unknown = complaint.partition("expected a field, got ")
    return f"{view} have no field {unknown}" if unknown else f"{view} do not take this filter: {complaint}"


def _next_sort(query: Query, step: int) -> str:
    """The next column, and after the last one the server's own order again."""
    around = ("", *SORTS[query.view])
    by = query.sort.partition(",")[0].removeprefix("-")
    now = next((number for number, sort in enumerate(around) if sort.removeprefix("-") == by), 0)
    return around[(now + step) % len(around)]


def _reversed(sort: str) -> str:
    """The other direction. The server's own order has none."""
    return sort.removeprefix("-") if sort.startswith("-") else f"-{sort}" if sort else ""


def _offset_after(key: str, offset: int, shown: Shown) -> int:
    page = max(1, shown.rows)
    last = max(0, shown.matched - page)
    if key in ("home", "end"):
        return 0 if key == "home" else last
    step = {"j": 1, "down": 1, "pagedown": page, "k": -1, "up": -1, "pageup": -page}.get(key, 0)
    return min(offset + step, last) if step > 0 else max(0, offset + step)
