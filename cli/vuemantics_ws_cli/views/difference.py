"""Where two runs part that should be one. Data in, something to print out."""

from rich.console import Group, RenderableType
from rich.text import Text

from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.log import Record
from vuemantics_ws.simulation.replaying import Difference
from vuemantics_ws_cli.views.records import record_line


def difference_lines(difference: Difference, report: Report) -> RenderableType:
    """The first event that differs, from both runs, after those that led to it in both."""

    def line(record: Record | None) -> str:
        return record_line(record, report.upload_names, report.client_names) if record is not None else "the run was over"

    fields = f" in {', '.join(difference.fields)}" if difference.fields else ""
    lines = [Text(f"another run from event {difference.number:,} on, which differs{fields}:", "bold red")]
    lines += [Text(f"  {line(record)}", "dim") for record in difference.before]
    lines += [Text(f"then  {line(difference.expected)}", "bold"), Text(f"now   {line(difference.got)}", "bold")]
    return Group(Text(), *lines)
