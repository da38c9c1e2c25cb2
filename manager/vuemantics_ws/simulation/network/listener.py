"""Who listens in the virtual world."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

from vuemantics_ws.gateway.listening import BACKLOG
from vuemantics_ws.simulation.clock.process import here
from vuemantics_ws.simulation.network.transport import VirtualTransport

if TYPE_CHECKING:
    from vuemantics_ws.simulation.network.virtual import VirtualNetwork


class Listener(asyncio.AbstractServer):
    """Accepts connections, each of which gets a protocol in the process that listens.

    Its kernel accepts for it while it is paused, as many as the backlog holds. It has no ``sockets``; ``address`` is where it
    is reached.
    """

    sockets: tuple[()] = ()

    def __init__(
        self, network: "VirtualNetwork", host: str, address: tuple[str, int], make: Callable[[], asyncio.BaseProtocol]
    ):
        self.host = host
        self.address = address
        self.context = contextvars.copy_context()
        self._make = make
        self._network = network
        self._process = here()
        self._ends: dict[VirtualTransport, None] = {}
        self._backlog: dict[VirtualTransport, None] = {}
        self._is_serving = True
        self._waiting: list[asyncio.Future[None]] = []

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop

    def is_serving(self) -> bool:
        return self._is_serving

    async def start_serving(self) -> None:
        """It has served since it was made."""

    async def serve_forever(self) -> None:
        """Serve until cancelled, and then close."""
        try:
            await self._network.loop.create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Accept nobody any more. Connections stay; those that nobody has taken yet find a reset."""
        if self._is_serving:
            self._is_serving = False
            self._network.unlisten(self)
            for end in list(self._backlog):
                end.die()
            self._wake()

    def close_clients(self) -> None:
        for end in list(self._ends):
            end.close()

    def abort_clients(self) -> None:
        for end in list(self._ends):
            end.abort()

    async def wait_closed(self) -> None:
        """Wait until it is closed and all its connections are over, as asyncio does since Python 3.12."""
        if self._is_serving or self._ends:
            waiting = self._network.loop.create_future()
            self._waiting.append(waiting)
            await waiting

    # What the network asks and tells.

    @property
    def is_full(self) -> bool:
        """Whether its kernel holds as many as it may for a process that takes none."""
        return self._process is not None and self._process.is_paused and len(self._backlog) >= BACKLOG

    def add(self, end: VirtualTransport) -> None:
        self._ends[end] = None
        self._backlog[end] = None

    def accept(self, end: VirtualTransport) -> asyncio.BaseProtocol:
        """It has been taken: make what speaks there."""
        self._backlog.pop(end, None)
        return self._make()

    def remove(self, end: VirtualTransport) -> None:
        """It is over."""
        self._backlog.pop(end, None)
        if end in self._ends:
            del self._ends[end]
            self._wake()

    def _wake(self) -> None:
        if not self._is_serving and not self._ends:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
