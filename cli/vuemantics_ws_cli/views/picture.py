"""A view as a picture: the same words and colours, in an SVG that needs nothing from anywhere else."""

import io
import re

from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI

WIDTH = 120
"""Columns, as wide as a page shows them."""

_FETCHED_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def picture(view: RenderableType, *, title: str, width: int = WIDTH) -> str:
    """The view as it looks on a terminal of so many columns. The same view gives the same text."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        highlight=False,
    )
    console.print(view)
    drawn = console.export_svg(title=title, theme=MONOKAI, unique_id="vuemantics-ws")
    drawn = _FETCHED_FONTS.sub("", drawn).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"
