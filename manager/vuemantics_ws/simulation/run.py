"""A scenario from its file to its verdict."""

from vuemantics_ws.ambient import Clock
from vuemantics_ws.simulation.expectations import all_have_come
from vuemantics_ws.simulation.history import History
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.plan import Plan
from vuemantics_ws.simulation.report import Report, judge_run
from vuemantics_ws.simulation.world import World


async def run_real(plan: Plan, log: Log, *, clock: Clock) -> Report:
    """Play a plan on real sockets, into ``log``, and judge it.

    Being cancelled leaves nothing behind, and a log of what happened until then.

    Raises:
        EnvironmentUnfit: the node does not start.
    """
    world = World(plan, log, clock=clock, holds=lambda: all_have_come(plan, History(log)))
    await world.play()
    return judge_run(plan, log)
