"""What a node asks of the middle, and how long it waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.simulation.hub.middle import Peer

TIMEOUT_S = 2.0


class Asking:
    """Asks on several lines in turn, and gives up waiting after a while; what was asked may still be done.

    One timer is set for all that is asked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: Peer) -> None:
        self._loop = loop
        self._lines = peer.asking
        self._turn = 0
        self._asked: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, size: int, do: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """The answer to come, or BrokerAway where whether it was done is not known. Nobody who is asked may answer None."""
        answered: asyncio.Future[Any] = self._loop.create_future()
        self._turn = (self._turn + 1) % len(self._lines)
        self._lines[self._turn].ask(size, partial(self._answer, answered), do, *arguments)
        until = self._loop.time() + TIMEOUT_S
        self._asked.append((until, answered))
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._lose_patience)
        return answered

    def stop(self) -> None:
        """Nobody waits any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, answered in self._asked:
            self._fail(answered, "the broker was stopped")
        self._asked.clear()

    def _answer(self, answered: "asyncio.Future[Any]", answer: Any) -> None:
        if answer is None:
            self._fail(answered, "the connection to the simulated broker was lost")
        elif not answered.done():
            answered.set_result(answer)

    def _lose_patience(self) -> None:
        self._timer = None
        asked, now = self._asked, self._loop.time()
        while asked:
            until, answered = asked[0]
            if not answered.done():
                if until > now:
                    self._timer = self._loop.call_at(until, self._lose_patience)
                    return
                self._fail(answered, "the simulated broker does not answer")
            asked.popleft()

    @staticmethod
    def _fail(answered: "asyncio.Future[Any]", why: str) -> None:
        if not answered.done():
            answered.set_exception(BrokerAway(why))
            answered.exception()  # so that nobody complains where whoever waited is dead
