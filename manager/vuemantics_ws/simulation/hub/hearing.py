"""A node's connection to what the middle tells: opened again whenever it is lost, and what is wanted asked for anew.

Every other second a canary is sent, which comes back behind all that was told. It shows that nobody answers, that something did
not arrive, and that the middle has lost what it kept.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol

from vuemantics_ws.simulation.hub.line import SMALL_BYTES
from vuemantics_ws.simulation.hub.middle import Middle, Peer
from vuemantics_ws.simulation.hub.watch import Watch

CANARY_S = 2.0
"""How often one is sent. What has not returned when the next one is due returns no more."""

CONNECT_TIMEOUT_S = 3.0

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0

NO_ANSWER = "the simulated broker does not answer"


class Owner(Protocol):
    """Whose connection it is."""

    def wanted(self) -> tuple[list[Watch], list[str]]:
        """The uploads that are watched, and the users who are here."""
        ...

    def turned(self) -> None:
        """It is connected, or no longer."""
        ...

    def look_at_all(self) -> None:
        """Something was missed, or the middle has lost what it kept."""
        ...

    def returned(self) -> None:
        """A canary came back."""
        ...

    def read_ended(self) -> None:
        """All that arrived at once has been told."""
        ...


class Hearing:
    """Attributes:
    epoch: counts connections: what belongs to an earlier one is heard no more.
    is_connected: whether all that is wanted is told.
    reason: why it is not, None where it is.
    gaps: how often something may have been missed.
    lag_s: how long the last canary was under way.
    """

    def __init__(self, middle: Middle, peer: Peer, owner: Owner, dice: random.Random) -> None:
        self.epoch = 0
        self.is_open = False
        """Whether it is connected or connecting, so that what is wanted now has to be said."""
        self.is_connected = False
        self.reason: str | None = f"{NO_ANSWER} yet"
        self.gaps = 0
        self.lag_s: float | None = None
        self._middle = middle
        self._peer = peer
        self._owner = owner
        self._dice = dice
        self._loop = middle.loop
        self._tries = 0
        self._heard = 0
        self._data = 0
        self._sent_at = 0.0
        self._returned = True
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._peer.hearing.back.ended = self._owner.read_ended
        self._connect()

    def stop(self) -> None:
        """Nothing is heard any more."""
        self.epoch += 1
        self.is_open = self.is_connected = False
        self._peer.hearing.back.ended = None
        self._set_timer(None)

    def say(self, do: Callable[..., object], *arguments: Any) -> None:
        """Want something, or no more, on the connection that is: on the next one all that is wanted then is asked for."""
        if self.is_open:
            self._peer.hearing.out.send(SMALL_BYTES, do, self._peer, self.epoch, *arguments)

    # What is heard.

    def hear(self, epoch: int, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if epoch == self.epoch:
            self._heard += 1
            call(*arguments)

    def attached(self, epoch: int, data: int) -> bool:
        """Whether that is news."""
        if epoch != self.epoch:
            return False
        self._tries = 0
        self._heard = 0
        self._data = data
        self._returned = True
        self.is_connected, self.reason = True, None
        self._set_timer(CANARY_S, self._beat)
        self._owner.turned()
        return True

    def lost(self, epoch: int, reason: str) -> None:
        if epoch == self.epoch and self.is_open:
            self._lose(reason)

    def echo(self, epoch: int, data: int, told: int) -> None:
        if epoch != self.epoch:
            return
        self._returned = True
        self.lag_s = self._loop.time() - self._sent_at
        is_lost, self._data = data != self._data, data
        is_missed, self._heard = told != self._heard, told
        self.gaps += is_missed
        self._owner.returned()
        if is_lost or is_missed:
            self._owner.look_at_all()

    # The connection.

    def _connect(self) -> None:
        self.epoch += 1
        self.is_open = True
        watches, users = self._owner.wanted()
        self._peer.hearing.out.send(SMALL_BYTES, self._middle.attach, self._peer, self.epoch, watches, users)
        self._set_timer(CONNECT_TIMEOUT_S, self._lose, NO_ANSWER)

    def _beat(self) -> None:
        if not self._returned:
            self._lose(NO_ANSWER)
            return
        self._returned = False
        self._sent_at = self._loop.time()
        self.say(self._middle.fly)
        self._set_timer(CANARY_S, self._beat)

    def _lose(self, reason: str) -> None:
        self.gaps += self.is_connected
        self.is_open = self.is_connected = False
        self.reason, self.lag_s = reason, None
        self.epoch += 1
        self._tries += 1
        pause_s = self._dice.uniform(BACKOFF_MIN_S, min(BACKOFF_MAX_S, 2 * BACKOFF_MIN_S * 2.0 ** min(self._tries, 10)))
        self._set_timer(pause_s, self._connect)
        self._owner.turned()

    def _set_timer(self, delay_s: float | None, call: Callable[..., object] | None = None, *arguments: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if delay_s is None or call is None else self._loop.call_later(delay_s, call, *arguments)
