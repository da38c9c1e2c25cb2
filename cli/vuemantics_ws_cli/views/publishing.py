"""What became of what was published."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from vuemantics_ws.client.control import Receipt
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.messages import STAGE_WIDTH

_STYLES = {"accepted": "green", "duplicate": "yellow", "stale": "red", "after_terminal": "red"}

REJECTED = ("stale", "after_terminal")


def receipt_line(receipt: Receipt) -> Text:
    """Verdict, upload, the version that stands, and of what was accepted how many nodes were told."""
    verdict = printable(receipt.verdict)
    line = Text.assemble((verdict, _STYLES.get(verdict, "")), "  ", (printable(receipt.upload_id), "bold"))
    if receipt.attempt is not None and receipt.seq is not None:
        line.append(f"  attempt {receipt.attempt} seq {receipt.seq}")
    if receipt.receivers is not None and verdict == "accepted":
        line.append(f"  {_told(receipt.receivers)}", "dim")
    return line


def rejection(receipt: Receipt) -> tuple[str, str]:
    """Why an event was dropped, and what to do."""
    stands = f"attempt {receipt.attempt} seq {receipt.seq}"
    if receipt.verdict == "after_terminal":
        message = f"{receipt.upload_id} has ended with {stands}, so the event was dropped"
        return message, f"a new attempt begins with: vuemantics-ws publish {receipt.upload_id} 0"
    message = f"{receipt.upload_id} stands at {stands} already, so the event was dropped"
    return message, "give a higher --seq or --attempt, or none of both"


def _told(receivers: int) -> str:
    return "nobody follows it" if receivers == 0 else f"told to {receivers} node{'s' if receivers > 1 else ''}"


def run_bar(console: Console, *, shown: bool) -> Progress:
    """The bar of a run, which stays when the run is over. Not shown, it takes everything and says nothing."""
    bar = BarColumn(bar_width=None, style="dim", complete_style="cyan", finished_style="green")
    stage = TextColumn(f"{{task.fields[stage]:<{STAGE_WIDTH}}}")
    columns = (TextColumn("{task.description:.8}"), bar, TaskProgressColumn(), stage, TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not shown)
