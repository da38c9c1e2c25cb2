"""A scenario while it runs. Data in, something to print out: no view knows the time or the terminal."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vuemantics_ws.simulation import board as boards
from vuemantics_ws.simulation.board import PULSE_S, Board, ClientRow, UploadRow
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.figures import seconds, spark
from vuemantics_ws_cli.views.messages import bar
from vuemantics_ws_cli.views.size import Size
from vuemantics_ws_cli.views.verdict import STYLES as VERDICT_STYLES

WIDE = 140
"""From this many columns on, uploads and clients stand side by side."""

AIRY = 30
"""From this many lines on, there is an empty one between the parts."""

_STYLES = {
    "completed": "green",
    "failed": "red",
    "running": "cyan",
    "open": "green",
    "away": "red",
    "connecting": "cyan",
    "waiting": "dim",
    "left": "dim",
}
_RANK = {"running": 0, "failed": 1, "completed": 2, "waiting": 3}
_CLIENT_RANK = {"away": 0, "connecting": 1, "open": 2, "waiting": 3, "left": 4}


class Course(NamedTuple):
    """What is to come: until when, and how many events will be published."""

    lasts_s: float
    events: int


class LawsSoFar(NamedTuple):
    """What the laws said at that moment of the run; ``is_old`` where they were not judged again since."""

    laws: Sequence[Finding] = ()
    at_s: float = 0.0
    is_old: bool = False


def live(board: Board, laws: LawsSoFar, *, title: str, size: Size, course: Course | None = None) -> RenderableType:
    """Everything at a glance: how far it is, the uploads, the clients, what the laws say so far. Never higher than ``size``."""
    wide = size.width >= WIDE
    airy = size.height >= AIRY
    rows = max(3, size.height - 12 - 2 * airy if wide else (size.height - 16 - 3 * airy) // 2)
    column = (size.width - 4) // 2 if wide else size.width
    uploads = _uploads(list(board.uploads.values()), column, rows, ascii_only=size.ascii_only)
    clients = _everybody(board, rows)
    air = [Text()] if airy else []
    tables: RenderableType = Group(uploads, *air, clients)
    if wide:
        beside = Table.grid(padding=(0, 2), expand=True)
        beside.add_column(ratio=1)
        beside.add_column(ratio=1)
        beside.add_row(uploads, clients)
        tables = beside
    return Group(_heading(board, title, size, course), _measured(board, size, course), *air, tables, *air, _laws_so_far(laws))


def _heading(board: Board, title: str, size: Size, course: Course | None) -> Text:
    said = {"starting": "starting a server", "emptying": "everything has happened, the server forgets everybody"}
    heading = Text(no_wrap=True, overflow="ellipsis").append(printable(title), "bold")
    if board.phase == "running" and course is not None:
        percent = round(100 * min(1.0, board.at_s / course.lasts_s)) if course.lasts_s else 100
        width = max(8, min(40, size.width - len(title) - 24))
        heading.append("  ").append_text(bar(percent, width, style="cyan", ascii_only=size.ascii_only))
        return heading.append(f"  {board.at_s:.1f} of {course.lasts_s:.1f} s")
    if board.phase != "starting":
        heading.append(f"  {board.at_s:.1f} s")
    return heading.append(f"  {said.get(board.phase, '')}", "dim")


def _measured(board: Board, size: Size, course: Course | None) -> Text:
    """Events, deliveries and latency so far, in one line."""
    if board.phase == "starting":
        return Text()
    of = f" of {course.events:,}" if course is not None and course.events >= board.events else ""
    line = Text(f"{board.events:,}{of} events, {board.states:,} states  ", no_wrap=True, overflow="ellipsis")
    pulse = board.pulse + [0] * (int(board.at_s / PULSE_S) - len(board.pulse))
    line.append(spark(pulse, 40 if size.width >= WIDE else 16, ascii_only=size.ascii_only), "cyan")
    if pulse:
        line.append(f" {sum(pulse[-3:-1]) / (2 * PULSE_S):,.0f}/s")
    if board.latency.count:
        line.append(f"  p50 {seconds(board.latency.at(0.5))}, p99 {seconds(board.latency.at(0.99))}")
    return line


def _uploads(uploads: Sequence[UploadRow], width: int, rows: int, *, ascii_only: bool) -> Table:
    ended = sum(upload.state in ("completed", "failed") for upload in uploads)
    table = _table(f"{ended:,} of {len(uploads):,} uploads ended")
    for name in ("upload", "stage", "progress", "version", "current"):
        justify: Literal["left", "right"] = "right" if name == "current" else "left"
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify=justify, ratio=1 if name == "progress" else None)
    bar_width = max(6, min(40, width - 62))
    shown = uploads if len(uploads) <= rows else sorted(uploads, key=_interest)[:rows]
    for upload in shown:
        style = _STYLES[upload.state]
        stage = upload.stage if upload.state == "running" else upload.state
        progress = bar(upload.percent, bar_width, style=style, ascii_only=ascii_only).append(f" {upload.percent:>3} %")
        version = f"{upload.version.attempt}.{upload.version.seq}" if upload.version else ""
        followers = f"{upload.up_to_date:,} of {len(upload.shown):,}" if upload.shown else ""
        table.add_row(Text(printable(upload.name), "bold"), Text(stage, style), progress, version, followers)
    return _with_rest(table, len(uploads) - len(shown))


def _interest(upload: UploadRow) -> tuple[int, float]:
    """What moves comes first, then what ended last."""
    return _RANK[upload.state], -upload.ended_at_s if upload.state in ("completed", "failed") else 0.0


def _everybody(board: Board, rows: int) -> Table:
    """A row for each client, or where they are too many, for each entry of the file."""
    clients = list(board.clients.values())
    if len(clients) > rows:
        groups = board.groups()
        if len(groups) < len(clients):
            return _groups(groups, rows)
    return _clients(clients, rows)


def _clients(clients: Sequence[ClientRow], rows: int) -> Table:
    connected = sum(client.state == "open" for client in clients)
    table = _table(f"{connected:,} of {len(clients):,} clients connected")
    table.add_column("client", no_wrap=True, overflow="ellipsis")
    table.add_column("user", no_wrap=True, overflow="ellipsis")
    table.add_column("state", no_wrap=True)
    table.add_column("got", no_wrap=True, justify="right")
    table.add_column("shows", no_wrap=True, overflow="ellipsis", ratio=1)
    shown = {client.name for client in sorted(clients, key=lambda client: _CLIENT_RANK[client.state])[:rows]}
    for client in (client for client in clients if client.name in shown):
        again = f" ({client.connections} connections)" if client.connections > 1 else ""
        table.add_row(
            Text(printable(client.name), "bold"),
            printable(client.user),
            Text(client.state + again, _STYLES[client.state]),
            f"{client.received:,}",
            _shows(client),
        )
    return _with_rest(table, len(clients) - len(shown))


def _groups(groups: Sequence[boards.Group], rows: int) -> Table:
    connected, everybody = sum(group.open for group in groups), sum(group.members for group in groups)
    table = _table(f"{connected:,} of {everybody:,} clients connected")
    table.add_column("clients", no_wrap=True, overflow="ellipsis")
    for name in ("joined", "open", "away", "left", "got", "behind"):
        table.add_column(name, no_wrap=True, justify="right")
    for group in groups[:rows]:
        table.add_row(
            Text(printable(group.entry), "bold"),
            f"{group.joined:,} of {group.members:,}",
            Text(f"{group.open:,}", _STYLES["open"]),
            Text(f"{group.away:,}", _STYLES["away"] if group.away else "dim"),
            Text(f"{group.left:,}", _STYLES["left"]),
            f"{group.received:,}",
            Text(f"{group.behind:,}", "yellow" if group.behind else "dim"),
        )
    return _with_rest(table, len(groups) - rows)


def _shows(client: ClientRow) -> Text:
    shown = Text()
    for name, what in client.shows.items():
        said = f"{what} %" if isinstance(what, int) else what
        shown.append(", " if shown else "").append(f"{printable(name)} ").append(said, _STYLES.get(str(what), ""))
    return shown


def _table(title: str) -> Table:
    return Table(
        title=title,
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        expand=True,
        title_justify="left",
        title_style="",
        header_style="bold",
    )


def _with_rest(table: Table, left_out: int) -> Table:
    if left_out > 0:
        table.add_row(Text(f"and {left_out:,} more", "dim"))
    return table


def _laws_so_far(found: LawsSoFar) -> Text:
    text = Text()
    if found.laws:
        text.append(f"laws at {found.at_s:.1f} s: " if found.is_old else "laws so far: ")
    for number, law in enumerate(found.laws):
        text.append(", " if number else "").append(f"{law.name} ")
        if law.verdict == "vacuous":
            text.append("not seen yet", "dim")
        else:
            text.append(law.verdict, VERDICT_STYLES[law.verdict])
    return text


def progress_line(board: Board) -> str:
    """The same in one line of plain text, for where nothing can move."""
    return (
        f"{board.at_s:6.1f} s  {board.ended} of {len(board.uploads)} uploads ended, "
        f"{board.open} of {len(board.clients)} clients connected, {board.states} states received"
    )
