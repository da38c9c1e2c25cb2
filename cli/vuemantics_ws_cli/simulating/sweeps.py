"""Many seeds of a scenario, and the lowest that fails once more, in full."""

from typing import NamedTuple

from rich.text import Text

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.sweeping.outcome import Outcome
from vuemantics_ws.simulation.sweeping.sweep import SweepResult, sweep
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.cutting_short import Limit, cut_short
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.moving import moving
from vuemantics_ws_cli.simulating.virtual import VirtualPlay, play_virtually, tell_beforehand
from vuemantics_ws_cli.views.moving import sweep_line
from vuemantics_ws_cli.views.results import Played, Swept
from vuemantics_ws_cli.views.size import Size


class SweepPlay(NamedTuple):
    """The seeds of a scenario that are to be played. ``first`` is the run of the first of them."""

    seeds: range
    jobs: int
    first: VirtualPlay

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
        swept = Swept(scenario.name, result, self.first.command.of_seeds(self.seeds), self.first.settings)
        limit = Limit()

        def line(size: Size | None) -> Text:
            return sweep_line(scenario.name, result.progress, took_s=clock.monotonic() - began_at, size=size)

        try:
            with cut_short(time_limit_s) as limit, moving(line, quiet=quiet):
                sweep(self.first.text, self.seeds, options=self.first.options, jobs=self.jobs, into=result)
        except KeyboardInterrupt:
            code = ExitCode.TIMED_OUT if limit.is_over else ExitCode.INTERRUPTED
            return Ended(code, swept._replace(interrupted=True))
        if result.failed is None:
            return Ended(ExitCode.OK, swept)
        left_s = max(0.0, time_limit_s - (clock.monotonic() - began_at)) if time_limit_s is not None else None
        return self._once_more(swept, result.failed, log, quiet=quiet, time_limit_s=left_s)

    def _once_more(self, swept: Swept, failed: Outcome, log: Log, *, quiet: bool, time_limit_s: float | None) -> Ended:
        """The seed that failed, for what led there; it must come out as it did."""
        plan = make_plan(self.first.plan.scenario, failed.seed)
        ended = play_virtually(self.first._replace(plan=plan), log, quiet=quiet, time_limit_s=time_limit_s)
        failure = ended.result if isinstance(ended.result, Played) else None
        swept = swept._replace(failure=failure)
        if ended.code in (ExitCode.INTERRUPTED, ExitCode.TIMED_OUT):
            return Ended(ended.code, swept)
        if _is_same(failed, failure):
            return Ended(ExitCode.FAILED, swept)
        return Ended(ExitCode.NOT_DETERMINISTIC, swept._replace(other_hash=failed.trace_hash))


def _is_same(outcome: Outcome, played: Played | None) -> bool:
    if played is None or played.virtual is None:
        return outcome.fault is not None
    if outcome.fault is not None or played.virtual.fault is not None:
        return outcome.fault is not None and played.virtual.fault is not None  # its words may name what has no name of its own
    return outcome.trace_hash == played.virtual.trace_hash
