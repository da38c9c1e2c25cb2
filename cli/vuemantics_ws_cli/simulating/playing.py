"""A plan played and judged, with whatever is shown of it meanwhile."""

import asyncio
import contextlib
import signal
from typing import NamedTuple

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.log import Began, Log
from vuemantics_ws.simulation.plan import Plan
from vuemantics_ws.simulation.report import Report, judge_run
from vuemantics_ws.simulation.run import run_real
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.screen import show


class TimeLimitOver(Exception):
    """It was cut short by its caller's limit."""


class Ended(NamedTuple):
    """How a run ended. ``report`` is None where nothing had begun yet."""

    code: ExitCode
    report: Report | None


def play(plan: Plan, log: Log, *, quiet: bool, time_limit_s: float | None = None) -> Ended:
    """Play the plan, and judge what happened; where it was interrupted, what had happened until then.

    Nothing is left behind, however it ends.

    Raises:
        EnvironmentUnfit: the node does not start, or the server is not there.
    """
    try:
        report = asyncio.run(_play(plan, log, quiet=quiet, time_limit_s=time_limit_s))
    except (KeyboardInterrupt, asyncio.CancelledError):  # Ctrl-C, SIGTERM or SIGHUP
        return Ended(ExitCode.INTERRUPTED, _so_far(plan, log))
    except TimeLimitOver:
        return Ended(ExitCode.TIMED_OUT, _so_far(plan, log))
    return Ended(ExitCode.OK if report.holds else ExitCode.FAILED, report)


def _so_far(plan: Plan, log: Log) -> Report | None:
    began = log.records and isinstance(log.records[0], Began)
    return judge_run(plan, log, interrupted=True) if began else None


async def _play(plan: Plan, log: Log, *, quiet: bool, time_limit_s: float | None) -> Report:
    playing = asyncio.ensure_future(run_real(plan, log, clock=SystemClock()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(NotImplementedError, ValueError):  # not on this system, or not in this thread
            loop.add_signal_handler(number, playing.cancel)
    showing = asyncio.ensure_future(_nothing() if quiet else show(plan, log))
    limit = asyncio.timeout(time_limit_s)
    try:
        async with limit:
            report = await playing
    except TimeoutError:
        if limit.expired():
            raise TimeLimitOver from None
        raise
    finally:
        showing.cancel()
        await asyncio.wait([showing])
    if not showing.cancelled():
        showing.result()
    return report


async def _nothing() -> None:
    pass
