"""What a view has room for."""

import os
from typing import NamedTuple

from rich.console import Console

COLUMNS_IN_A_PIPE = 160
"""A pipe has no width of its own. Nothing that is needed to act is cut at this one."""


class Size(NamedTuple):
    """What there is room for, in characters and lines; ``ascii_only`` where the terminal has nothing else."""

    width: int
    height: int
    ascii_only: bool = False


def size_of(console: Console) -> Size:
    """The terminal's; elsewhere as wide as COLUMNS says."""
    told = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return Size(console.width if told else COLUMNS_IN_A_PIPE, console.height, console.options.ascii_only)
