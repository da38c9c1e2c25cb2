"""What a run is played against, as whoever plays it sees it: nodes, what stands between them, and everything that can befall
them. The real arm has one of processes and sockets, the virtual arm one in memory.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from vuemantics_ws.client.control import Readiness, Receipt
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.network.dial import Dial
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.planning.plan import PlannedClient
from vuemantics_ws.simulation.site import Rules, Tokens

ASK_TIMEOUT_S = 2.0
"""How long an answer of a node's control port is waited for."""

PUBLISH_TIMEOUT_S = 3.0
"""How long a worker waits for one of several nodes before it tries another: longer than a node waits for Redis."""

MEASURE_EVERY_S = 0.25
STOP_MARGIN_S = 5.0
KILLED = -9
"""The exit code of what SIGKILL has ended."""

UNHEARD = "unheard"
"""What became of a plain publisher's event of which nothing was heard: it was refused, or nobody adopted it."""


def stops_within_s(settings: Settings) -> float:
    """How long a node that was told to stop may take before it is killed: its drain, and a little more."""
    return settings.drain_s + settings.close_timeout_s + STOP_MARGIN_S


class Control(Protocol):
    """What a node says of itself. Each verb raises :class:`vuemantics_ws.errors.EnvironmentUnfit` where it does not answer in
    time.
    """

    async def statistics(self) -> dict[str, Any]: ...
    async def health(self) -> Readiness: ...
    async def metrics(self) -> str:
        """All figures in Prometheus' text format."""
        ...


class Workers(Protocol):
    """How workers publish at one node."""

    async def publish(self, event: bytes, *, owner: str | None = None, sent: Callable[[], None] | None = None) -> Receipt:
        """Publish the bytes of one event. ``sent`` is called when it leaves, after all that it had to wait for.

        Raises:
            BadEvent: the server cannot take it as an event.
            Refused: the server said no.
            EnvironmentUnfit: no server answers in time. Whether it was taken is not known.
        """
        ...


@dataclass(slots=True)
class Place:
    """One node, as clients, workers and observers reach it, whichever process it is in now.

    ``takes`` is what a load balancer knows: whether new connections are sent there.
    """

    name: str
    url: str
    control_url: str
    control: Control
    workers: Workers
    takes: bool = True
    is_up: bool = True
    is_paused: bool = False


class Redis(Protocol):
    """A Redis of the run's own, and everything that can befall it."""

    @property
    def is_running(self) -> bool: ...

    async def start(self) -> None:
        """Start it again, where it was.

        Raises:
            EnvironmentUnfit: it does not start.
        """
        ...

    async def kill(self) -> int:
        """Returns its exit code."""
        ...

    def lose_data(self) -> None:
        """What it kept is gone at its next start. It must not run."""
        ...

    def pause(self) -> None:
        """Its connections stay, and nothing is answered."""
        ...

    def resume(self) -> None: ...

    async def answers(self, *, within_s: float) -> bool:
        """Whether it answers in time."""
        ...

    async def run_id(self) -> bytes:
        """What it calls itself, which is another name after each start."""
        ...

    async def flush(self) -> int:
        """Everything in it is gone, and nobody is told. Returns how many keys that were.

        Raises:
            EnvironmentUnfit: it does not answer.
        """
        ...

    async def kill_pubsub(self) -> int:
        """End the connections of all subscribers. Returns how many.

        Raises:
            EnvironmentUnfit: it does not answer.
        """
        ...


class Barrier(Protocol):
    """Stands between two, and lets everything pass until it is told not to."""

    @property
    def connections(self) -> int: ...
    @property
    def held_bytes(self) -> int:
        """What was sent and has not arrived: on its way, or held back."""
        ...

    @property
    def passed_bytes(self) -> int:
        """What has reached either side, since the start."""
        ...

    def cut_off(self) -> None:
        """Let nothing pass, and tell nobody. What was sent meanwhile arrives once it is healed."""
        ...

    def heal(self) -> None: ...


class PlainPublishers(Protocol):
    """Publishers that know nothing of this project: they tell Redis, and are told nothing."""

    async def publish(self, event: bytes) -> bytes | None:
        """Say it, and go on. Returns by what to ask for what became of it; None for a copy, of which nothing will be heard."""
        ...

    async def heard(self, digest: bytes) -> Receipt | None:
        """What became of it; None where nothing was heard in time."""
        ...


class Route:
    """Dials whichever node takes connections, as a load balancer does: always the same one first, and the next where it is
    refused. ``node`` is who took the newest.

    Args:
        ways: to every node.
    """

    def __init__(self, client: PlannedClient, ways: Sequence[tuple[Place, Dial]]) -> None:
        if client.node is not None:
            ways = [way for way in ways if way[0].name == client.node]
        first = client.number % len(ways)
        self._ways = [*ways[first:], *ways[:first]]
        self.node = self._ways[0][0].name

    async def dial(self, make: Callable[[], asyncio.Protocol]) -> Any:
        refused = OSError("no node takes connections")
        for place, dial in sorted(self._ways, key=lambda way: not way[0].takes):
            try:
                self.node = place.name
                return await dial(make)
            except OSError as error:
                refused = error
        raise refused


class VirtualFaults(Protocol):
    """What can befall nobody but in virtual time."""

    def jump(self, place: Place, by_s: float) -> float:
        """The wall clock of a node jumps. Returns by how much it was seen to."""
        ...

    def fall_behind(self, behind_s: float) -> None:
        """At the next start of Redis, which must not run, a replica takes its place that had not heard the last seconds."""
        ...


class System(Protocol):
    """All of it. Ready once it was entered; nothing of it is left when it was left.

    Entering it raises:
        EnvironmentUnfit: a node or Redis does not start, or nobody answers where a server should run already.
        BadSetting: a client shows a token that cannot be made.
        Refused: the server makes no tokens for us.
    """

    @property
    def places(self) -> Sequence[Place]: ...
    @property
    def redis(self) -> Redis | None: ...
    @property
    def plain(self) -> PlainPublishers | None:
        """How plain workers publish; None where they go by the control port all the same."""
        ...

    @property
    def virtual_faults(self) -> VirtualFaults | None:
        """None in real time."""
        ...

    @property
    def is_shared(self) -> bool:
        """It ran before, and others may use it, too."""
        ...

    @property
    def died(self) -> asyncio.Event:
        """Set when a node has ended that nobody had told to."""
        ...

    @property
    def measures_every_s(self) -> float:
        """How often one node is asked for its tables; where there are several, each as many times less often."""
        ...

    @property
    def tokens(self) -> Tokens: ...
    @property
    def rules(self) -> Rules: ...

    def place(self, name: str) -> Place: ...

    async def stop(self, place: Place) -> int | None:
        """In order, as an operator does. Returns the exit code; None where it is not ours, or does not run."""
        ...

    async def kill(self, place: Place) -> int:
        """Returns the exit code."""
        ...

    async def start(self, place: Place) -> None:
        """Start it again, where it was.

        Raises:
            EnvironmentUnfit: it does not start.
        """
        ...

    async def pause(self, place: Place) -> None: ...
    def resume(self, place: Place) -> None: ...

    def barrier(self, fault: PlannedFault) -> Barrier:
        """Between the two that a partition parts."""
        ...

    def heal(self) -> None:
        """Let everything go on that was held up."""
        ...

    def route(self, client: PlannedClient, *, slowly: bool, network: Network | None = None) -> Route:
        """The way of one client.

        Args:
            slowly: little may be on its way to it at once.
            network: what lies between.
        """
        ...


MakeSystem = Callable[[Callable[[], float]], AbstractAsyncContextManager[System]]
"""Makes a system that is told the time, in seconds since the scenario began."""
