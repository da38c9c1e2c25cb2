"""A plan played and judged, with whatever is shown of it meanwhile."""

import asyncio
import contextlib
import dataclasses
import signal
from typing import NamedTuple

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import Began, Log, Received, Record
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.real.run import run_real
from vuemantics_ws.simulation.site import Target
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.screen import show
from vuemantics_ws_cli.views.results import Played

LINGERS_S = 1.5
"""How long visitors stay once every upload has ended, so that all of them can learn it."""


class TimeLimitOver(Exception):
    """It was cut short by its caller's limit."""


class Play(NamedTuple):
    """What is to be played, and where: without a ``target`` at a node that is started. ``replay`` is the command line for it.

    Where ``others_publish``, the plan's uploads are somebody else's, and the run ends when all of them have.
    """

    plan: Plan
    replay: str
    target: Target | None = None
    others_publish: bool = False

    def play(self, log: Log, *, quiet: bool, time_limit_s: float | None = None) -> Ended:
        """Play it, and judge what happened; where it was interrupted, what had happened until then.

        Nothing is left behind, however it ends.

        Raises:
            EnvironmentUnfit: the node does not start, or the server is not there.
            Refused: the server makes no tokens for us.
        """
        try:
            report = asyncio.run(_play(self, log, quiet=quiet, time_limit_s=time_limit_s))
        except (KeyboardInterrupt, asyncio.CancelledError):  # Ctrl-C, SIGTERM or SIGHUP
            return Ended(ExitCode.INTERRUPTED, self._so_far(log))
        except TimeLimitOver:
            return Ended(ExitCode.TIMED_OUT, self._so_far(log))
        return Ended(ExitCode.OK if report.holds else ExitCode.FAILED, Played(report, self.replay))

    def _so_far(self, log: Log) -> Played | None:
        began = log.records and isinstance(log.records[0], Began)
        return Played(judge_run(self.plan, log, interrupted=True), self.replay) if began else None


async def _play(what: Play, log: Log, *, quiet: bool, time_limit_s: float | None) -> Report:
    stop = asyncio.Event()
    if what.others_publish:
        log.listen(_Ends(what.plan, stop).take)
    playing = asyncio.ensure_future(
        run_real(what.plan, log, clock=SystemClock(), target=what.target, stop=stop, others_publish=what.others_publish)
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(NotImplementedError, ValueError):  # not on this system, or not in this thread
            loop.add_signal_handler(number, playing.cancel)
    showing = asyncio.ensure_future(_nothing() if quiet else show(what.plan, log, others_publish=what.others_publish))
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
    return dataclasses.replace(report, cut_short=False) if what.others_publish else report


class _Ends:
    """Stops a run some time after the clients have seen the end of every upload."""

    def __init__(self, plan: Plan, stop: asyncio.Event) -> None:
        self._newest: dict[str, tuple[tuple[int, int], bool]] = {}
        self._uploads = [upload.upload_id for upload in plan.uploads]
        self._stop = stop

    def take(self, record: Record) -> None:
        if not isinstance(record, Received) or record.version is None or record.upload_id is None:
            return
        newest = self._newest.get(record.upload_id)
        if newest is None or record.version > newest[0]:
            self._newest[record.upload_id] = (record.version, record.terminal)
            if record.terminal and self._have_all_ended():
                asyncio.get_running_loop().call_later(LINGERS_S, self._end)

    def _end(self) -> None:
        if self._have_all_ended():  # none was run again meanwhile
            self._stop.set()

    def _have_all_ended(self) -> bool:
        return all(self._newest.get(upload_id, (None, False))[1] for upload_id in self._uploads)


async def _nothing() -> None:
    pass
