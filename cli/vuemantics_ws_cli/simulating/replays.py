"""A run played again, and compared with its trace."""

from typing import NamedTuple

from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.replaying import Trace, first_difference, other_versions
from vuemantics_ws.simulation.versions import versions
from vuemantics_ws_cli.console import complain, say
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.virtual import VirtualPlay, play_virtually, tell_beforehand
from vuemantics_ws_cli.views.results import Played

CUT_SHORT = (ExitCode.INTERRUPTED, ExitCode.TIMED_OUT)


class ReplayPlay(NamedTuple):
    """What was played, with what was seen of it then."""

    what: VirtualPlay
    trace: Trace

    def play(self, log: Log, *, quiet: bool, time_limit_s: float | None) -> Ended:
        """Play it again. Where it is another run, that is what counts, whatever its verdict."""
        plan, trace = self.what.plan, self.trace
        others = other_versions(trace.played.versions, versions())
        if not quiet:
            tell_beforehand(f"{plan.scenario.name}, seed {plan.seed}, again", plan, self.what.settings)
            if others:
                complain(f"other versions than then: {'; '.join(others)}", kind="warning")
        ended = play_virtually(self.what, log, quiet=quiet, time_limit_s=time_limit_s)
        if isinstance(ended.result, Played) and ended.result.virtual is not None:
            ended = ended._replace(result=ended.result._replace(virtual=ended.result.virtual._replace(again=True)))
        if ended.code in CUT_SHORT:
            return ended
        difference = first_difference(trace.records, log.records)
        if difference is None:
            if not quiet:
                say(f"the same run, event by event: {len(log):,} of them")
            return ended
        result = ended.result._replace(difference=difference) if isinstance(ended.result, Played) else None
        return ended._replace(code=ExitCode.NOT_DETERMINISTIC, result=result)
