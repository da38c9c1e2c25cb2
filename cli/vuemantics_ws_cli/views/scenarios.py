"""Scenarios as people read about them. Data in, something to print out."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.overview import Overview
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.trimmed import Trimmed

NARROW = 60
"""Below so many columns a question stands under its scenario's name."""


def scenario_table(overviews: Mapping[str, Overview], width: int) -> RenderableType:
    """The scenarios by name, each with the question that it answers, and below it what it needs."""
    return Trimmed(_list(overviews) if width < NARROW else _table(overviews))


def _list(overviews: Mapping[str, Overview]) -> RenderableType:
    parts: list[RenderableType] = []
    for name, overview in overviews.items():
        parts += [
            Text.assemble((printable(name), "bold"), f"  {overview.takes}"),
            Padding(_question(overview), (0, 0, 0, 2)),
        ]
    return Group(*parts)


def _table(overviews: Mapping[str, Overview]) -> RenderableType:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("scenario", no_wrap=True)
    table.add_column("question")
    table.add_column("takes", no_wrap=True)
    for name, overview in overviews.items():
        table.add_row(printable(name), _question(overview), overview.takes)
    return table


def _question(overview: Overview) -> Text:
    question = Text(printable(overview.question))
    if overview.needs:
        question.append(f"\n{printable(overview.needs)}", "yellow" if overview.not_yet else "dim")
    return question


def summary(overview: Overview) -> str:
    """What a scenario that can be played holds, in a line."""
    counts = {"client": overview.clients, "upload": overview.uploads, "event": overview.events}
    counted = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    most = f", {format_duration(overview.duration_s)} at most" if overview.duration_s is not None else ""
    return f"{counted}, {overview.takes}{most}"
