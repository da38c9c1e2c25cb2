"""A network in memory, for everything that runs on one loop.

Programs reach each other through the loop's ``create_connection`` and ``create_server``, and browsers through
:meth:`VirtualNetwork.dial`. Each end belongs to a *host*, by whose name two are parted: "node:0", "redis", a client's name, or
the process that made the end. What happens to streams is LABORATORY.md section 7: nothing is lost and nothing overtaken,
whatever goes wrong is time.
"""

import asyncio
import contextvars
import errno
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.clock.process import here
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.network.barrier import Barrier
from vuemantics_ws.simulation.network.connection import Connection
from vuemantics_ws.simulation.network.dial import Dial
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.network.listener import Listener
from vuemantics_ws.simulation.network.slicer import Slicer
from vuemantics_ws.simulation.network.stream import WINDOW_BYTES, Hop, Stream
from vuemantics_ws.simulation.network.transport import READ_BYTES_MAX, VirtualTransport

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({"", LOOPBACK, "localhost", "0.0.0.0", "::1", "::"})

WORLD = "world"
"""The host of what belongs to no process."""

FIRST_PORT = 20_000
FIRST_CLIENT_PORT = 49_152

SLICED_SHARE = 0.25
"""How many of the ends are sliced where slices are wanted."""

SYN_AGAIN_S = 1.0
"""After so long, and twice as long each further time, a kernel knocks again that got no answer (RFC 6298 section 5.7)."""

READS_OF_A_BUFFER = 8
"""A browser whose kernel holds little for it takes its buffer in so many reads: emptied at once, it would be read unevenly."""

Make = Callable[[], asyncio.BaseProtocol]


class VirtualNetwork:
    """All of the network.

    Args:
        seed: of the dice, each connection's own.
        latency: what each thing that is written takes, one way, where the client has no network of its own, in seconds.
        slices: hand over the first bytes of some connections in slices, which no parser may mind.
        loop: the one that it works for; by default the one that runs.
    """

    def __init__(
        self,
        *,
        seed: int,
        latency: Spread = Spread(0.0, 0.0),
        slices: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self.nowhere = contextvars.Context()
        """What belongs to no process happens here: a kernel works on, whoever is paused."""
        self.began_at_s = 0.0
        """When the scenario began, in the loop's time: outages of profiles count from then."""
        self._seed = seed
        self._latency = latency
        self._slices = slices
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._host_of: dict[tuple[str, int], str] = {}
        """Who listens at an address, or did."""
        self._connections: dict[Connection, Listener] = {}
        self._barriers: list[Barrier] = []
        self._next_port = FIRST_PORT
        self._next_client_port = FIRST_CLIENT_PORT
        self._dialed: dict[str, int] = {}
        """How often each host has connected."""

    @property
    def scenario_s(self) -> float:
        """Seconds since the scenario began."""
        return self.loop.time() - self.began_at_s

    # What the loop asks for, and what it is given.

    def listen(self, make: Make, host: str | None, port: int | None) -> Listener:
        """Accept connections from now on, in the process of the caller.

        Raises:
            OSError: somebody else listens there.
        """
        name = _name_of(host)
        process = here()
        return self._listen(make, name if name != LOOPBACK else process.name if process is not None else WORLD, name, port or 0)

    async def connect(self, make: Make, host: str, port: int) -> tuple[VirtualTransport, Any]:
        """Connect from the process of the caller.

        Raises:
            OSError: nobody listens there.
        """
        process = here()
        return await self._connect(make, host, port, origin=process.name if process is not None else WORLD)

    def dial(
        self, host: str, port: int, *, origin: str, by: Network | None = None, receive_buffer_bytes: int | None = None
    ) -> Dial:
        """How a browser reaches a server.

        Args:
            origin: the client's name.
            by: the client's network; None for what lies between any two programs.
            receive_buffer_bytes: what its kernel holds for it, where it reads slowly. Such a browser hears of its server's end
                through its kernel, too.
        """

        async def dial(make: Callable[[], asyncio.Protocol]) -> Any:
            return await self._connect(make, host, port, origin=origin, by=by, receive_buffer_bytes=receive_buffer_bytes)

        return dial

    def opens(self, name: str) -> Callable[[Make, str, int], Any]:
        """How a gateway on this host opens its port; see :data:`vuemantics_ws.gateway.listening.OpenPort`."""

        async def open_port(make: Make, host: str, port: int) -> tuple[asyncio.AbstractServer, tuple[str, int]]:
            try:
                listener = self._listen(make, name, LOOPBACK, port)
            except OSError as error:
                raise EnvironmentUnfit(
                    f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0).lower()}"
                ) from None
            return listener, listener.address

        return open_port

    # What befalls it.

    def barrier(self, one: str, other: str) -> Barrier:
        """What can part two sides, and does not yet."""
        barrier = Barrier(self, one, other)
        self._barriers.append(barrier)
        for connection in self._connections:
            if barrier.stands_between(*connection.between()):
                barrier.add(connection)
        return barrier

    def part(self, one: str, other: str) -> Barrier:
        """Let nothing pass between two sides, and tell nobody, until the barrier is healed. Sides as in :class:`Barrier`."""
        barrier = self.barrier(one, other)
        barrier.cut_off()
        return barrier

    def reset(self, host: str) -> None:
        """A host is gone, as when its process was killed: its peers find a reset, and nobody listens there any more."""
        for listener in [listener for listener in self._listeners.values() if listener.host == host]:
            listener.close()
        for end in [end for connection in self._connections for end in (connection.client, connection.server)]:
            if end.host == host and not end.is_shut:
                end.die()

    # What its parts need.

    def unlisten(self, listener: Listener) -> None:
        del self._listeners[listener.address]

    def forget(self, connection: Connection) -> None:
        del self._connections[connection]
        for barrier in self._barriers:
            barrier.remove(connection)

    # Listening.

    def _listen(self, make: Make, host: str, name: str, port: int) -> Listener:
        while port == 0:
            port, self._next_port = self._next_port, self._next_port + 1
            if (name, port) in self._listeners:
                port = 0
        if (name, port) in self._listeners:
            raise OSError(
                errno.EADDRINUSE, f"error while attempting to bind on address {(name, port)!r}: address already in use"
            )
        listener = self._listeners[name, port] = Listener(self, host, (name, port), make)
        self._host_of[name, port] = host
        return listener

    # Connecting.

    async def _connect(
        self,
        make: Make,
        host: str | None,
        port: int,
        *,
        origin: str,
        by: Network | None = None,
        receive_buffer_bytes: int | None = None,
    ) -> tuple[VirtualTransport, Any]:
        process = here()
        if process is not None and process.is_dead:
            raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        address = (_name_of(host), port)
        number = self._dialed[origin] = self._dialed.get(origin, 0) + 1
        dice = stream(self._seed, f"{origin}/{number}", "connection")
        await self._reach(address, origin, by)
        if by is not None:
            round_trip_s = 2 * by.latency_s
        else:
            round_trip_s = self._latency.draw(dice) + self._latency.draw(dice) if self._latency.high else 0.0
        if round_trip_s:
            await asyncio.sleep(round_trip_s)
            await self._reach(address, origin, by)
        again_s = SYN_AGAIN_S
        while (listener := self._listeners.get(address)) is not None and listener.is_full:
            await asyncio.sleep(again_s)
            again_s *= 2
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {address!r}")
        connection = self._join(listener, make, origin, by, receive_buffer_bytes, dice)
        begun = asyncio.Event()
        protocol = connection.client.begin(begun.set)
        connection.begin()
        try:
            await begun.wait()
        except BaseException:
            connection.client.close()
            raise
        return connection.client, protocol

    async def _reach(self, address: tuple[str, int], origin: str, by: Network | None) -> None:
        """Wait while nothing passes between the two. What is lost on the way is sent again until somebody gives up."""
        while True:
            if by is not None and (outage := by.outage(self.scenario_s)) is not None and outage.begins_s <= self.scenario_s:
                if by.cuts:
                    raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
                await asyncio.sleep(outage.ends_s - self.scenario_s)
                continue
            host = self._host_of.get(address)  # of one that has ended, too: no refusal passes either
            if host is None or not (between := list(self._cut_off(origin, host))):
                return
            await between[0].healed()

    def _cut_off(self, one: str, other: str) -> Iterator[Barrier]:
        return (barrier for barrier in self._barriers if barrier.is_cut_off and barrier.stands_between(one, other))

    def _join(
        self,
        listener: Listener,
        make: Make,
        origin: str,
        by: Network | None,
        receive_buffer_bytes: int | None,
        dice: random.Random,
    ) -> Connection:
        """Make both ends of a connection, each in its own process."""
        if by is not None:
            lanes: Any = by.lanes(self.loop.time() - 2 * by.latency_s)
            window_bytes = by.window_bytes
        elif self._latency.high:
            lanes = Hop(self._latency, dice), Hop(self._latency, _own(dice))
            window_bytes = WINDOW_BYTES
        else:
            lanes, window_bytes = (None, None), WINDOW_BYTES
        outward = Stream(self.loop, lane=lanes[0], window_bytes=window_bytes, by=by)
        inward = Stream(self.loop, lane=lanes[1], window_bytes=receive_buffer_bytes or window_bytes, by=by)
        connection = Connection(self, outward, inward, by=by, asks=receive_buffer_bytes is not None)
        ours, theirs = (LOOPBACK, self._next_client_port), listener.address
        self._next_client_port += 1
        read_bytes_max = READ_BYTES_MAX if receive_buffer_bytes is None else max(1, receive_buffer_bytes // READS_OF_A_BUFFER)
        connection.client = VirtualTransport(
            origin, inward, outward, make,
            loop=self.loop, nowhere=self.nowhere, shut=connection.shut, addresses={"sockname": ours, "peername": theirs},
            read_bytes_max=read_bytes_max, slicer=self._slicer(dice),
        )  # fmt: skip

        def shut(end: VirtualTransport) -> None:
            listener.remove(end)
            connection.shut(end)

        connection.server = listener.context.copy().run(
            lambda: VirtualTransport(
                listener.host, outward, inward, lambda: listener.accept(connection.server),
                loop=self.loop, nowhere=self.nowhere, shut=shut, addresses={"sockname": theirs, "peername": ours},
                slicer=self._slicer(dice),
            )
        )  # fmt: skip
        listener.add(connection.server)
        self._connections[connection] = listener
        for barrier in self._barriers:
            if barrier.stands_between(origin, listener.host):
                barrier.add(connection)
        return connection

    def _slicer(self, dice: random.Random) -> Slicer | None:
        return Slicer(_own(dice)) if self._slices and dice.random() < SLICED_SHARE else None


def _own(dice: random.Random) -> random.Random:
    """Dice of their own for one thing of a connection, so that no other thing shifts what they show."""
    return random.Random(dice.random())  # noqa: S311 - the same luck again is what a simulation is for


def _name_of(host: str | None) -> str:
    """The loopback address for all its names; every other name is its own."""
    return LOOPBACK if host is None or host in _LOOPBACK_NAMES else host
