"""A scenario while it runs, and its verdict. Data in, something to print out: no view knows the time or the terminal."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vuemantics_ws.simulation.board import Board, ClientRow, UploadRow
from vuemantics_ws.simulation.findings import Finding
from vuemantics_ws.simulation.log import Published, Received, Record
from vuemantics_ws.simulation.report import Report
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.messages import bar
from vuemantics_ws_cli.views.size import Size

WIDE = 140
"""From this many columns on, uploads and clients stand side by side."""

LAG_S = 0.1
"""From here on a run that was late says so."""

_STYLES = {
    "completed": "green",
    "failed": "red",
    "running": "cyan",
    "open": "green",
    "away": "red",
    "connecting": "cyan",
    "waiting": "dim",
    "left": "dim",
    "held": "green",
    "violated": "bold red",
    "vacuous": "bold yellow",
    "does not apply": "dim",
}
_RANK = {"running": 0, "failed": 1, "completed": 2, "waiting": 3}
_CLIENT_RANK = {"away": 0, "connecting": 1, "open": 2, "waiting": 3, "left": 4}


def live(board: Board, laws: Sequence[Finding], *, title: str, size: Size) -> RenderableType:
    """Everything at a glance: the uploads, the clients, and what the laws say so far. Never higher than ``size``."""
    wide = size.width >= WIDE
    rows = max(3, size.height - 11 if wide else (size.height - 15) // 2)
    column = (size.width - 4) // 2 if wide else size.width
    uploads = _uploads(list(board.uploads.values()), column, rows, ascii_only=size.ascii_only)
    clients = _clients(list(board.clients.values()), rows)
    tables: RenderableType = Group(uploads, clients)
    if wide:
        beside = Table.grid(padding=(0, 2), expand=True)
        beside.add_column(ratio=1)
        beside.add_column(ratio=1)
        beside.add_row(uploads, clients)
        tables = beside
    return Group(_heading(board, title), tables, _laws_so_far(laws))


def _heading(board: Board, title: str) -> Text:
    said = {"starting": "starting a server", "emptying": "everything has happened, the server forgets everybody"}
    heading = Text(no_wrap=True, overflow="ellipsis").append(printable(title), "bold")
    if board.phase != "starting":
        heading.append(f"  {board.at_s:.1f} s")
    return heading.append(f"  {said.get(board.phase, '')}", "dim")


def _uploads(uploads: Sequence[UploadRow], width: int, rows: int, *, ascii_only: bool) -> Table:
    ended = sum(upload.state in ("completed", "failed") for upload in uploads)
    table = _table(f"{ended} of {len(uploads)} uploads ended")
    for name in ("upload", "stage", "progress", "version", "current"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name == "current" else "left")
    bar_width = max(6, min(24, width - 62))
    shown = {upload.name for upload in sorted(uploads, key=lambda upload: _RANK[upload.state])[:rows]}
    for upload in (upload for upload in uploads if upload.name in shown):
        style = _STYLES[upload.state]
        stage = upload.stage if upload.state == "running" else upload.state
        progress = bar(upload.percent, bar_width, style=style, ascii_only=ascii_only).append(f" {upload.percent:>3} %")
        version = f"{upload.version.attempt}.{upload.version.seq}" if upload.version else ""
        followers = f"{upload.up_to_date} of {len(upload.shown)}" if upload.shown else ""
        table.add_row(Text(printable(upload.name), "bold"), Text(stage, style), progress, version, followers)
    return _with_rest(table, len(uploads) - len(shown))


def _clients(clients: Sequence[ClientRow], rows: int) -> Table:
    connected = sum(client.state == "open" for client in clients)
    table = _table(f"{connected} of {len(clients)} clients connected")
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
            str(client.received),
            _shows(client),
        )
    return _with_rest(table, len(clients) - len(shown))


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
        table.add_row(Text(f"and {left_out} more", "dim"))
    return table


def _laws_so_far(laws: Sequence[Finding]) -> Text:
    text = Text("laws so far: " if laws else "")
    for number, law in enumerate(laws):
        text.append(", " if number else "").append(f"{law.name} ")
        if law.verdict == "vacuous":
            text.append("not seen yet", "dim")
        else:
            text.append(law.verdict, _STYLES[law.verdict])
    return text


def progress_line(board: Board) -> str:
    """The same in one line of plain text, for where nothing can move."""
    return (
        f"{board.at_s:6.1f} s  {board.ended} of {len(board.uploads)} uploads ended, "
        f"{board.open} of {len(board.clients)} clients connected, {board.states} states received"
    )


def verdict(report: Report, *, replay: str, versions: str) -> RenderableType:
    """Every law and every expectation; then whatever does not hold, with its first violation and what led to it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("")
    table.add_column("samples", justify="right", no_wrap=True)
    for findings in (report.laws, report.expectations):
        for finding in findings:
            about = Text(printable(finding.about), overflow="fold")
            said = Text(finding.verdict, _STYLES[finding.verdict])
            table.add_row(said, Text(finding.name, "bold"), about, str(finding.samples))
        table.add_section()
    parts: list[RenderableType] = [Text(), table, Text()]
    for finding in report.broken():
        parts += [*_violation(finding, report), Text()]
    parts.append(_summary(report))
    if not report.holds:
        parts.append(Text(f"seed {report.seed}, {versions}; again with: {replay}"))
    return Group(*parts)


def _summary(report: Report) -> Text:
    count = len(report.broken())
    total = len(report.laws) + len(report.expectations)
    said = "holds" if report.holds else f"does not hold: {count} of {total}"
    events = sum(report.published.values())
    states = sum(report.received.get(action, 0) for action in ("upload_progress", "upload_completed", "upload_failed"))
    text = Text.assemble(
        (f"{printable(report.scenario)} {said}", "bold green" if report.holds else "bold red"),
        f", seed {report.seed}: {events} events published, {states} states received on {report.connections} connections "
        f"in {report.lasted_s:.1f} s",
    )
    if report.lag_s > LAG_S:
        text.append(f"; this machine was up to {report.lag_s:.1f} s behind, so times say little", "yellow")
    if report.cut_short:
        text.append("; its duration was over before everything had happened", "yellow")
    return text


def _violation(finding: Finding, report: Report) -> list[RenderableType]:
    violation = finding.violation
    if violation is None:
        return [Text(f"{finding.name}: nothing was seen that could have broken it, so nothing is proved", "bold yellow")]
    lines: list[RenderableType] = [
        Text.assemble((f"{finding.name} violated at {violation.at:.3f} s: ", "bold red"), printable(violation.message))
    ]
    for record in violation.context:
        marked = record is violation.record
        mark, style = ("> ", "bold") if marked else ("  ", "dim")
        lines.append(Text(f"  {mark}{record_line(record, report.upload_names, report.client_names)}", style))
    return lines


def record_line(record: Record, upload_names: Mapping[str, str], client_names: Mapping[int, str]) -> str:
    """One record of a log, by the names of its uploads and clients."""
    words = [f"{record.at:8.3f} s"]
    number = getattr(record, "connection", None)
    client = client_names.get(number) if number is not None else getattr(record, "client", None)
    if client is not None:
        words.append(f"{client} ({number})" if number is not None else client)
    words.append(str(record.__struct_config__.tag).replace("_", " "))
    action, code = getattr(record, "action", None), getattr(record, "code", None)
    words += [str(part) for part in (action, code, getattr(record, "reason", None)) if part not in (None, "")]
    upload_id = getattr(record, "upload_id", None)
    if upload_id is not None:
        words.append(upload_names.get(upload_id, upload_id))
    if isinstance(record, Received | Published) and record.version is not None:
        words.append(f"({record.attempt}, {record.seq})")
    if isinstance(record, Received) and record.known is not None:
        words.append("known" if record.known else "not known")
    if isinstance(record, Published):
        words.append(record.verdict or f"failed: {record.error}")
    if isinstance(record, Received | Published) and record.percent is not None:
        words.append(f"{record.percent} %")
    return printable(" ".join(words))
