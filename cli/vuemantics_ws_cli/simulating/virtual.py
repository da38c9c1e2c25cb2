"""A plan played in virtual time and judged, with what is shown of it meanwhile."""

import os
import shlex
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

from rich.text import Text

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.gateway.settings import SETTINGS
from vuemantics_ws.simulation.judging.report import judge_run
from vuemantics_ws.simulation.log import Began, Log, to_ndjson
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.replaying import played, to_trace
from vuemantics_ws.simulation.site import settings_of
from vuemantics_ws.simulation.versions import versions
from vuemantics_ws.simulation.virtual import run
from vuemantics_ws_cli.console import complain, printable, say, stderr
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.cutting_short import Limit, cut_short
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.moving import moving
from vuemantics_ws_cli.simulating.telling import versions_line
from vuemantics_ws_cli.views.moving import run_line
from vuemantics_ws_cli.views.results import Played, Virtual
from vuemantics_ws_cli.views.size import Size

NOT_TOLD = ("port", "control_port", "log_level")
"""Settings of a node that decide nothing in virtual time."""


class Command(NamedTuple):
    """The command line of what is played: the scenario as it was typed, and the options that decide what comes of it."""

    scenario: str
    options: tuple[str, ...] = ()

    def of_seed(self, seed: int) -> str:
        return self._of("--virtual", "--seed", str(seed))

    def of_seeds(self, seeds: range) -> str:
        return self._of("--sweep", f"{seeds[0]}..{seeds[-1]}")

    def _of(self, *words: str) -> str:
        return shlex.join(["vuemantics-ws", "simulate", self.scenario, *words, *self.options])


class VirtualPlay(NamedTuple):
    """What is to be played: the plan that was made of ``text``. ``replay`` is the command line for it."""

    plan: Plan
    options: run.VirtualOptions
    text: str
    replay: str

    @property
    def settings(self) -> dict[str, str]:
        return settings_told(self.plan, self.options)

    def trace(self, log: Log) -> bytes:
        """What happened, with all that it takes to play it again."""
        first = played(
            self.text,
            log,
            seed=self.plan.seed,
            arm="virtual",
            options=asdict(self.options),
            versions=versions(),
            environment=os.environ,
        )
        return to_trace(first, log)


def settings_told(plan: Plan, options: run.VirtualOptions) -> dict[str, str]:
    """All that decides a run beside its plan, by name: of the nodes' settings those that differ from the default."""
    settings = settings_of(plan)
    told = {
        setting.name: setting.write(getattr(settings, setting.field))
        for setting in SETTINGS.values()
        if getattr(settings, setting.field) != setting.default and not setting.secret and setting.name not in NOT_TOLD
    }
    on = {True: "on", False: "off"}
    chosen = {"broker": options.broker_for(plan), "shuffle": on[options.shuffle], "slices": on[options.slices]}
    return {"arm": "virtual", **chosen, "nodes": str(plan.scenario.server.nodes), **told}


def tell_beforehand(title: str, plan: Plan, settings: dict[str, str]) -> None:
    """What will be played, and all that decides what comes of it."""
    console = stderr()
    for line in (
        f"{title}, in virtual time: {plan.scenario.description}",
        ", ".join(f"{name} {value}" for name, value in settings.items()),
        versions_line(),
    ):
        if console.is_terminal:
            console.print(printable(line))  # broken between words
        else:
            say(printable(line))


def play_virtually(what: VirtualPlay, log: Log, *, quiet: bool, time_limit_s: float | None = None) -> Ended:
    """Play it, and judge what happened; where it was cut short, what had happened until then.

    Must be called in the main thread, and by nobody's loop.
    """
    plan, settings = what.plan, what.settings
    clock = SystemClock()
    began_at, limit = clock.monotonic(), Limit()

    def line(size: Size | None) -> Text:
        at_s = log.records[-1].at if log.records else 0.0
        took_s = clock.monotonic() - began_at
        return run_line(title, at_s=at_s, lasts_s=plan.last_action_s, took_s=took_s, size=size)

    title = f"{plan.scenario.name}, seed {plan.seed}"
    try:
        with cut_short(time_limit_s, limit), moving(line, quiet=quiet):
            report, trace_hash = run.run_virtual(plan, log, options=what.options)
    except KeyboardInterrupt:
        code = ExitCode.TIMED_OUT if limit.is_over else ExitCode.INTERRUPTED
        return Ended(code, _as_far_as(what, log, Virtual(settings)), partial(to_ndjson, log))
    except run.VirtualFault as fault:
        seen = _as_far_as(what, log, Virtual(settings, fault=fault.message))
        if seen is None and not quiet:
            complain(fault.message, fault.hint)
        return Ended(ExitCode.FAILED, seen, partial(to_ndjson, log))
    code = ExitCode.OK if report.holds else ExitCode.FAILED
    return Ended(code, Played(report, what.replay, Virtual(settings, trace_hash)), partial(what.trace, log))


def _as_far_as(what: VirtualPlay, log: Log, virtual: Virtual) -> Played | None:
    if not log.records or not isinstance(log.records[0], Began):
        return None
    report = judge_run(what.plan, log, arm="virtual", interrupted=True)
    return Played(report, what.replay, virtual)
