"""What a client does in place of authenticating, step by step."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from vuemantics_ws.messages import Auth, Message
from vuemantics_ws.simulation.format.scenario import Step

WELL_BEHAVED = (Step(auth=True),)
"""What everybody does who has no script."""


class Stage(Protocol):
    """Where it is played."""

    def say(self, message: Message) -> None:
        """Send it as JSON."""
        ...

    def say_raw(self, text: str) -> None:
        """Send the text as it is, in one frame."""
        ...


class Performance:
    """One connection's pass through the steps. Nothing happens before :meth:`go_on`, nor after :meth:`stop`.

    Args:
        token: the client's token, asked for at each ``auth``; None shows nothing.
        said: called with each object before it is sent.
        over: called after the last step.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        stage: Stage,
        *,
        token: Callable[[], str | None],
        said: Callable[[Mapping[str, Any]], None],
        over: Callable[[], None],
    ) -> None:
        self._steps = iter(steps)
        self._stage = stage
        self._token = token
        self._said = said
        self._over = over
        self._waiting: asyncio.TimerHandle | None = None

    def go_on(self) -> None:
        """Play all that comes before the next pause."""
        for step in self._steps:
            if step.wait is not None:
                self._waiting = asyncio.get_running_loop().call_later(step.wait, self.go_on)
                return
            if step.send is not None:
                self._said(step.send)
                self._stage.say(step.send)
            elif step.send_raw is not None:
                self._stage.say_raw(step.send_raw)
            elif (token := self._token()) is not None:
                self._stage.say(Auth(token))
        self._over()

    def stop(self) -> None:
        self._steps = iter(())
        if self._waiting is not None:
            self._waiting.cancel()
