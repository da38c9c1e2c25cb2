"""One seed of a scenario in virtual time, and what is to become of it where it fails."""

from typing import NamedTuple

from vuemantics_ws.simulation.log import Log
from vuemantics_ws_cli.simulating.cutting_short import Deadline
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.shrinks import shrink_where_it_failed
from vuemantics_ws_cli.simulating.virtual import Command, VirtualPlay, play_virtually, tell_beforehand


class SinglePlay(NamedTuple):
    """What is to be played. Where ``shrink``, a scenario that fails is made smaller."""

    what: VirtualPlay
    command: Command
    shrink: bool = False

    def play(self, log: Log, *, quiet: bool, time_limit_s: float | None) -> Ended:
        plan = self.what.plan
        deadline = Deadline(time_limit_s)
        if not quiet:
            tell_beforehand(f"{plan.scenario.name}, seed {plan.seed}", plan, self.what.settings)
        ended = play_virtually(self.what, log, quiet=quiet, time_limit_s=deadline.left_s)
        if self.shrink:
            return shrink_where_it_failed(self.what, self.command, ended, quiet=quiet, deadline=deadline)
        return ended
