"""A scenario from its plan to its verdict, in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vuemantics_ws.errors import BadScenario, VuemanticsError
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.loop import BusyLoop, Deadlock, Overrun, VirtualLoop
from vuemantics_ws.simulation.clock.running import StillRunning, run_virtually
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.judging.expectations import all_have_come
from vuemantics_ws.simulation.judging.history import LiveHistory
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import Log, hash_of
from vuemantics_ws.simulation.network.virtual import VirtualNetwork
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.playing.world import World
from vuemantics_ws.simulation.site import settings_of
from vuemantics_ws.simulation.virtual.around_hub import AroundHub
from vuemantics_ws.simulation.virtual.around_redis import AroundRedis
from vuemantics_ws.simulation.virtual.middle import Alone, Middle
from vuemantics_ws.simulation.virtual.system import VirtualSystem
from vuemantics_ws.simulation.virtual.troubles import Troubles

LATENCY = Spread(0.00005, 0.002)
"""What anything takes from one program to another, one way, where nothing else is said."""

ENDS_WITHIN_S = 300.0
"""What a run may take beyond its scenario's duration and the nodes' grace time: all that it waits for then has its bounds."""

BrokerKind = Literal["simulated", "redis"]


class VirtualFault(VuemanticsError):
    """A run in virtual time that came to no end: a deadlock, a busy loop, a wait for what never comes, or a task that
    died.
    """


@dataclass(frozen=True, slots=True)
class VirtualOptions:
    """How a plan is played in virtual time, beside what it says. Other options are another run."""

    broker: BrokerKind | None = None
    """Around which the nodes are; None lets the plan decide, see :meth:`broker_for`."""
    shuffle: bool = True
    """Timers that are due at the same instant run in the order of the dice."""
    slices: bool = True
    """Some connections get their bytes in slices."""

    def broker_for(self, plan: Plan) -> BrokerKind | Literal["memory"]:
        """What carries events between the nodes of a run. Where nothing is asked for that is ours for Redis, with a Redis in
        memory, if the plan has a fault of Redis; the node's own memory, if it is alone and need not be outlived; else the
        simulated one.
        """
        if self.broker is not None:
            return self.broker
        if not plan.needs_redis:
            return "memory"
        return "redis" if any(fault.is_for_redis for fault in plan.faults) else "simulated"


class VirtualRun(NamedTuple):
    """What came of a run. ``trace_hash`` is the SHA-256 of its log as NDJSON: the same seed gives the same one, everywhere."""

    report: Report
    trace_hash: str


def run_virtual(plan: Plan, log: Log, *, options: VirtualOptions = VirtualOptions()) -> VirtualRun:
    """Play a plan in virtual time, into ``log``, and judge it. It takes a loop of its own, and leaves nothing behind.

    Raises:
        BadScenario: it names a server that runs already, which has real time alone.
        VirtualFault: it came to no end.
    """
    if plan.scenario.server.url is not None:
        raise BadScenario(
            [f"{plan.scenario.name}: server.url: expected none, since a server that runs already has no virtual time"]
        )
    live = LiveHistory(log)
    settings = settings_of(plan, secret=f"{stream(plan.seed, 'nodes', 'secret').getrandbits(256):064x}")

    async def play(loop: VirtualLoop) -> None:
        network = VirtualNetwork(seed=plan.seed, latency=LATENCY, slices=options.slices, loop=loop)
        loop.network = network
        middle = _middle_of(plan, settings, options, network, loop)

        def make_system(now: Callable[[], float]) -> VirtualSystem:
            return VirtualSystem(plan, log, settings, middle, now=now, network=network, loop=loop)

        world = World(
            plan,
            make_system,
            log,
            clock=VirtualClock(loop),
            holds=lambda: all_have_come(plan, live.history, arm="virtual"),
            live=live,
        )
        troubles = Troubles(log, now=world.now)
        with troubles.seen(loop):
            await world.play()
        if troubles.own:
            raise VirtualFault(f"the simulator met a fault of its own: {troubles.own[0]}")

    try:
        ends_by = plan.scenario.duration + settings.grace_s + ENDS_WITHIN_S
        run_virtually(play, seed=plan.seed, shuffle=options.shuffle, ends_by=ends_by)
    except (Deadlock, BusyLoop, Overrun, StillRunning) as error:
        raise VirtualFault(str(error)) from error
    return VirtualRun(judge_run(plan, live.history, arm="virtual"), hash_of(log))


def _middle_of(plan: Plan, settings: Settings, options: VirtualOptions, network: VirtualNetwork, loop: VirtualLoop) -> Middle:
    match options.broker_for(plan):
        case "memory":
            return Alone()
        case "redis":
            return AroundRedis(plan, settings, network=network, loop=loop)
        case "simulated":
            return AroundHub(plan, settings)
