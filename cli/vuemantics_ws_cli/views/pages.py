"""A page of uploads, of connections, of who follows an upload, or of what a user follows, as a table."""

from collections.abc import Callable
from typing import Any

from rich.text import Text

from vuemantics_ws_cli.views import amounts
from vuemantics_ws_cli.views.columns import Column, Row, cut, joined, said, table
from vuemantics_ws_cli.views.messages import STAGE_WIDTH, bar, short_names

Page = dict[str, Any]

_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "unpublished": "dim",
    "open": "green",
    "slow": "yellow",
    "stalled": "bold red",
    "handshake": "dim",
    "authenticating": "dim",
    "closing": "dim",
    "ready": "green",
    "starting": "cyan",
    "draining": "yellow",
    "stopped": "red",
    "away": "bold red",
    "silent": "bold yellow",
}
_NOBODY = {
    "uploads": "no upload is known yet: vuemantics-ws publish new --run image makes one",
    "connections": "nobody is connected: vuemantics-ws listen holiday --user alice does it",
    "followers": "nobody follows an upload",
    "follows": "no user is here",
    "nodes": "no node is here",
}
_QUIET = ("refused", "duplicate", "stale", "after_terminal")
"""Columns that are not there while every row has a 0 in them."""

_OF_SEVERAL = ("node", "nodes")
"""Columns that are not there while all rows are of one node."""

_BAR_LEAST, _BAR_MOST = 6, 24


def page_lines(page: Page, width: int, rows: int, *, ascii_only: bool = False) -> list[Text]:
    """The page's name with its place among all rows, and the table of its first ``rows`` rows. Never wider than ``width``."""
    shown: list[Row] = page["rows"][: max(0, rows)]
    title = Text.assemble((page["view"], "bold"), "  ", (place(page, len(shown)), "dim"))
    title.truncate(width)
    if not shown:
        return [title, cut(Text(_why_empty(page, ascii_only=ascii_only), "dim"), width, ascii_only=ascii_only)]
    return [title, *table(columns_of(page, ascii_only=ascii_only), shown, width, sort=page["sort"], ascii_only=ascii_only)]


def _why_empty(page: Page, *, ascii_only: bool) -> str:
    if not page["total"]:
        return _NOBODY[page["view"]]
    if not page["matched"]:
        return f"none of them matches: {said(page['filter'], ascii_only=ascii_only)}"
    return "there are no more"


def place(page: Page, shown: int) -> str:
    """``rows 1-30 of 412 matched, 10,000 in all``, as short as it can be said."""
    matched, total, first = page["matched"], page["total"], page["offset"]
    if total and not matched:
        return f"none of {total:,} matched"
    of = f"{total:,}" if matched == total else f"{matched:,} matched, {total:,} in all"
    of = f"at most {of}" if page.get("at_most") else of
    return f"rows {first + 1:,}-{first + shown:,} of {of}" if shown else f"0 of {of}" if total else "none"


def columns_of(page: Page, *, ascii_only: bool = False) -> list[Column[Row]]:
    """The columns of the page's view, as they stand from left to right where there is room for all."""
    rows: list[Row] = page["rows"]
    makers: dict[str, Callable[[list[Row], bool], list[Column[Row]]]] = {
        "uploads": _uploads,
        "connections": _connections,
        "followers": _followers,
        "follows": _follows,
        "nodes": _nodes,
    }
    several = len(page.get("nodes", ())) > 1
    by = page["sort"].partition(",")[0].removeprefix("-")
    return [
        column
        for column in makers[page["view"]](rows, ascii_only)
        if column.name == by
        or (
            (column.name not in _QUIET or any(row.get(column.name) for row in rows))
            and (several or column.name not in _OF_SEVERAL)
        )
    ]


def _uploads(rows: list[Row], ascii_only: bool) -> list[Column[Row]]:
    return [
        _upload(rows, ascii_only),
        _stage(rank=1, rank_in_full=5, ascii_only=ascii_only),
        _percent(rank=2, ascii_only=ascii_only),
        Column("version", lambda row, _: Text(_version(row)), rank=6, least=7, right=True),
        _count("followers", rank=4, ascii_only=ascii_only),
        _count("connections", rank=9),
        Column("rate", lambda row, _: _quiet(row.get("rate_per_s"), amounts.rate), rank=7, least=6, right=True),
        Column("age", lambda row, _: Text(_amount(row.get("age_s"), amounts.age)), rank=3, least=6, right=True),
        Column("refused", lambda row, _: _alarming(row.get("refused")), rank=8, right=True),
        Column("duplicate", lambda row, _: _count_or_nothing(row.get("duplicate")), rank=12, right=True),
        Column("stale", lambda row, _: _alarming(row.get("stale")), rank=13, right=True),
        Column(
            "after_terminal", lambda row, _: _alarming(row.get("after_terminal")), rank=14, right=True, instead_of="refused"
        ),
        Column("owner", lambda row, _: Text(said(row.get("owner"), ascii_only=ascii_only)), rank=10, least=8),
        _on_nodes(rank=15, ascii_only=ascii_only),
    ]


def _connections(rows: list[Row], ascii_only: bool) -> list[Column[Row]]:
    return [
        Column("connection", lambda row, _: Text(str(row["connection"]), "bold"), rank=0, right=True),
        Column("node", lambda row, _: Text(said(row.get("node"), ascii_only=ascii_only)), rank=1),
        Column("user", lambda row, _: Text(said(row.get("user"), ascii_only=ascii_only)), rank=1, least=8),
        Column("state", lambda row, _: _state(row), rank=2, least=len("authenticating")),
        Column("age", lambda row, _: Text(_amount(row.get("age_s"), amounts.age)), rank=6, least=6, right=True),
        Column("pending", lambda row, _: _quiet(row.get("pending_bytes"), amounts.size), rank=3, least=7, right=True),
        Column("behind", lambda row, _: _quiet(row.get("behind_s"), amounts.age), rank=4, least=6, right=True),
        Column("silent", lambda row, _: Text(_amount(row.get("silent_s"), amounts.age)), rank=5, least=6, right=True),
        _count("uploads", rank=7),
        Column("sent", lambda row, _: Text(_amount(row.get("sent"), _grouped)), rank=9, least=7, right=True),
        Column("sent_bytes", lambda row, _: Text(_amount(row.get("sent_bytes"), amounts.size)), rank=11, least=7, right=True),
        Column("conflated", lambda row, _: _quiet(row.get("conflated"), _grouped), rank=8, right=True),
        Column("address", lambda row, _: Text(said(row.get("address"), ascii_only=ascii_only), "dim"), rank=10, least=9),
    ]


def _followers(rows: list[Row], ascii_only: bool) -> list[Column[Row]]:
    def users(row: Row, room: int | None) -> Text:
        names = [Text(said(user, ascii_only=ascii_only)) for user in row.get("users", [])]
        return joined(names, int(row.get("followers", len(names))) - len(names), room)

    return [
        _upload(rows, ascii_only),
        Column("state", lambda row, _: _state(row), rank=3, least=len("unpublished")),
        _percent(rank=2, ascii_only=ascii_only, bars=False),
        _count("followers", rank=4, ascii_only=ascii_only),
        _count("connections", rank=5),
        Column("users", users, rank=1, least=20, grows=True),
        _on_nodes(rank=6, ascii_only=ascii_only),
    ]


def _nodes(rows: list[Row], ascii_only: bool) -> list[Column[Row]]:
    def state(row: Row, _: int | None) -> Text:
        shown = row.get("state") if row.get("broker_ready", True) or row.get("state") == "silent" else "away"
        return Text(said(shown), _STYLES.get(str(shown), ""))

    return [
        Column("name", lambda row, _: Text(said(row.get("name"), ascii_only=ascii_only), "bold"), rank=0, least=8),
        Column("state", state, rank=1, least=len("draining")),
        _count("connections", rank=2),
        _count("users", rank=5),
        _count("uploads", rank=6),
        Column("events", lambda row, _: _quiet(row.get("events_per_s"), amounts.rate), rank=4, least=6, right=True),
        Column("lag", lambda row, _: Text(_amount(row.get("lag_s"), amounts.lag)), rank=3, least=6, right=True),
        Column("uptime", lambda row, _: Text(_amount(row.get("uptime_s"), amounts.age)), rank=7, least=6, right=True),
        Column("version", lambda row, _: Text(said(row.get("version"), ascii_only=ascii_only)), rank=9, least=7),
        Column("url", lambda row, _: Text(said(row.get("url"), ascii_only=ascii_only), "dim"), rank=8),
    ]


def _follows(rows: list[Row], ascii_only: bool) -> list[Column[Row]]:
    names = short_names([said(follow["upload"], ascii_only=ascii_only) for row in rows for follow in row.get("follows", [])])

    def connections(row: Row, room: int | None) -> Text:
        return joined([Text(said(number, ascii_only=ascii_only)) for number in row.get("connections", [])], 0, room) or Text(
            "none", "dim"
        )

    def follows(row: Row, room: int | None) -> Text:
        held = [_follow(follow, names, row.get("connections", []), ascii_only) for follow in row.get("follows", [])]
        return joined(held, int(row.get("uploads", len(held))) - len(held), room)

    leaves: Column[Row] = Column(
        "leaves", lambda row, _: Text(_amount(row.get("leaves_in_s"), amounts.age)), rank=3, right=True
    )
    return [
        Column("user", lambda row, _: Text(said(row.get("user"), ascii_only=ascii_only), "bold"), rank=0, least=8),
        Column("connections", connections, rank=2, grows=True),
        *([leaves] if any(row.get("leaves_in_s") is not None for row in rows) else []),
        _count("uploads", rank=4, ascii_only=ascii_only),
        Column("follows", follows, rank=1, least=20, grows=True),
    ]


def _follow(follow: Row, names: dict[str, str], connections: list[int | str], ascii_only: bool) -> Text:
    """The upload, how it does, and which connections hold it where that is not simply all of them."""
    upload = said(follow["upload"], ascii_only=ascii_only)
    line = Text(names.get(upload, upload))
    state, percent = said(follow.get("state")), follow.get("percent")
    line.append(f" {percent} %" if state == "running" and percent is not None else f" {state}", _STYLES.get(state, ""))
    held_by = follow.get("held_by", [])
    if held_by != connections:
        line.append(f" ({' '.join(said(number, ascii_only=ascii_only) for number in held_by) or 'none'})", "dim")
    return line


def _upload(rows: list[Row], ascii_only: bool) -> Column[Row]:
    """As much of the id as tells the page's uploads apart, and all of it where there is room."""
    names = short_names([said(row["upload"], ascii_only=ascii_only) for row in rows])
    least = max((len(name) for name in names.values()), default=8)

    def draw(row: Row, room: int | None) -> Text:
        upload = said(row["upload"], ascii_only=ascii_only)
        return Text(upload if room is None or len(upload) <= room else names[upload], "bold")

    return Column("upload", draw, rank=0, least=least, rank_in_full=11)


def _percent(*, rank: int, ascii_only: bool, bars: bool = True) -> Column[Row]:
    def draw(row: Row, room: int | None) -> Text:
        percent = row.get("percent")
        number = f"{percent:>3} %" if percent is not None else ""
        if not bars:
            return Text(number)
        width = _BAR_MOST if room is None else room - len("  60 %")
        moves = row.get("state") == "running"  # a wall of full bars would hide the few that move
        shown = bar(percent or 0, width, style="cyan", ascii_only=ascii_only) if moves else Text(" " * width)
        return shown.append(f" {number}")

    least = _BAR_LEAST + len("  60 %") if bars else 0
    return Column("percent", draw, rank=rank, least=least, right=not bars, fills=bars)


def _count(name: str, *, rank: int, ascii_only: bool | None = None) -> Column[Row]:
    """With ``ascii_only`` given it is a count of what may be on two nodes: a sum that counts it twice is at most so many."""
    at_most = "" if ascii_only is None else "<=" if ascii_only else "≤"

    def draw(row: Row, _: int | None) -> Text:
        return Text((at_most if row.get("at_most") else "") + _amount(row.get(name), _grouped))

    return Column(name, draw, rank=rank, right=True)


def _on_nodes(*, rank: int, ascii_only: bool) -> Column[Row]:
    def draw(row: Row, room: int | None) -> Text:
        return joined([Text(said(node, ascii_only=ascii_only)) for node in row.get("nodes", [])], 0, room)

    return Column("nodes", draw, rank=rank, least=8, grows=True)


def _stage(*, rank: int, rank_in_full: int, ascii_only: bool) -> Column[Row]:
    """How an upload does: a narrow table cuts a stage short before it goes without."""

    def draw(row: Row, room: int | None) -> Text:
        state = str(row.get("state"))
        shown = said(row.get("stage") if state == "running" else state, ascii_only=ascii_only)
        return Text(shown if room is not None else shown.ljust(STAGE_WIDTH), _STYLES.get(state, ""))

    return Column("stage", draw, rank=rank, least=len("unpublished"), rank_in_full=rank_in_full)


def _state(row: Row) -> Text:
    state = said(row.get("state"))
    return Text(state, _STYLES.get(state, ""))


def _version(row: Row) -> str:
    attempt, seq = row.get("attempt"), row.get("seq")
    return f"{attempt}.{seq}" if attempt is not None and seq is not None else ""


def _grouped(number: float) -> str:
    return f"{number:,.0f}"


def _amount(number: float | None, write: Callable[[float], str]) -> str:
    return write(number) if number is not None else ""


def _quiet(number: float | None, write: Callable[[float], str]) -> Text:
    """What is mostly 0, and then not worth a look."""
    return Text(_amount(number, write), "dim" if not number else "")


def _count_or_nothing(number: float | None) -> Text:
    return Text(_grouped(number) if number else "")


def _alarming(number: float | None) -> Text:
    return Text(_grouped(number) if number else "", "red")
