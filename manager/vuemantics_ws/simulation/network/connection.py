"""Two ends and the two streams between them, and what befalls them together."""

import asyncio
from typing import TYPE_CHECKING

from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.network.stream import Mark, Stream
from vuemantics_ws.simulation.network.transport import VirtualTransport

if TYPE_CHECKING:
    from vuemantics_ws.simulation.network.virtual import VirtualNetwork

KEEPALIVE_S = 5.0
"""After so long the kernel of a browser that reads slowly asks whether its server is still there, as the real arm has it."""


class Connection:
    """One connection, from when somebody has been reached until both sockets are closed.

    Args:
        by: the client's own network, which may go away.
        asks: whether the client's kernel asks for its server, whose end it would not hear of while it does not read.
    """

    def __init__(self, network: "VirtualNetwork", outward: Stream, inward: Stream, *, by: Network | None, asks: bool) -> None:
        self.outward, self.inward = outward, inward
        self.client: VirtualTransport
        self.server: VirtualTransport
        self._network = network
        self._by = by
        self._asks = asks
        self._is_away = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Both ends are there, and the server's hears that somebody has come."""
        self.outward.mark(Mark.OPEN)
        if self._by is not None:
            self._look_at_the_network(self._by)

    def between(self) -> tuple[str, str]:
        """The hosts of the two."""
        return self.client.host, self.server.host

    # What befalls it.

    def hold(self) -> None:
        """Nothing passes either way, and nobody is told."""
        self.outward.hold()
        self.inward.hold()

    def let_go(self) -> None:
        self.outward.let_go()
        self.inward.let_go()

    @property
    def held_bytes(self) -> int:
        return self.outward.held_bytes + self.inward.held_bytes

    @property
    def passed_bytes(self) -> int:
        self.outward.land()
        self.inward.land()
        return self.outward.passed_bytes + self.inward.passed_bytes

    def _look_at_the_network(self, by: Network) -> None:
        """Called at the beginning, and whenever an outage begins or ends."""
        self._timer = None
        now = self._network.scenario_s
        outage = by.outage(now)
        is_away = outage is not None and outage.begins_s <= now
        if is_away and by.cuts:
            self.outward.cut()
            self.inward.cut()
            return
        if is_away is not self._is_away:
            self._is_away = is_away
            (self.hold if is_away else self.let_go)()
        if outage is not None:
            edge_s = outage.ends_s if is_away else outage.begins_s
            loop, at = self._network.loop, self._network.began_at_s + edge_s
            self._timer = loop.call_at(at, self._look_at_the_network, by, context=self._network.nowhere)

    # Its end.

    def shut(self, end: VirtualTransport) -> None:
        """One of the two sockets is closed."""
        if self.client.is_shut and self.server.is_shut:
            if self._timer is not None:
                self._timer.cancel()
            self.outward.stop()
            self.inward.stop()
            self._network.forget(self)
        elif end is self.server and self._asks:
            self._network.loop.call_later(KEEPALIVE_S, self._ask, context=self._network.nowhere)

    def _ask(self) -> None:
        if not self.client.is_shut and not self.inward.is_reset:
            self.inward.mark(Mark.RESET)
