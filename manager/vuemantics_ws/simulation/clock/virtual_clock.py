"""A clock that shows a loop's virtual time."""

import asyncio

EPOCH_S = 1_767_225_600.0
"""What the wall clock shows when a run begins: 2026-01-01 00:00:00 UTC. Always the same, so that timestamps are."""


class VirtualClock:
    """A :class:`vuemantics_ws.ambient.Clock` of the virtual world. One of them may be set wrong while others are right."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jumped_s = 0.0

    def wall(self) -> float:
        return EPOCH_S + self._jumped_s + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    def jump(self, by_s: float) -> None:
        """Somebody sets the wall clock; what is monotonic goes on."""
        self._jumped_s += by_s
