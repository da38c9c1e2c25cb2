"""The verdict of a run. Data in, something to print out."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws_cli.console import printable, printable_lines
from vuemantics_ws_cli.views.figures import figures
from vuemantics_ws_cli.views.records import record_line
from vuemantics_ws_cli.views.trimmed import Trimmed

WIDE = 120
"""From this many columns on, what was measured has a column of its own."""

STYLES = {
    "held": "green",
    "violated": "bold red",
    "vacuous": "bold yellow",
    "does not apply": "dim",
    "not judged here": "dim",
    "not seen yet": "dim",
}


def verdict(
    report: Report, *, replay: str, versions: str, fault: str | None = None, smaller: str | None = None
) -> RenderableType:
    """Every law, rule and expectation; then whatever does not hold, with its first violation and what led to it.

    Args:
        fault: why the run came to nothing, where it did.
        smaller: a file with the smallest scenario that fails so; empty where nobody has looked for it yet.
    """
    parts: list[RenderableType] = [Text(), _Findings(report), Text()]
    for finding in report.broken():
        parts += [*_violation(finding, report), Text()]
    parts += _befallen(report)
    parts += _summary(report, fault)
    if not report.holds and report.other_access:
        said = f"the server's access rule is {report.other_access}, and the scenario was written for another"
        parts.append(Text(f"{said}: start the server with the right --access", "yellow"))
    if not report.holds:
        parts.append(Text(f"seed {report.seed}, {versions}; again with: {replay}"))
        if smaller is not None:
            look = "--shrink beside it looks for the smallest scenario that still fails so"
            parts.append(Text(f"the smallest that was found to fail so is in {smaller}" if smaller else look))
    return Trimmed(Group(*parts))


class _Findings:
    """The table, as wide as there is room."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report, wide = self._report, options.max_width >= WIDE
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for name in ("verdict", "what", "", "samples"):
            table.add_column(name, no_wrap=name != "", justify="right" if name == "samples" else "left")
        if wide:
            table.add_column("measured")
        for findings in (report.laws, report.rules, report.expectations):
            for finding in findings:
                table.add_row(*_row(finding, wide=wide, interrupted=report.interrupted))
            table.add_section()
        yield table


def _row(finding: Finding, *, wide: bool, interrupted: bool) -> list[RenderableType]:
    said: str = "not seen yet" if interrupted and finding.verdict == "vacuous" else finding.verdict
    about = Text(printable(finding.about), overflow="fold")
    measured = figures(finding.figures)
    if measured and not wide:
        about.append(f"\n{measured}", "dim")
    row: list[RenderableType] = [Text(said, STYLES[said]), Text(finding.name, "bold"), about, f"{finding.samples:,}"]
    return [*row, Text(measured)] if wide else row


def _befallen(report: Report) -> list[RenderableType]:
    """What went wrong on purpose, when, and what was seen of it."""
    if not report.faults:
        return []
    lines: list[RenderableType] = [Text(f"{_counted(len(report.faults), 'fault')} on {_counted(len(report.nodes), 'node')}:")]
    for fault in report.faults:
        until = f" to {fault.ended_at_s:.1f} s" if fault.ended_at_s is not None and fault.lasted else ""
        seen = "; ".join(fault.seen) or "nothing was seen of it"
        lines.append(Text(printable(f"  {fault.began_at_s:.1f}{until or ' s'}  {fault.do} of {fault.target}: {seen}")))
    return [*lines, Text()]


def _summary(report: Report, fault: str | None) -> list[RenderableType]:
    count = len(report.broken())
    said, style = ("holds", "bold green") if report.holds else (f"does not hold: {count} of {len(report.findings)}", "bold red")
    if report.interrupted:
        said, style = ("was interrupted", "bold yellow") if not count else (f"was interrupted, and {said}", "bold red")
    if fault is not None:
        said, style = "came to nothing", "bold red"
    events = sum(report.published.values())
    text = Text.assemble(
        (f"{printable(report.scenario)} {said}", style),
        f", seed {report.seed}: {'others published' if report.others_publish else _counted(events, 'event') + ' published'}, "
        f"{_counted(report.states, 'state')} received on {_counted(report.connections, 'connection')} "
        f"in {report.lasted_s:.1f} s{' of virtual time' * (report.arm == 'virtual')}",
    )
    if report.cut_short:
        text.append("; its duration was over before everything had happened", "yellow")
    lines: list[RenderableType] = [text]
    if fault is not None:
        lines.insert(0, Text(f"{printable_lines(fault)}\n", "bold red"))
    if report.latency:
        lines.append(Text(f"latency {figures(report.latency)}; {report.deliveries_per_s:,.1f} deliveries a second"))
    if report.connect_time:
        lines.append(Text(f"connect time {figures(report.connect_time)}"))
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _violation(finding: Finding, report: Report) -> Sequence[RenderableType]:
    violation = finding.violation
    if violation is None:
        return [Text(f"{finding.name}: nothing was seen that could have broken it, so nothing is proved", "bold yellow")]
    lines: list[RenderableType] = [
        Text.assemble(
            (f"{finding.name} violated at {violation.at:.3f} s{' of virtual time' * (report.arm == 'virtual')}: ", "bold red"),
            printable(violation.message),
        )
    ]
    for record in violation.context:
        marked = record is violation.record
        mark, style = ("> ", "bold") if marked else ("  ", "dim")
        lines.append(Text(f"  {mark}{record_line(record, report.upload_names, report.client_names)}", style))
    return lines
