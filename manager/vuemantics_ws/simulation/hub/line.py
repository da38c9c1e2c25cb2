"""What lies between one node and the middle."""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any

from vuemantics_ws.simulation.dice import Draw
from vuemantics_ws.simulation.hub.way import Meter, Way

SMALL_BYTES = 64
"""What a message counts that carries no event."""

Answered = Callable[[Any], None]
"""Called with the answer; None where the line broke, and nobody knows whether it was done."""


class Line:
    """Two ways. What is asked on one is answered on the other, each in order."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, delays: Draw, dice: random.Random, meter: Meter, context: contextvars.Context
    ) -> None:
        self.out = Way(loop, delays, dice, meter, context=context)
        """Towards the middle. What was sent arrives, whatever becomes of the node."""
        self.back = Way(loop, delays, dice, meter)
        """Towards the node."""
        self.is_refused = False
        """Whether there is nobody in the middle."""

    def ask(self, size: int, answered: Answered, do: Callable[..., Any], *arguments: Any) -> None:
        """Do this in the middle."""
        self.out.send(size, self._do, answered, do, arguments)

    def _do(self, answered: Answered, do: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.back.send(SMALL_BYTES, answered, None if self.is_refused else do(*arguments))

    def break_off(self) -> None:
        """The middle is gone: what was asked is done or not, and nobody is told which."""
        for _, _, answered, _ in self.back.take():
            self.back.send(0, answered, None)
        for _, _, _, (answered, _, _) in self.out.take():
            self.back.send(0, answered, None)
