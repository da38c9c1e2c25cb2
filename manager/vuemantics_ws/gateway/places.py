"""The places for connections that have not authenticated yet, of which there are few."""

from vuemantics_ws.gateway.addresses import is_loopback
from vuemantics_ws.gateway.connection import Connection


class Places:
    """Who has not shown yet who it is, oldest first. When the places are taken, the oldest makes room.

    Loopback has no limit of its own: everything behind a proxy on this machine comes from there. Nor has an empty address,
    which is a Unix socket's.
    """

    def __init__(self, *, places_max: int, per_address_max: int) -> None:
        self._places_max = places_max
        self._per_address_max = per_address_max
        self._addresses: dict[Connection, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def take(self, connection: Connection, address: str) -> tuple[Connection, str] | None:
        """Give a connection a place. Whoever must make room for it is returned, with the name of the limit."""
        crowded_out = None
        if self._counts.get(address, 0) >= self._per_address_max and address and not is_loopback(address):
            oldest = next(other for other, its_address in self._addresses.items() if its_address == address)
            crowded_out = (oldest, "unauthenticated_per_address_max")
        elif len(self._addresses) >= self._places_max:
            crowded_out = (next(iter(self._addresses)), "unauthenticated_max")
        if crowded_out is not None:
            self.leave(crowded_out[0])
        self._addresses[connection] = address
        self._counts[address] = self._counts.get(address, 0) + 1
        return crowded_out

    def leave(self, connection: Connection) -> None:
        """The connection authenticated, or ended. Leaving twice does no harm."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]
