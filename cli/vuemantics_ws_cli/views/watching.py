"""A running server at a glance: how it is, how much goes on, and the tables that were asked for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views import amounts
from vuemantics_ws_cli.views.columns import GAP, cut, said, share, side_by_side
from vuemantics_ws_cli.views.pages import page_lines
from vuemantics_ws_cli.views.size import Size
from vuemantics_ws_cli.watching.browsing import Browsing

Frame = dict[str, Any]

WIDE = 140
"""From this many columns on, two tables stand side by side."""

LOW = 18
"""Below this many lines what goes on is told in one line, so that a table has room. Two of them want twice as many."""

TINY = 12
"""Below this many lines there is room for what is wrong and for a table, and for nothing else."""

LAG_S = 0.05
"""A lag that is worth a bar."""

WARNINGS_MAX = 3

KEYS = {
    "u": "uploads",
    "s": "subscriptions: who follows what",
    "c": "connections",
    "n": "nodes",
    "tab": "the next view",
    "/": "edit the filter: Enter applies it, Esc leaves it, Ctrl-U clears it",
    "o, O": "sort by the next column, by the one before",
    "r": "sort the other way round",
    "space": "pause, and go on",
    "PgUp, PgDn": "a page up, a page down",
    "k, j": "a row up, a row down; the arrow keys do it too",
    "Home, End": "the first page, the last page",
    "?": "these keys",
    "q": "quit",
}
"""Every key with what it does."""

_ONE_OF_SEVERAL = ("stalled_reader", "limit_near")
"""Warnings that name one, and count how many there are. Any other says its count itself."""

_FOOT_SHORT = ((3, "u, s, c, n view"), (2, "/ filter"), (1, "? keys"), (0, "q quit"))
_FOOT = (
    *((2, "u uploads"), (3, "s subscriptions"), (4, "c connections"), (5, "n nodes")),
    *((6, "/ filter"), (7, "o sort"), (9, "r reverse"), (8, "space pause"), (1, "? keys"), (0, "q quit")),
)
"""Keys with what they do, in their order; those of the highest rank give way."""

_STATES = {"ready": "green", "starting": "cyan", "draining": "yellow", "stopped": "red"}


TOTALS_WIDTH = len("    connections  999.9kB, at most 999.9kB")
"""Of the totals beside the sparklines, at their widest."""


class Screen(NamedTuple):
    """Something to print out, and how many rows of each table it has room for."""

    view: RenderableType
    rows: int


def screen(frame: Frame, browsing: Browsing, *, at: datetime, size: Size, trouble: str = "", keyboard: bool = True) -> Screen:
    """Everything for a terminal of this size, never wider or higher.

    ``at`` is when the frame was made. ``trouble`` says that the server is gone, and since when. Without a ``keyboard`` no keys
    are offered.
    """
    foot = _foot(browsing, at, size, keyboard=keyboard)
    beside = size.width >= WIDE or len(frame["views"]) < 2
    low = size.height < (LOW if beside else 2 * LOW)
    top = _top(frame, size, gone=bool(trouble))
    if trouble:
        top.append(cut(Text(said(trouble, ascii_only=size.ascii_only), "bold red"), size.width, ascii_only=size.ascii_only))
    if browsing.helping:
        lines = [*top, Text(), *_help(size)]
        return Screen(_group(lines[: size.height - len(foot)], foot, size), 1)
    if size.height >= TINY:
        top += [*_activity(frame, size, low=low), Text()]
    left = size.height - len(top) - len(foot)
    rows = left - 2 if beside else (left - 5) // 2
    tables = _tables(frame["views"], size, max(1, rows), beside=beside)
    return Screen(_group([*top, *tables][: size.height - len(foot)], foot, size), max(1, rows))


def block(frame: Frame, *, at: datetime, size: Size) -> RenderableType:
    """The same as lines to be written one below the other, for where nothing can move: every row that the frame has."""
    time = f"{at:%H:%M:%S}  "
    top = _top(frame, size, before=len(time))
    top[0] = cut(Text.assemble((time, "dim"), top[0]), size.width, ascii_only=size.ascii_only)
    tables = _tables(frame["views"], size, len(max((page["rows"] for page in frame["views"]), key=len)), beside=False)
    return Group(*top, *_activity(frame, size, low=False), Text(), *tables, Text())


def _group(lines: Sequence[Text], foot: Sequence[Text], size: Size) -> Group:
    """The foot stands at the bottom, however short the rest is."""
    blanks = [Text() for _ in range(size.height - len(lines) - len(foot))]
    return Group(*[*lines, *blanks, *foot][: size.height])


def _top(frame: Frame, size: Size, *, gone: bool = False, before: int = 0) -> list[Text]:
    """Who this is, and what is wrong. So much of the first line is taken by what stands ``before``."""
    node = {key: said(value, ascii_only=size.ascii_only) for key, value in frame["node"].items()}
    uptime_s = frame["node"].get("uptime_s") or 0
    state = "GONE" if gone else node.get("state", "")
    parts = [
        (0, Text(node.get("name", ""), "bold")),
        (1, Text(state, "bold red" if gone else _STATES.get(state, ""))),
        (7, Text(node.get("version", ""))),
        (4, Text(node.get("url", ""))),
        (5, Text(f"up {amounts.age(uptime_s)}")),
        (6, Text(f"access {node.get('access', '')}")),
        *_neighbourhood(frame),
    ]
    heading = _fitting(parts, size.width - before)
    lines = [heading]
    if frame["node"].get("development"):
        loud = Text.assemble(("DEVELOPMENT MODE", "bold reverse"))
        if before + heading.cell_len + GAP + loud.cell_len <= size.width:
            heading.append(" " * GAP).append_text(loud)
        else:
            why = ": whoever reaches the control port gets a token for any user"
            lines.append(loud.append(why, "not bold not reverse") if loud.cell_len + len(why) <= size.width else loud)
    return [cut(line, size.width, ascii_only=size.ascii_only) for line in [*lines, *_warnings(frame, size)]]


def _neighbourhood(frame: Frame) -> list[tuple[int, Text]]:
    """How many nodes this is about, and how what lies between them is. Nothing where there is but one process."""
    broker, nodes, missing = frame.get("broker", {}), frame.get("nodes", []), frame.get("missing", [])
    if broker.get("name", "memory") == "memory" and len(nodes) < 2:
        return []
    count = Text(f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}")
    if missing:
        count.append(f", {len(missing)} silent", "bold yellow")
    name = printable(str(broker.get("name", "")))
    if not broker.get("ready", True):
        return [(2, count), (1, Text(f"{name} AWAY for {amounts.age(broker.get('since_s') or 0)}", "bold red"))]
    lag_ms = broker.get("lag_ms")
    lag = "" if lag_ms is None else f" {amounts.lag(lag_ms / 1000)}" if lag_ms else " <1ms"  # some loops tell no less
    return [(2, count), (3, Text(f"{name}{lag}", "green"))]


def _warnings(frame: Frame, size: Size) -> list[Text]:
    warnings = frame.get("warnings", [])
    most = WARNINGS_MAX if size.height >= LOW else 1
    lines = []
    for warning in warnings[:most]:
        line = Text.assemble(("warning: ", "bold yellow"), said(warning.get("message"), ascii_only=size.ascii_only))
        others = warning.get("count", 1) - 1 if warning.get("code") in _ONE_OF_SEVERAL else 0
        lines.append(line.append(f" (and {others:,} more)", "dim") if others > 0 else line)
    if len(warnings) > most:
        lines[-1].append(f"  {len(warnings) - most} more warnings", "bold yellow")
    return lines


def _activity(frame: Frame, size: Size, *, low: bool) -> list[Text]:
    """What goes on, and how full the tables are: with sparklines where there is room."""
    rates = _rates(frame)
    totals = _totals(frame)
    if low or size.width < 36:
        short = [Text.assemble((f"{name} ", "dim"), now) for name, now, _ in rates]
        short += [Text.assemble((f"{what} ", "dim"), count) for what, count in totals]
        return [_fitting(list(enumerate(short)), size.width)]
    least = 10 + GAP + 8 + GAP
    beside = size.width >= 72
    spark_width = max(0, min(60, size.width - least - (TOTALS_WIDTH if beside else 0)))
    lines = []
    for (name, now, past), (what, count) in zip(rates, totals, strict=True):
        top = LAG_S if name == "loop lag" else 0
        spark = amounts.sparkline(past, spark_width, top=top, ascii_only=size.ascii_only)
        line = Text.assemble((f"{name:<10}", "dim"), f"  {now:>8}  ", (spark, "cyan" if any(past) else "dim"))
        if beside:
            line.append("    ").append(f"{what:<11}", "dim").append("  ").append_text(count)
        lines.append(cut(line, size.width, ascii_only=size.ascii_only))
    if not beside:
        short = [Text.assemble((f"{what} ", "dim"), count) for what, count in totals]
        lines.append(_fitting(list(enumerate(short)), size.width))
    return [Text(), *lines] if size.height >= LOW else lines


def _rates(frame: Frame) -> list[tuple[str, str, list[float]]]:
    """A name, the newest value in words, and what went before."""
    rates = frame.get("rates", {})
    named = [(name, rates.get(f"{name}_per_s", [])) for name in ("events", "deliveries", "connects", "refused")]
    found = [(name, amounts.rate(past[-1] if past else 0), past) for name, past in named]
    lags = rates.get("loop_lag_s", [])
    return [*found, ("loop lag", amounts.lag(lags[-1] if lags else 0), lags)]


def _totals(frame: Frame) -> list[tuple[str, Text]]:
    tables, limits = frame.get("tables", {}), frame.get("limits", {})
    connections = Text(f"{tables.get('connections', 0):,}")
    if limits.get("connections_max"):
        connections.append(f" of {limits['connections_max']:,}", "dim")
    outbox = Text(amounts.size(tables.get("outbox_bytes", 0)))
    if tables.get("outbox_bytes"):
        outbox.append(f", at most {amounts.size(tables.get('outbox_bytes_max', 0))}", "dim")
    counted = {"users": "users", "followed": "uploads", "follows": "follows"}  # uploads are those that somebody follows
    counts = [(name, Text(f"{tables.get(key, 0):,}")) for name, key in counted.items()]
    return [("connections", connections), *counts, ("outboxes", outbox)]


def _tables(pages: Sequence[dict[str, Any]], size: Size, rows: int, *, beside: bool) -> list[Text]:
    if not beside:
        lines: list[Text] = []
        for page in pages:
            lines += [*([Text()] if lines else []), *page_lines(page, size.width, rows, ascii_only=size.ascii_only)]
        return lines
    width = share(size.width, len(pages))
    return side_by_side([page_lines(page, width, rows, ascii_only=size.ascii_only) for page in pages], size.width)


def _foot(browsing: Browsing, at: datetime, size: Size, *, keyboard: bool) -> list[Text]:
    """The filter and the order, then the keys. While the filter is edited, how that goes."""
    if browsing.editing is not None:
        room = max(1, size.width - len("filter: ") - 1)
        typed = said(browsing.editing, ascii_only=size.ascii_only)[-room:]
        state = Text.assemble(("filter: ", "bold"), typed, (" ", "reverse"))
        keys = _fitting([(0, Text("Enter applies")), (1, Text("Esc leaves")), (2, Text("Ctrl-U clears"))], size.width)
    else:
        state = _state_line(browsing, at, ascii_only=size.ascii_only)
        keys = _key_line(browsing.query.view, size.width) if keyboard else cut(Text("Ctrl-C ends it", "dim"), size.width)
    state = cut(state, size.width, ascii_only=size.ascii_only)
    return [Text(), state, keys] if size.height >= TINY else [state]


def _state_line(browsing: Browsing, at: datetime, *, ascii_only: bool) -> Text:
    query = browsing.query
    line = Text()
    if browsing.paused:
        line.append(f"PAUSED since {at:%H:%M:%S}", "bold yellow").append("  ")
    if browsing.complaint:
        return line.append("error: ", "bold red").append(said(browsing.complaint, ascii_only=ascii_only))
    quiet = "" if query.filter or query.sort else "dim"
    line.append(f"filter {said(query.filter, ascii_only=ascii_only)}" if query.filter else "no filter", quiet)
    return line.append(f"  sort {said(query.sort, ascii_only=ascii_only)}" if query.sort else "  default order", quiet)


def _key_line(view: str, width: int) -> Text:
    parts = []
    for rank, words in _FOOT if width >= 60 else _FOOT_SHORT:
        key, _, does = words.rpartition(" ")
        parts.append((rank, Text.assemble((key, "bold cyan"), " ", (does, "bold" if does == view else "dim"))))
    return _fitting(parts, width)


def _help(size: Size) -> list[Text]:
    lines = [Text.assemble(("keys", "bold"), ("  Esc goes back, as any other key but q does", "dim"))]
    lines += [Text.assemble((f"{key:<10}", "bold cyan"), "  ", does) for key, does in KEYS.items()]
    lines += [Text(), Text("a filter names columns by their heads: state=failed or percent<50")]
    return [cut(line, size.width, ascii_only=size.ascii_only) for line in lines]


def _fitting(parts: Sequence[tuple[int, Text]], width: int) -> Text:
    """As many parts as fit on a line, in their order; those of the highest rank give way."""
    chosen: set[int] = set()
    used = 0
    for place in sorted(range(len(parts)), key=lambda place: parts[place][0]):
        needed = parts[place][1].cell_len + (GAP if chosen else 0)
        if used + needed <= width:
            chosen.add(place)
            used += needed
    return Text(" " * GAP).join(parts[place][1] for place in sorted(chosen)) if chosen else Text()
