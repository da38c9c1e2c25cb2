"""A scenario while it runs. Data in, something to print out: no view knows the time or the terminal."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from vuemantics_ws.simulation import board as boards
from vuemantics_ws.simulation.board import PULSE_S, Board, ClientRow, UploadRow
from vuemantics_ws.simulation.judging.aside import LawSoFar
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.columns import Column, share, side_by_side, table
from vuemantics_ws_cli.views.figures import seconds, spark
from vuemantics_ws_cli.views.messages import STAGE_WIDTH, bar
from vuemantics_ws_cli.views.size import Size
from vuemantics_ws_cli.views.verdict import STYLES as VERDICT_STYLES

WIDE = 140
"""From this many columns on, uploads and clients stand side by side."""

NAME_LEAST = 8
BAR_LEAST, BAR_MOST = 12, 46
"""Of a bar with its percent."""

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
_NODE_STYLES = {"ready": "green", "degraded": "yellow", "draining": "yellow", "silent": "red", "gone": "red"}
_RANK = {"running": 0, "failed": 1, "completed": 2, "waiting": 3}
_CLIENT_RANK = {"away": 0, "connecting": 1, "open": 2, "waiting": 3, "left": 4}


class Course(NamedTuple):
    """What is to come: until when, and how many events will be published."""

    lasts_s: float
    events: int


class LawsSoFar(NamedTuple):
    """What the laws said at that moment of the run; ``is_old`` where they were not judged again since."""

    laws: Sequence[Finding | LawSoFar] = ()
    at_s: float = 0.0
    is_old: bool = False


def live(board: Board, laws: LawsSoFar, *, title: str, size: Size, course: Course | None = None) -> RenderableType:
    """Everything at a glance: how far it is, the uploads, the clients, what the laws say so far. Never higher than ``size``."""
    wide = size.width >= WIDE
    airy = size.height >= AIRY
    befallen = _befallen(board)
    height = size.height - len(befallen)
    rows = max(3, height - 10 - 2 * airy if wide else (height - 13 - 3 * airy) // 2)
    column = share(size.width, 2) if wide else size.width
    parts = [
        _uploads(list(board.uploads.values()), column, rows, ascii_only=size.ascii_only),
        _everybody(board, column, rows, ascii_only=size.ascii_only),
    ]
    air = [Text()] if airy else []
    tables = side_by_side(parts, size.width) if wide else [*parts[0], *air, *parts[1]]
    above = [_heading(board, title, size, course), _measured(board, size, course), *befallen]
    return Group(*above, *air, *tables, *air, _laws_so_far(laws), *_way_in(board))


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


def _befallen(board: Board) -> list[Text]:
    """How each of several nodes does, and what goes wrong: a line each, where there is something to say."""
    lines = []
    if len(board.nodes) > 1:
        line = Text(no_wrap=True, overflow="ellipsis")
        for node in board.nodes.values():
            line.append("  " if line else "").append(f"{node.name} ").append(node.state, _NODE_STYLES[node.state])
            line.append(f" {node.open:,}")
        lines.append(line)
    if board.faults:
        line = Text("faults: ", no_wrap=True, overflow="ellipsis")
        for number, fault in enumerate(sorted(board.faults.values(), key=lambda fault: -fault.began_at_s)):
            line.append(", " if number else "").append_text(_fault(fault))
        lines.append(line)
    return lines


def _fault(fault: boards.FaultRow) -> Text:
    if fault.ended_at_s is None:
        return Text(f"{fault.do} of {printable(fault.target)} since {fault.began_at_s:.1f} s", "bold red")
    return Text(f"{fault.do} at {fault.began_at_s:.1f} s", "dim")


def _uploads(uploads: Sequence[UploadRow], width: int, rows: int, *, ascii_only: bool) -> list[Text]:
    ended = sum(upload.state in ("completed", "failed") for upload in uploads)
    shown = uploads if len(uploads) <= rows else sorted(uploads, key=_interest)[:rows]

    def progress(upload: UploadRow, room: int | None) -> Text:
        width = (BAR_MOST if room is None else room) - len(" 100 %")
        drawn = bar(upload.percent, width, style=_STYLES[upload.state], ascii_only=ascii_only)
        return drawn.append(f" {upload.percent:>3} %")

    def stage(upload: UploadRow, room: int | None) -> Text:
        return Text(upload.stage if upload.state == "running" else upload.state, _STYLES[upload.state])

    def version(upload: UploadRow, room: int | None) -> Text:
        return Text(f"{upload.version.attempt}.{upload.version.seq}" if upload.version else "")

    def current(upload: UploadRow, room: int | None) -> Text:
        return Text(f"{upload.up_to_date:,} of {len(upload.shown):,}" if upload.shown else "")

    columns = [
        Column("upload", lambda upload, room: Text(printable(upload.name), "bold"), rank=0, least=NAME_LEAST, grows=True),
        Column("stage", stage, rank=2, least=STAGE_WIDTH),
        Column("progress", progress, rank=1, least=BAR_LEAST, grows=True),
        Column("version", version, rank=3, right=True),
        Column("current", current, rank=4, right=True),
    ]
    title = f"{ended:,} of {len(uploads):,} uploads ended"
    return _lines(title, table(columns, shown, width, ascii_only=ascii_only), len(uploads) - len(shown))


def _interest(upload: UploadRow) -> tuple[int, float]:
    """What moves comes first, then what ended last."""
    return _RANK[upload.state], -upload.ended_at_s if upload.state in ("completed", "failed") else 0.0


def _everybody(board: Board, width: int, rows: int, *, ascii_only: bool) -> list[Text]:
    """A row for each client, or where they are too many, for each entry of the file."""
    clients = list(board.clients.values())
    title = f"{board.open:,} of {len(clients):,} clients connected"
    groups = board.groups() if len(clients) > rows else []
    if groups and len(groups) < len(clients):
        return _lines(title, table(_GROUPS, groups[:rows], width, ascii_only=ascii_only), len(groups) - rows)
    shown = {client.name for client in sorted(clients, key=lambda client: _CLIENT_RANK[client.state])[:rows]}
    listed = [client for client in clients if client.name in shown]
    return _lines(title, table(_CLIENTS, listed, width, ascii_only=ascii_only), len(clients) - len(listed))


def _state(client: ClientRow, room: int | None) -> Text:
    again = f" ({client.connections} connections)" if client.connections > 1 else ""
    return Text(client.state + again, _STYLES[client.state])


def _shows(client: ClientRow) -> Text:
    shown = Text()
    for name, what in client.shows.items():
        said = f"{what} %" if isinstance(what, int) else what
        shown.append(", " if shown else "").append(f"{printable(name)} ").append(said, _STYLES.get(str(what), ""))
    return shown


def _count(count: int, style: str = "") -> Text:
    return Text(f"{count:,}", style if count else "dim")


_CLIENTS: list[Column[ClientRow]] = [
    Column("client", lambda client, room: Text(printable(client.name), "bold"), rank=0, least=NAME_LEAST, grows=True),
    Column("user", lambda client, room: Text(printable(client.user)), rank=2),
    Column("state", _state, rank=1),
    Column("got", lambda client, room: _count(client.received), rank=3, right=True),
    Column("shows", lambda client, room: _shows(client), rank=4, least=8, grows=True),
]
_GROUPS: list[Column[boards.Group]] = [
    Column("clients", lambda group, room: Text(printable(group.entry), "bold"), rank=0, least=NAME_LEAST, grows=True),
    Column("joined", lambda group, room: Text(f"{group.joined:,} of {group.members:,}"), rank=3, right=True),
    Column("open", lambda group, room: _count(group.open, _STYLES["open"]), rank=1, least=5, right=True),
    Column("away", lambda group, room: _count(group.away, _STYLES["away"]), rank=1, least=5, right=True),
    Column("left", lambda group, room: _count(group.left), rank=4, least=5, right=True),
    Column("got", lambda group, room: _count(group.received), rank=5, least=9, right=True),
    Column("behind", lambda group, room: _count(group.behind, "yellow"), rank=2, right=True),
]


def _lines(title: str, lines: Sequence[Text], left_out: int) -> list[Text]:
    rest = [Text(f"and {left_out:,} more", "dim")] if left_out > 0 else []
    return [Text(title), *lines, *rest]


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


def _way_in(board: Board) -> list[Text]:
    """How to look into the server meanwhile."""
    if board.phase != "running" or not board.control:
        return []
    return [Text(f"in another terminal: {watch_command(board)}", "dim", no_wrap=True, overflow="ellipsis")]


def watch_command(board: Board) -> str:
    """What shows the server's own tables."""
    return f"vuemantics-ws watch --control {printable(board.control)}"


def progress_line(board: Board) -> str:
    """The same in one line of plain text, for where nothing can move."""
    broken = [f"{fault.do} of {printable(fault.target)}" for fault in board.faults.values() if fault.ended_at_s is None]
    return (
        f"{board.at_s:6.1f} s  {board.ended} of {len(board.uploads)} uploads ended, "
        f"{board.open} of {len(board.clients)} clients connected, {board.states} states received"
        f"{', broken: ' if broken else ''}{', '.join(broken)}"
    )
