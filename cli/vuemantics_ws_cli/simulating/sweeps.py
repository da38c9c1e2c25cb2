"""Many seeds of a scenario, and the lowest that fails once more, in full."""

from typing import NamedTuple

from rich.text import Text

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.sweeping.outcome import Outcome
from vuemantics_ws.simulation.sweeping.sweep import SweepResult, sweep
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.cutting_short import Deadline, Limit, cut_short
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.moving import moving
from vuemantics_ws_cli.simulating.shrinks import shrink_where_it_failed
from vuemantics_ws_cli.simulating.virtual import Command, VirtualPlay, play_virtually, tell_beforehand
from vuemantics_ws_cli.views.moving import sweep_line
from vuemantics_ws_cli.views.results import Played, Swept
from vuemantics_ws_cli.views.size import Size


class SweepPlay(NamedTuple):
    """The seeds of a scenario that are to be played. ``first`` is the run of the first of them. Where ``shrink``, the scenario
    is made smaller with the seed that fails.
    """

    seeds: range
    jobs: int
    first: VirtualPlay
    command: Command
    shrink: bool = False

    def play(self, log: Log, *, quiet: bool, time_limit_s: float | None) -> Ended:
        """All of them, until one fails; then that once more here, into ``log``."""
        scenario = self.first.plan.scenario
        if not quiet:
            on = f" on {self.jobs} processes" if self.jobs > 1 else ""
            title = f"{scenario.name}, seeds {self.seeds[0]} to {self.seeds[-1]}{on}"
            tell_beforehand(title, self.first.plan, self.first.settings)
        clock = SystemClock()
        began_at = clock.monotonic()
        result = SweepResult(self.seeds)
        swept = Swept(scenario.name, result, self.command.of_seeds(self.seeds), self.first.settings)
        limit, deadline = Limit(), Deadline(time_limit_s)

        def line(size: Size | None) -> Text:
            return sweep_line(scenario.name, result.progress, took_s=clock.monotonic() - began_at, size=size)

        try:
            with cut_short(deadline.left_s, limit), moving(line, quiet=quiet):
                sweep(self.first.text, self.seeds, options=self.first.options, jobs=self.jobs, into=result)
        except KeyboardInterrupt:
            code = ExitCode.TIMED_OUT if limit.is_over else ExitCode.INTERRUPTED
            return Ended(code, swept._replace(interrupted=True))
        if result.failed is None:
            return Ended(ExitCode.OK, swept)
        return self._once_more(swept, result.failed, log, quiet=quiet, deadline=deadline)

    def _once_more(self, swept: Swept, failed: Outcome, log: Log, *, quiet: bool, deadline: Deadline) -> Ended:
        """The seed that failed, for what led there; it must come out as it did."""
        plan = make_plan(self.first.plan.scenario, failed.seed)
        what = self.first._replace(plan=plan, replay=self.command.of_seed(failed.seed))
        ended = play_virtually(what, log, quiet=quiet, time_limit_s=deadline.left_s)
        failure = ended.result if isinstance(ended.result, Played) else None
        if ended.code not in (ExitCode.INTERRUPTED, ExitCode.TIMED_OUT) and not _is_same(failed, failure):
            swept = swept._replace(failure=failure, other_hash=failed.trace_hash)
            return Ended(ExitCode.NOT_DETERMINISTIC, swept, ended.trace)
        if self.shrink:
            ended = shrink_where_it_failed(what, self.command, ended, quiet=quiet, deadline=deadline)
        return ended._replace(result=swept._replace(failure=ended.result if isinstance(ended.result, Played) else None))


def _is_same(outcome: Outcome, played: Played | None) -> bool:
    if played is None or played.virtual is None:
        return outcome.fault is not None
    if outcome.fault is not None or played.virtual.fault is not None:
        return outcome.fault is not None and played.virtual.fault is not None  # its words may name what has no name of its own
    return outcome.trace_hash == played.virtual.trace_hash
