"""What parts two sides of the virtual world, for a while."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from vuemantics_ws.simulation.network.connection import Connection

if TYPE_CHECKING:
    from vuemantics_ws.simulation.network.virtual import VirtualNetwork


SYN_BYTES = 40
"""What somebody sends who connects."""


class Barrier:
    """Lets everything pass, but while it is cut off nothing between its two sides, and nobody is told: no end, no reset, no
    refusal. Who connects then waits. Afterwards all goes on, in order, as TCP would send it again.

    Args:
        one, other: the sides. A name means that host and all whose names continue it behind a colon: "tab" is also "tab:3".
    """

    def __init__(self, network: "VirtualNetwork", one: str, other: str) -> None:
        self.is_cut_off = False
        self._network = network
        self._sides = one, other
        self._connections: dict[Connection, None] = {}
        self._passed_bytes = 0
        """Of connections that are over."""
        self._healed: asyncio.Future[None] | None = None
        self._tries = 0
        """How often somebody wanted to connect since it was cut off."""

    @property
    def connections(self) -> int:
        """How many there are between the two."""
        return len(self._connections)

    @property
    def held_bytes(self) -> int:
        """What was sent and has not arrived: on its way, or held back, also where somebody wanted to connect and gave up."""
        return sum(connection.held_bytes for connection in self._connections) + SYN_BYTES * self._tries

    @property
    def passed_bytes(self) -> int:
        """What has reached either side, of all connections since there is the barrier."""
        return self._passed_bytes + sum(connection.passed_bytes for connection in self._connections)

    def cut_off(self) -> None:
        if not self.is_cut_off:
            self.is_cut_off = True
            self._each(Connection.hold)

    def heal(self) -> None:
        if self.is_cut_off:
            self.is_cut_off = False
            self._tries = 0
            self._each(Connection.let_go)
            if self._healed is not None:
                self._healed.set_result(None)
                self._healed = None

    # What the network asks and tells.

    def stands_between(self, one: str, other: str) -> bool:
        first, second = self._sides
        return (_is_of(one, first) and _is_of(other, second)) or (_is_of(one, second) and _is_of(other, first))

    def add(self, connection: Connection) -> None:
        self._connections[connection] = None
        if self.is_cut_off:
            connection.hold()

    def remove(self, connection: Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._passed_bytes += connection.passed_bytes

    async def healed(self) -> None:
        """Wait until it lets pass: somebody wants to connect."""
        self._tries += self.is_cut_off
        while self.is_cut_off:
            if self._healed is None:
                self._healed = self._network.loop.create_future()
            await asyncio.shield(self._healed)

    def _each(self, befalls: Callable[[Connection], None]) -> None:
        for connection in list(self._connections):
            befalls(connection)


def _is_of(host: str, side: str) -> bool:
    return host == side or host.startswith(f"{side}:")
