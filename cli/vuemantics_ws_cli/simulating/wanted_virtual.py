"""What the options of ``simulate`` ask for in virtual time."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from msgspec import ValidationError, convert

from vuemantics_ws.errors import BadScenario, BadSetting
from vuemantics_ws.simulation.format.amounts import Seeds, read_seeds
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import parse_scenario, read_text
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.replaying import Trace, plan_of, read_traces
from vuemantics_ws.simulation.virtual.run import VirtualOptions
from vuemantics_ws_cli.simulating.replays import ReplayPlay
from vuemantics_ws_cli.simulating.single import SinglePlay
from vuemantics_ws_cli.simulating.sweeps import SweepPlay
from vuemantics_ws_cli.simulating.virtual import Command, VirtualPlay
from vuemantics_ws_cli.simulating.wanted import refuse_nothing

OF_THE_FILE = "file"
"""What ``--sweep`` is given for the seeds that the scenario names itself."""


KNOWN = frozenset(option.name for option in fields(VirtualOptions))
"""The options that a trace may name."""


class Wanted(NamedTuple):
    """The options of virtual time, as they were typed."""

    seed: int | None = None
    sweep: str | None = None
    jobs: int | None = None
    broker: str | None = None
    shrink: bool = False


def read_virtual(scenarios: Sequence[str], wanted: Wanted) -> list[SinglePlay | SweepPlay]:
    """What is to be played of each scenario. All are read before the first is played.

    Raises:
        BadScenario: one of them is wrong; all that is wrong with it is told.
        BadSetting: there is none, or options do not go together.
    """
    refuse_nothing(scenarios)
    if wanted.sweep is not None and wanted.seed is not None:
        raise BadSetting("--seed: expected it or --sweep, got both", setting="--seed")
    options = VirtualOptions(broker=wanted.broker)  # type: ignore[arg-type]
    words = ("--broker", wanted.broker) if wanted.broker is not None else ()
    return [_read(scenario, wanted, options, Command(scenario, words)) for scenario in scenarios]


def _read(scenario: str, wanted: Wanted, options: VirtualOptions, command: Command) -> SinglePlay | SweepPlay:
    text = read_text(resolve_scenario(scenario), scenario)
    read = parse_scenario(text, file=scenario)
    if read.server.url is not None:
        raise BadScenario([f"{scenario}: server.url: in virtual time there is no server that runs already"])
    seeds = _seeds(wanted.sweep, read.sweep, scenario) if wanted.sweep is not None else None
    if seeds is None:
        seed = read.seed if wanted.seed is None else wanted.seed
        what = VirtualPlay(make_plan(read, seed), options, text, command.of_seed(seed))
        return SinglePlay(what, command, wanted.shrink)
    first = VirtualPlay(make_plan(read, seeds[0]), options, text, command.of_seed(seeds[0]))
    return SweepPlay(seeds, min(wanted.jobs or cores(), len(seeds)), first, command, wanted.shrink)


def read_replays(file: str) -> list[ReplayPlay]:
    """What a trace says was played, run by run, and what was seen.

    Raises:
        BadScenario: it is no trace of runs in virtual time, or cannot be played again here.
    """
    return [_read_replay(trace, file) for trace in read_traces(Path(file))]


def _read_replay(trace: Trace, file: str) -> ReplayPlay:
    unknown = [name for name in trace.played.options if name not in KNOWN]
    if unknown:
        raise BadScenario([f"{file}: this version knows no option {unknown[0]} of a run: it was written by another one"])
    try:
        options = convert(trace.played.options, VirtualOptions)
    except ValidationError as error:
        raise BadScenario([f"{file}: this version knows no such options: {error}"]) from None
    if trace.played.arm != "virtual":
        raise BadScenario([f"{file}: expected a run in virtual time, got one in real time, which never is the same again"])
    plan = plan_of(trace.played, os.environ, file=file)
    replay = shlex.join(["vuemantics-ws", "simulate", "--replay", file])
    return ReplayPlay(VirtualPlay(plan, options, trace.played.scenario, replay), trace)


def _seeds(typed: str, of_the_file: Seeds | None, scenario: str) -> range:
    if typed == OF_THE_FILE:
        if of_the_file is None:
            hint = "give the seeds, such as --sweep 1..500, or let the file say sweep: 1..500"
            raise BadSetting(f"--sweep: {scenario} does not say which seeds", setting="--sweep", hint=hint)
        seeds = of_the_file
    else:
        try:
            seeds = read_seeds(typed)
        except ValueError as error:
            hint = f"{OF_THE_FILE} stands for those that the scenario names itself"
            raise BadSetting(f"--sweep: {error}", setting="--sweep", hint=hint) from None
    return range(seeds.first, seeds.last + 1)


def cores() -> int:
    """How many processes can compute at once."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
