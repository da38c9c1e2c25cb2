"""How far something is that is computed, in one line. Data in, something to print out."""

from rich.text import Text

from vuemantics_ws.simulation.shrinking.search import Shrunk
from vuemantics_ws.simulation.sweeping.sweep import Progress
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.amounts import age
from vuemantics_ws_cli.views.columns import cut
from vuemantics_ws_cli.views.messages import bar
from vuemantics_ws_cli.views.size import Size

BAR_MOST = 40
BAR_LEAST = 8
ECHO = len("^C")
"""A terminal writes there what is pressed, and a line that then is too long would stay."""


def run_line(name: str, *, at_s: float, lasts_s: float, took_s: float, size: Size | None) -> Text:
    """A run in virtual time that has come to ``at_s``, and will come to ``lasts_s`` or a little beyond."""
    speed = at_s / took_s if took_s > 0 else 0.0
    words = f"{age(at_s)} of {age(max(at_s, lasts_s))} in {age(took_s)}, {speed:,.0f} times as fast as real time"
    return _line(name, at_s / lasts_s if lasts_s else 1.0, Text(words), size)


def sweep_line(name: str, progress: Progress, *, took_s: float, size: Size | None) -> Text:
    """A sweep, with the lowest seed that fails, if one does."""
    failed = Text("none fails") if progress.failed is None else Text(f"seed {progress.failed} fails", "bold red")
    per_s = progress.played / took_s if took_s > 0 else 0.0
    words = Text(f"{progress.played:,} of {progress.seeds:,} seeds in {age(took_s)}, {per_s:,.1f} a second, ").append_text(
        failed
    )
    return _line(name, progress.played / progress.seeds, words, size)


def shrink_line(name: str, found: Shrunk, *, size: Size | None) -> Text:
    """A scenario that is made smaller, as small as it is by now."""
    counts = ((found.clients, "client"), (found.uploads, "upload"), (found.faults, "fault"))
    left = ", ".join(f"{count:,} {what}{'s' * (count != 1)}" for count, what in counts)
    words = f"{left} left after {found.tries:,} {'try' if found.tries == 1 else 'tries'}"
    return _line(name, None, Text(words), size)


def _line(name: str, share: float | None, words: Text, size: Size | None) -> Text:
    name = printable(name)
    if size is None:
        return Text(f"{name}: ").append_text(words)
    width = size.width - ECHO
    room = width - len(name) - words.cell_len - 4
    line = Text(no_wrap=True).append(name, "bold").append("  ")
    if share is not None and room >= BAR_LEAST:
        line.append_text(bar(round(100 * share), min(room, BAR_MOST), style="cyan", ascii_only=size.ascii_only)).append("  ")
    return cut(line.append_text(words), width, ascii_only=size.ascii_only)
