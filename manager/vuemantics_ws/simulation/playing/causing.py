"""Makes the faults of a plan happen, and writes down what was seen of each: that it began, and that it was over.

What is seen is never that it was asked for. A process that was killed has ended, one that stands still does not answer, of what
was cut off something waits to pass.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from vuemantics_ws.errors import EnvironmentUnfit, VuemanticsError
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.format.faults import REDIS
from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.log import FaultBegan, FaultEnded, Log
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.system import Control, Place, Redis, System

SILENCE_S = 0.25
"""Whoever has not answered for so long does not answer: it takes a millisecond otherwise."""

NOTICED_S = 2.0
"""How long what is to be seen may take to show."""

LOOK_EVERY_S = 0.02

Evidence = str | None


class Causing:
    """Causes what the plan has, until all of it is over or :meth:`run` is cancelled: then everything is made whole again.

    Args:
        browsers: the tabs of the run by their names.
        networks: what lies between those and the nodes whose network changes.
        now: seconds since the scenario began.
    """

    def __init__(
        self,
        system: System,
        browsers: Mapping[str, Browser],
        networks: Mapping[str, Network],
        log: Log,
        *,
        now: Callable[[], float],
    ) -> None:
        self._system = system
        self._browsers = browsers
        self._networks = networks
        self._log = log
        self._now = now
        self._profiles: dict[int, dict[str, NetworkProfile]] = {}
        """What the networks were before each change of them."""
        self._run_ids: dict[int, bytes] = {}
        self._stopping: dict[int, asyncio.Task[int | None]] = {}
        self._starting: set[str] = set()
        """What is being started again. The dice may let two faults of one thing meet, and it is started once."""
        self._begins: dict[str, Callable[[PlannedFault], Awaitable[Evidence]]] = {
            "connections.kill": self._kill_connections,
            "node.restart": self._stop_node,
            "node.kill": self._kill_node,
            "node.pause": self._pause_node,
            "redis.down": self._kill_redis,
            "redis.hang": self._hang_redis,
            "redis.restart": self._kill_redis,
            "redis.flush": self._flush_redis,
            "redis.kill_pubsub": self._kill_subscribers,
            "redis.failover": self._kill_redis,
            "partition": self._part,
            "network.change": self._change_networks,
            "clock.jump": self._jump_clocks,
        }
        self._ends: dict[str, Callable[[PlannedFault], Awaitable[Evidence]]] = {
            "node.restart": self._start_node,
            "node.kill": self._start_node,
            "node.pause": self._resume_node,
            "redis.down": self._start_redis,
            "redis.hang": self._resume_redis,
            "redis.restart": self._start_redis,
            "redis.failover": self._start_redis,
            "partition": self._join,
            "network.change": self._change_networks_back,
        }

    async def run(self, faults: tuple[PlannedFault, ...]) -> None:
        """Each at its time, whatever the others do.

        Raises:
            EnvironmentUnfit: what was ended cannot be started again.
        """
        causing = [asyncio.ensure_future(self._cause(fault)) for fault in faults]
        try:
            if causing:
                await asyncio.gather(*causing)
        finally:
            tasks = [*causing, *self._stopping.values()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            self._system.heal()

    async def _cause(self, fault: PlannedFault) -> None:
        await asyncio.sleep(max(0.0, fault.at_s - self._now()))
        seen = await self._begins[fault.do](fault)
        self._log.append(FaultBegan(self._now(), fault.number, fault.do, fault.target, seen, fault.forgets, fault.behind_s))
        if fault.do in self._ends and fault.lasts_s is not None:
            begins_at = fault.at_s
            if fault.number in self._stopping:
                await self._stopping[fault.number]
                begins_at = self._now()  # it is gone only now
            await asyncio.sleep(max(0.0, begins_at + fault.lasts_s - self._now()))
            seen = await self._ends[fault.do](fault)
        elif fault.lasts_s is None:
            seen = "for good"
        self._log.append(FaultEnded(self._now(), fault.number, fault.do, fault.target, seen))

    # Clients.

    async def _kill_connections(self, fault: PlannedFault) -> Evidence:
        count = sum(self._browsers[name].lose_connection() for name in sorted(fault.clients))
        return _counted(count, "connection was reset", "connections were reset")

    async def _change_networks(self, fault: PlannedFault) -> Evidence:
        assert fault.network is not None
        networks = {name: self._networks[name] for name in sorted(fault.clients)}
        self._profiles[fault.number] = {name: network.profile for name, network in networks.items()}
        for network in networks.values():
            network.change(fault.network)
        return _changed(networks)

    async def _change_networks_back(self, fault: PlannedFault) -> Evidence:
        networks = {name: self._networks[name] for name in sorted(fault.clients)}
        for name, network in networks.items():
            network.change(self._profiles[fault.number][name])
        return _changed(networks)

    # Nodes.

    def _place(self, fault: PlannedFault) -> Place:
        assert fault.node is not None
        return self._system.place(fault.node)

    async def _stop_node(self, fault: PlannedFault) -> Evidence:
        place = self._place(fault)
        if not place.is_up:
            return None
        stopping = self._stopping[fault.number] = asyncio.ensure_future(self._system.stop(place))

        async def takes_nobody() -> bool:
            return stopping.done() or await _state(place.control) != "ready"

        return await self._until(takes_nobody, "it takes nobody any more")

    async def _kill_node(self, fault: PlannedFault) -> Evidence:
        place = self._place(fault)
        if not place.is_up:
            return None
        return f"it ended with exit code {await self._system.kill(place)}"

    async def _start_node(self, fault: PlannedFault) -> Evidence:
        place = self._place(fault)
        if place.is_up or place.name in self._starting:
            return None  # another fault, which met this one, has ended before
        began_at = self._now()
        self._starting.add(place.name)
        try:
            await self._system.start(place)
        finally:
            self._starting.discard(place.name)
        return f"it was ready again after {self._now() - began_at:.1f} s"

    async def _pause_node(self, fault: PlannedFault) -> Evidence:
        place = self._place(fault)
        if not place.is_up:
            return None
        await self._system.pause(place)
        return "it does not answer" if not await _answers(place.control) else None

    async def _resume_node(self, fault: PlannedFault) -> Evidence:
        place = self._place(fault)
        if place.is_up:
            self._system.resume(place)
        return await self._until(lambda: _answers(place.control), "it answers again")

    # Redis.

    @property
    def _redis(self) -> Redis:
        assert self._system.redis is not None
        return self._system.redis

    async def _kill_redis(self, fault: PlannedFault) -> Evidence:
        if not self._redis.is_running:
            return None
        self._run_ids[fault.number] = await self._redis.run_id()
        code = await self._redis.kill()
        if fault.loses_data:
            self._redis.lose_data()
        if fault.do == "redis.failover":
            assert self._system.virtual_faults is not None
            self._system.virtual_faults.fall_behind(fault.behind_s)
        return f"it ended with exit code {code}"

    async def _start_redis(self, fault: PlannedFault) -> Evidence:
        if self._redis.is_running or REDIS in self._starting:
            return None
        self._starting.add(REDIS)
        try:
            await self._redis.start()
        finally:
            self._starting.discard(REDIS)
        if await self._redis.run_id() == self._run_ids.get(fault.number):
            return None
        behind = f", which had not heard the last {fault.behind_s:g} s" if fault.behind_s else ""
        return "another process answers" + (", with nothing in it" if fault.loses_data else behind)

    async def _hang_redis(self, fault: PlannedFault) -> Evidence:
        if not self._redis.is_running:
            return None
        self._redis.pause()
        return "it does not answer" if not await self._redis.answers(within_s=SILENCE_S) else None

    async def _resume_redis(self, fault: PlannedFault) -> Evidence:
        if not self._redis.is_running:
            return None
        self._redis.resume()
        return await self._until(lambda: self._redis.answers(within_s=SILENCE_S), "it answers again")

    async def _flush_redis(self, fault: PlannedFault) -> Evidence:
        try:
            count = await self._redis.flush()
        except EnvironmentUnfit:
            return None
        return _counted(count, "key is gone", "keys are gone")

    async def _kill_subscribers(self, fault: PlannedFault) -> Evidence:
        try:
            count = await self._redis.kill_pubsub()
        except EnvironmentUnfit:
            return None
        return _counted(count, "connection of a subscriber was ended", "connections of subscribers were ended")

    # What virtual time alone can do.

    async def _jump_clocks(self, fault: PlannedFault) -> Evidence:
        assert self._system.virtual_faults is not None
        places = [self._system.place(fault.node)] if fault.node is not None else self._system.places
        jumped = sum(self._system.virtual_faults.jump(place, fault.jumps_s) == fault.jumps_s for place in places)
        by = f"jumped by {fault.jumps_s:+g} s"
        return _counted(jumped, f"clock {by}", f"clocks {by}")

    # What lies between.

    async def _part(self, fault: PlannedFault) -> Evidence:
        """Nothing is seen of it until somebody says something, so what counts is whether something waits at its end. Where
        nobody was connected that is whoever tries to, so one that has no end is not seen.
        """
        barrier = self._system.barrier(fault)
        barrier.cut_off()
        count = barrier.connections
        if not count and fault.lasts_s is not None:
            return "nobody was connected; who tries to will wait"
        return _counted(count, "connection is cut off", "connections are cut off")

    async def _join(self, fault: PlannedFault) -> Evidence:
        barrier = self._system.barrier(fault)
        held_bytes, passed_bytes = barrier.held_bytes, barrier.passed_bytes
        barrier.heal()
        if not held_bytes:
            return None
        if fault.other == REDIS and not self._redis.is_running:
            return f"{held_bytes} bytes waited, and there is nobody to whom they could pass"

        async def passes() -> bool:
            return barrier.passed_bytes > passed_bytes

        return await self._until(passes, f"{held_bytes} bytes waited, and something passes again")

    async def _until(self, is_so: Callable[[], Awaitable[bool]], evidence: str) -> Evidence:
        until = self._now() + NOTICED_S
        while not await is_so():
            if self._now() >= until:
                return None
            await asyncio.sleep(LOOK_EVERY_S)
        return evidence


async def _answers(control: Control) -> bool:
    return await _state(control) is not None


async def _state(control: Control) -> str | None:
    """What it says of itself; None where it does not answer."""
    try:
        async with asyncio.timeout(SILENCE_S):
            return (await control.health()).state
    except (TimeoutError, VuemanticsError):
        return None


def _changed(networks: Mapping[str, Network]) -> Evidence:
    return _counted(len(networks), "client is on another network", "clients are on another network")


def _counted(count: int, one: str, many: str) -> Evidence:
    """What befell so many; nothing was seen where it befell none."""
    return f"{count} {one if count == 1 else many}" if count else None
