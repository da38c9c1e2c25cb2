"""The virtual arm's system: nodes in processes of the virtual world, around whatever stands in their middle."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.format.faults import REDIS
from vuemantics_ws.simulation.log import Log, NodeExited
from vuemantics_ws.simulation.network.dial import RECEIVE_BUFFER_BYTES
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.network.virtual import VirtualNetwork
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient
from vuemantics_ws.simulation.site import Rules, tokens_for
from vuemantics_ws.simulation.system import MEASURE_EVERY_S, Barrier, Place, Route
from vuemantics_ws.simulation.virtual.control import VirtualControl, VirtualWorkers
from vuemantics_ws.simulation.virtual.middle import Middle
from vuemantics_ws.simulation.virtual.node import VirtualNode

MEASURES_MAX = 1_000
"""How often at most in a run."""

LOOKS_MAX = 5_000
LOOK_EVERY_S = 0.001
"""A scenario begins when its nodes have come to their middle: what a plain publisher said before would be lost to everybody."""


class VirtualSystem:
    """All of it, ready between ``async with`` and its end.

    Args:
        settings: of each node.
        middle: what they are around.
        now: seconds since the scenario began.
    """

    def __init__(
        self,
        plan: Plan,
        log: Log,
        settings: Settings,
        middle: Middle,
        *,
        now: Callable[[], float],
        network: VirtualNetwork,
        loop: VirtualLoop,
    ) -> None:
        self.redis = middle.redis
        self.plain = middle.plain if any(not upload.versioned for upload in plan.uploads) else None
        self.virtual_faults = self
        self.is_shared = False
        self.died = asyncio.Event()
        """Never: a node of ours ends when it is told to, and whatever else befalls it is a fault that is told."""
        self.measures_every_s = max(MEASURE_EVERY_S, plan.scenario.duration / MEASURES_MAX)
        self.tokens = tokens_for(settings, VirtualClock(loop))
        self.rules = Rules.of(settings, settings.resolved_access)
        self._log = log
        self._now = now
        self._middle = middle
        self._network = network
        self._loop = loop
        self._nodes: dict[str, VirtualNode] = {}
        self.places: list[Place] = []
        for number in range(plan.scenario.server.nodes):
            node = VirtualNode(number, settings, middle.broker, network=network, loop=loop, seed=plan.seed)
            self._nodes[node.name] = node
            self.places.append(Place(node.name, node.url, "", VirtualControl(node), VirtualWorkers(node)))
        self._barriers: dict[tuple[str, str], Barrier] = {}
        for fault in plan.faults:
            if fault.node is not None and fault.other is not None and (fault.node, fault.other) not in self._barriers:
                parted = middle.barrier(fault.node) if fault.other == REDIS else network.barrier(fault.node, fault.other)
                self._barriers[fault.node, fault.other] = parted

    async def __aenter__(self) -> Self:
        await self._middle.open()
        for node in self._nodes.values():
            await node.start()
        for _ in range(LOOKS_MAX):
            if all(node.has_joined for node in self._nodes.values()):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        for place in self.places:
            if place.is_up:
                self._kill(place)
        await self._middle.close()

    def place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    # What befalls nodes.

    async def stop(self, place: Place) -> int | None:
        if not place.is_up:
            return None
        place.is_up = place.takes = False
        began_at = self._now()
        code = await self._nodes[place.name].stop()
        took_s = round(self._now() - began_at, 6)
        self._log.append(NodeExited(self._now(), code, asked=True, took_s=took_s, node=place.name))
        return code

    async def kill(self, place: Place) -> int:
        code = self._kill(place)
        self._log.append(NodeExited(self._now(), code, asked=True, node=place.name, killed=True))
        return code

    def _kill(self, place: Place) -> int:
        place.is_up = place.takes = False
        code = self._nodes[place.name].kill()
        self._middle.severed(place.name)
        return code

    async def start(self, place: Place) -> None:
        await self._nodes[place.name].start()
        place.is_up = place.takes = True

    async def pause(self, place: Place) -> None:
        place.is_paused, place.takes = True, False
        self._nodes[place.name].pause()

    def resume(self, place: Place) -> None:
        self._nodes[place.name].resume()
        place.is_paused, place.takes = False, place.is_up

    def barrier(self, fault: PlannedFault) -> Barrier:
        assert fault.node is not None
        assert fault.other is not None
        return self._barriers[fault.node, fault.other]

    def heal(self) -> None:
        for barrier in self._barriers.values():
            barrier.heal()
        for place in self.places:
            if place.is_paused:
                self.resume(place)
        if self.redis is not None and self.redis.is_running:
            self.redis.resume()

    # What virtual time alone can do.

    def jump(self, place: Place, by_s: float) -> float:
        clock = self._nodes[place.name].clock
        before_s = clock.wall()
        clock.jump(by_s)
        return clock.wall() - before_s

    def fall_behind(self, behind_s: float) -> None:
        self._middle.fall_behind(behind_s)

    # How clients reach it.

    def route(self, client: PlannedClient, *, slowly: bool, network: Network | None = None) -> Route:
        self._network.began_at_s = self._loop.time() - self._now()
        ways = []
        for node, place in zip(self._nodes.values(), self.places, strict=True):
            dial = self._network.dial(
                "127.0.0.1",
                node.settings.port,
                origin=client.name,
                by=network,
                receive_buffer_bytes=RECEIVE_BUFFER_BYTES if slowly else None,
            )
            ways.append((place, dial))
        return Route(client, ways)
