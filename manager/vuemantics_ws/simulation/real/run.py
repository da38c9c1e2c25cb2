"""A scenario from its file to its verdict."""

import asyncio
from collections.abc import Callable

from vuemantics_ws.ambient import Clock
from vuemantics_ws.simulation.judging.expectations import all_have_come
from vuemantics_ws.simulation.judging.history import LiveHistory
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.playing.world import World
from vuemantics_ws.simulation.real.system import RealSystem
from vuemantics_ws.simulation.site import Target, refuse_unplayable, target_of, with_fresh_ids


async def run_real(
    plan: Plan,
    log: Log,
    *,
    clock: Clock,
    target: Target | None = None,
    live: LiveHistory | None = None,
    stop: asyncio.Event | None = None,
    others_publish: bool = False,
) -> Report:
    """Play a plan on real sockets, into ``log``, and judge it.

    Being cancelled leaves nothing behind, and a log of what happened until then.

    Args:
        target: a server that runs already; it goes before the one that the file names. With neither, a node is started.
        live: the history of ``log``, where somebody else looks at it, too.
        stop: set it to let the run end before its time, in order, and be judged.
        others_publish: of the plan's uploads others publish. All of its duration is played, since what they do is in no plan.

    Raises:
        BadScenario: a fault that cannot be made to happen here.
        EnvironmentUnfit: a node or Redis does not start, or nobody answers at the target.
        BadSetting: the target's address cannot be, or a client shows a token that cannot be made without the secret.
        Refused: the target makes no tokens for us.
    """
    live = live or LiveHistory(log)
    target = target or target_of(plan)
    refuse_unplayable(plan, target)
    if target is not None:
        plan = with_fresh_ids(plan, clock)
    played, at = plan, target

    def make_system(now: Callable[[], float]) -> RealSystem:
        return RealSystem(played, log, now=now, clock=clock, target=at)

    world = World(
        plan,
        make_system,
        log,
        clock=clock,
        holds=lambda: all_have_come(plan, live.history),
        live=live,
        stop=stop,
        others_publish=others_publish,
    )
    await world.play()
    return judge_run(plan, log)
