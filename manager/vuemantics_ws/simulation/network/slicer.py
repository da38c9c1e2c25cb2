"""Cuts what an end reads, so that its parser meets every boundary."""

import random

SLICED_BYTES = 1024
"""So much of what an end reads is cut: the handshake, and the first messages. More would find nothing else, and cost time."""

SLICE_BYTES_MAX = (1, 16, 256)
"""One of these bounds each slice. Mostly single bytes would only cost time."""


class Slicer:
    """For the beginning of one direction of a connection."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._left_bytes = SLICED_BYTES

    @property
    def is_done(self) -> bool:
        return self._left_bytes <= 0

    def next_bytes_max(self, bytes_max: int) -> int:
        """How much may be read at once, where otherwise it would be so much."""
        size = self._dice.randint(1, min(bytes_max, self._dice.choice(SLICE_BYTES_MAX)))
        self._left_bytes -= size
        return size
