"""One direction of a line: what is sent arrives later, in its order."""

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from vuemantics_ws.simulation.dice import Draw

Sent = tuple[float, int, Callable[..., object], tuple[Any, ...]]
"""When it arrives unless something before it arrives later, its size in bytes, and what is called then."""


class Meter:
    """Counts what passes a place on its way."""

    def __init__(self) -> None:
        self.passed_bytes = 0


class Way:
    """Calls what is sent in order, each after a delay of its own and none before what was sent earlier.

    One timer is set for all that is under way, in the context of whoever it goes to: a paused process hears nothing.

    Args:
        context: where calls run; to be set before the first one.
        ended: called each time that what is due has arrived.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        delays: Draw,
        dice: random.Random,
        meter: Meter,
        *,
        context: contextvars.Context | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.context = context
        self.ended = ended
        self._loop = loop
        self._delays = delays
        self._dice = dice
        self._meter = meter
        self._sent: deque[Sent] = deque()
        self._timer: asyncio.Handle | None = None
        self._holds = 0
        self._is_closed = False

    def send(self, size: int, call: Callable[..., object], *arguments: Any) -> None:
        """Call this at the other end. Nothing comes of it where the way is closed."""
        if self._is_closed:
            return
        due = self._loop.time() + self._delays.draw(self._dice)
        self._sent.append((due, size, call, arguments))
        if self._timer is None and not self._holds:
            self._set_timer(due)

    @property
    def waiting_bytes(self) -> int:
        """What is under way, or held."""
        return sum(size for _, size, _, _ in self._sent)

    @property
    def is_clear(self) -> bool:
        """Nothing is under way, and nothing holds it."""
        return not self._sent and not self._holds

    def hold(self) -> None:
        """Let nothing arrive until it is released as often as it was held."""
        self._holds += 1
        self._end_timer()

    def release(self) -> None:
        """What was due meanwhile arrives now."""
        self._holds -= 1
        if self._sent and not self._holds and self._timer is None:
            self._set_timer(self._sent[0][0])

    def take(self) -> list[Sent]:
        """All that is under way is under way no more."""
        taken = list(self._sent)
        self._sent.clear()
        self._end_timer()
        return taken

    def close(self) -> None:
        """There is nobody at the other end any more."""
        self._is_closed = True
        self.take()

    def _set_timer(self, due: float) -> None:
        loop = self._loop
        if due > loop.time():
            self._timer = loop.call_at(due, self._arrive, context=self.context)
        else:
            self._timer = loop.call_soon(self._arrive, context=self.context)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arrive(self) -> None:
        sent, now, timer = self._sent, self._loop.time(), self._timer
        try:
            while sent and sent[0][0] <= now and self._timer is timer:
                _, size, call, arguments = sent.popleft()
                self._meter.passed_bytes += size
                call(*arguments)
        finally:
            if self._timer is timer:  # else it was held or emptied meanwhile
                self._timer = None
                if sent and not self._holds:
                    self._set_timer(sent[0][0])
        if self.ended is not None:
            self.ended()
