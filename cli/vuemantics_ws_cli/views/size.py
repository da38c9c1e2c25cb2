"""What a view has room for."""

from typing import NamedTuple


class Size(NamedTuple):
    """What there is room for, in characters and lines; ``ascii_only`` where the terminal has nothing else."""

    width: int
    height: int
    ascii_only: bool = False
