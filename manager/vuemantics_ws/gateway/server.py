"""The gateway: a ConnectionManager behind a public WebSocket port."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from websockets.http11 import Request, Response

from vuemantics_ws.ambient import Clock, process_id
from vuemantics_ws.brokers.base import Broker, Receipt
from vuemantics_ws.closing import RELOADING_REASON, CloseCode
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.access import anyone, owner_only
from vuemantics_ws.core.upload import Event, Head, Verdict
from vuemantics_ws.gateway.addresses import url_of
from vuemantics_ws.gateway.auth import Authenticator
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.conversation import UploadConversation
from vuemantics_ws.gateway.description import describe, name_of, report
from vuemantics_ws.gateway.drain import drain
from vuemantics_ws.gateway.handshake import PATHS, HandshakePolicy
from vuemantics_ws.gateway.histogram import Histogram
from vuemantics_ws.gateway.inspection import Inspection
from vuemantics_ws.gateway.journal import Journal
from vuemantics_ws.gateway.listening import OpenPort, open_port
from vuemantics_ws.gateway.neighbours import Neighbours
from vuemantics_ws.gateway.places import Places
from vuemantics_ws.gateway.port import Phase
from vuemantics_ws.gateway.pulse import Pulse
from vuemantics_ws.gateway.quiet import log_fault
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.gateway.sightings import Sightings
from vuemantics_ws.gateway.silent_uploads import SilentUploads
from vuemantics_ws.gateway.timers import Timers
from vuemantics_ws.limits import Limits

logger = logging.getLogger(__name__)

FLUSHED_TOGETHER = 64
"""How long states waited is looked at once for so many connections: that costs each of them nothing."""

SIGHTED_S = 600.0
"""How long an upload that nobody follows here is remembered for nodes on which somebody may."""

AGE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Gateway:
    """One node. Must be made inside the loop that runs it.

    ``start`` opens the port; ``stop`` drains and closes it. ``state`` goes from ``starting`` to ``ready`` to ``draining`` to
    ``stopped``.

    Args:
        pid: of the process that it runs in; by default of this one.
    """

    def __init__(
        self, settings: Settings, *, secret: str, broker: Broker, clock: Clock, dice: random.Random, pid: int | None = None
    ) -> None:
        self.settings = settings
        self.pid = process_id() if pid is None else pid
        self.limits: Limits = settings
        self.write_buffer_bytes_max = settings.write_buffer_bytes_max
        self.unsent_bytes_max = settings.unsent_bytes_max
        self.clock = clock
        self.state = "starting"
        self.journal = Journal(clock)
        self.timers = Timers(asyncio.get_running_loop())
        self.authenticator = Authenticator(
            secret,
            algorithm=settings.jwt_algorithm,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            clock=clock,
        )
        self.manager = ConnectionManager(
            broker=broker,
            access=owner_only if settings.resolved_access == "owner" else anyone,
            limits=settings,
            clock=clock,
            happened=self._happened,
        )
        self.broker = broker
        self.sightings = Sightings(lives=self._lives, now=clock.monotonic, lingers_s=0.0 if broker.nodes is None else SIGHTED_S)
        self.pulse = Pulse(self.manager.counters, asyncio.get_running_loop(), adopted=broker.adopted)
        self.displayed_age_s = Histogram(AGE_BOUNDS_S)
        """For how long states waited, from when they were accepted, until they were handed to their connection's socket."""
        self.never_upgraded = 0
        """Sockets that ended without having become a WebSocket."""
        self.control_url: str | None = None
        """Where the control port is, once whoever serves it has said so."""
        self._dice = dice
        self._policy = HandshakePolicy(
            origins=settings.origins, development=settings.development, trusted_proxies=settings.trusted_proxies
        )
        self._places = Places(places_max=settings.unauthenticated_max, per_address_max=settings.unauthenticated_per_address_max)
        self.connections: dict[Connection, None] = {}
        """Every open socket of the public port, oldest first."""
        self._crowded_out: dict[Connection, None] = {}
        """Those of them that had to make room and have not gone yet, oldest first."""
        self._numbers = 0
        self._touched: list[Connection] = []
        self._touched_at = 0.0
        self._delivered = 0  # states that had been put when the last flush ended
        self._waiting = 0  # and those since which went to peers that do not keep up
        self._server: asyncio.AbstractServer | None = None
        self._shares_port = False
        self._silence: asyncio.Task[None] | None = None
        self._aborting = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._started_at = self.timers.now()
        self.address: tuple[str, int] = (settings.host, settings.port)
        self.inspection = Inspection(self)
        self.neighbours: Neighbours | None = None
        """The other nodes around the broker, where there may be any."""
        if broker.nodes is not None:
            self.neighbours = Neighbours(self, broker.nodes)
            broker.nodes.introduce(self.report, self.neighbours.handlers)
        broker.tell_adopted(self._adopted)

    async def start(self, *, shares_port: bool = False, opens: OpenPort | None = None) -> None:
        """Open the public port. ``address`` then says where.

        Args:
            shares_port: with other processes of this machine.
            opens: opens it elsewhere than on this machine's network.

        Raises:
            EnvironmentUnfit: the address cannot be had.
        """
        self._shares_port = shares_port
        await self.manager.__aenter__()
        opens = opens or partial(open_port, shared=shares_port)
        self._server, self.address = await opens(self._new_connection, self.settings.host, self.settings.port)
        if self.settings.stall_after_s:
            silent = SilentUploads(self.manager, self.clock, stall_after_s=self.settings.stall_after_s)
            self._silence = asyncio.get_running_loop().create_task(silent.watch())
        self.pulse.start()
        self._become("ready")

    async def stop(self, *, at_once: asyncio.Event | None = None) -> None:
        """Stop in order: readiness off, no new upgrades, outboxes flushed, 1012 spread over the drain, then the port closed.

        Ends within ``drain_s`` and ``close_timeout_s``, whoever does not read, and at once when ``at_once`` is set.
        """
        if self.state == "stopped":
            return
        self._become("draining")
        self.journal.tell("draining", {"connections": len(self.connections)})
        if self._shares_port and self._server is not None:
            self._server.close()  # whoever is new gets one of the others, and no refusal
        draining = asyncio.ensure_future(self._drain())
        hurry = asyncio.ensure_future(at_once.wait() if at_once is not None else asyncio.Event().wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurry):
            task.cancel()
        await asyncio.wait([draining, hurry])
        if self._server is not None:
            self._server.close()
        self._aborting = True
        for connection in list(self.connections):
            connection.abort()
        async with asyncio.timeout(self.limits.close_timeout_s):
            await self._empty.wait()
        self.timers.stop()
        if self._silence is not None:
            self._silence.cancel()
        await self.manager.__aexit__(None, None, None)
        self.journal.close()
        self.pulse.stop()
        self.inspection.stop()
        self.state = "stopped"

    def _become(self, state: str) -> None:
        self.state = state
        if self.broker.nodes is not None:
            self.broker.nodes.changed()

    async def _drain(self) -> None:
        try:
            await drain(list(self.connections), self.timers, drain_s=self.settings.drain_s)
            async with asyncio.timeout(self.limits.close_timeout_s):
                await self._empty.wait()
        except TimeoutError:
            pass  # whoever is left did not answer the close, and is aborted
        except Exception as error:  # noqa: BLE001 - the edge of a task: the stop goes on, and whoever is left is aborted
            log_fault(logger, "the drain", error)

    # What the control port offers.

    async def publish(self, event: Event) -> Receipt:
        return await self.manager.publish(event)

    async def head(self, upload_id: str) -> Head | None:
        return await self.broker.head(upload_id)

    def happenings(self) -> AsyncIterator[dict[str, Any]]:
        return self.journal.listen()

    @property
    def mint(self) -> Callable[[str, float], str] | None:
        """Makes tokens, in development mode only."""
        return self.authenticator.mint if self.settings.development else None

    def statistics(self) -> dict[str, Any]:
        """How full every table is, and what happened since the start."""
        survey = self.inspection.survey_at_once()
        return {"state": self.state, "uptime_s": self.uptime_s, "tables": survey.tables, "counters": survey.counters}

    @property
    def uptime_s(self) -> float:
        return round(self.timers.now() - self._started_at, 3)

    @property
    def unauthenticated(self) -> int:
        """Connections that have not shown yet who they are."""
        return len(self._places)

    @property
    def url(self) -> str:
        """Where browsers connect."""
        return url_of("ws", *self.address, PATHS[0])

    @property
    def name(self) -> str:
        return name_of(self)

    def describe(self) -> dict[str, Any]:
        return describe(self)

    def report(self) -> dict[str, Any]:
        return report(self)

    def kick(self, number: int, *, for_good: bool) -> int:
        """Close the connection with this number. Returns how many there were."""
        found = [connection for connection in self.connections if connection.number == number]
        return _close_all(found, for_good=for_good)

    def kick_user(self, user_id: str, *, for_good: bool) -> int:
        """Close every open connection of a user, whose follows stay for the grace time. Returns how many there were."""
        user = self.manager.registry.users.get(user_id)
        return _close_all(list(user.connections), for_good=for_good) if user is not None else 0

    # What connections ask of their port.

    def opened(self, connection: Connection) -> None:
        self.connections[connection] = None
        self._empty.clear()
        if self._aborting:  # it was accepted at the last moment
            connection.abort()
            return
        # Whom a proxy speaks for stands in the request: until it is read, no address is known to count by.
        self._seat(connection, "" if self._policy.trusts(connection.peer_address) else connection.peer_address)

    def answer(self, connection: Connection, request: Request) -> Response | None:
        admitted = len(self.connections) - len(self._places) - len(self._crowded_out)
        full = admitted >= self.limits.connections_max
        response = self._policy.check(request, full=full, draining=self.state != "ready")
        if response is not None:
            if full and response.status_code == 503:
                self.manager.counters.limits["connections_max"] += 1
            return response
        address = self._policy.client_address(request, connection.peer_address)
        if address != connection.peer_address:
            connection.peer_address = address
            self._places.leave(connection)
            self._seat(connection, address)
        return None

    def converse(self, connection: Connection) -> UploadConversation:
        return UploadConversation(self, connection, self.timers.now())

    def authenticated(self, connection: Connection) -> None:
        self._places.leave(connection)

    def touch(self, connection: Connection) -> None:
        if not self._touched:
            self._touched_at = self.clock.monotonic()
            asyncio.get_running_loop().call_soon(self._flush)
        self._touched.append(connection)

    def waiting(self, count: int) -> None:
        self._waiting += count

    def waited(self, waited_s: float) -> None:
        self.displayed_age_s.observe(waited_s)

    def first_ping_after(self) -> float:
        return self._dice.uniform(0.0, self.limits.ping_interval_s)

    def ended(self, connection: Connection, code: int | None) -> None:
        self._places.leave(connection)
        self._crowded_out.pop(connection, None)
        self.connections.pop(connection, None)
        if not self.connections:
            self._empty.set()
        counters = self.manager.counters
        counters.conflated += connection.conflated
        if code is None:
            self.never_upgraded += 1
        else:
            counters.closes[code] += 1
            self.journal.tell("closed", {"connection": connection.number, "code": code})

    def _new_connection(self) -> Connection:
        self._numbers += 1
        return Connection(self, self._numbers)

    def _seat(self, connection: Connection, address: str) -> None:
        crowded_out = self._places.take(connection, address)
        if crowded_out is None:
            return
        oldest, limit = crowded_out
        self.manager.counters.limits[limit] += 1
        if oldest.phase is not Phase.OPEN:
            oldest.abort()
            return
        oldest.close(CloseCode.SERVER_FULL, "unauthenticated")
        self._crowded_out[oldest] = None
        if len(self._crowded_out) > self.limits.unauthenticated_max:
            next(iter(self._crowded_out)).abort()  # who does not answer the close must not take a file for long

    def _flush(self) -> None:
        touched, self._touched = self._touched, []
        touched_at = self._touched_at
        states = self.manager.counters.deliveries - self._delivered - self._waiting
        self._waiting = 0
        self._delivered = self.manager.counters.deliveries
        for first in range(0, len(touched), FLUSHED_TOGETHER):
            for connection in touched[first : first + FLUSHED_TOGETHER]:
                try:
                    connection.flush()
                except Exception as error:  # noqa: BLE001 - the others are still to come
                    connection.on_fault(error)
            if states > 0:
                done = min(first + FLUSHED_TOGETHER, len(touched))
                share = states * done // len(touched) - states * first // len(touched)
                self.displayed_age_s.observe(self.clock.monotonic() - touched_at, share)

    def _happened(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "event":
            self.sightings.take(fields)
        self.journal.tell(kind, fields)

    def _adopted(self, event: Event, receipt: Receipt) -> None:
        """A duplicate is what every adopter but one makes of a message."""
        if receipt.verdict is not Verdict.DUPLICATE:
            attempt, seq = receipt.version or (None, None)
            said = {"upload_id": event.upload_id, "verdict": receipt.verdict.value, "terminal": event.terminal}
            self._happened("event", {**said, "attempt": attempt, "seq": seq})
        if receipt.verdict is Verdict.ACCEPTED and not receipt.owned and self.settings.resolved_access == "owner":
            self.manager.counters.unowned_events += 1

    def _lives(self, upload_id: str) -> bool:
        """Whether an upload may still be asked about: somebody follows it, or the broker keeps it."""
        return upload_id in self.manager.registry.uploads or self.broker.keeps(upload_id)


def _close_all(connections: Sequence[Connection], *, for_good: bool) -> int:
    for connection in connections:
        if connection.phase is not Phase.OPEN:
            connection.abort()
        elif for_good:
            connection.close(CloseCode.NORMAL, "closed by the operator")
        else:
            connection.close(CloseCode.SERVER_RELOADING, RELOADING_REASON)
    return len(connections)
