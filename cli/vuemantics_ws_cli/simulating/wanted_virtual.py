"""What the options of ``simulate`` ask for in virtual time."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from vuemantics_ws.errors import BadScenario, BadSetting
from vuemantics_ws.simulation.format.amounts import Seeds, read_seeds
from vuemantics_ws.simulation.format.bundled import resolve_scenario
from vuemantics_ws.simulation.format.reader import parse_scenario, read_text
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.virtual.run import VirtualOptions
from vuemantics_ws_cli.simulating.single import SinglePlay
from vuemantics_ws_cli.simulating.sweeps import SweepPlay
from vuemantics_ws_cli.simulating.virtual import Command, VirtualPlay
from vuemantics_ws_cli.simulating.wanted import refuse_nothing

OF_THE_FILE = "file"
"""What ``--sweep`` is given for the seeds that the scenario names itself."""


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
        return SinglePlay(VirtualPlay(make_plan(read, seed), options, command, text), wanted.shrink)
    first = VirtualPlay(make_plan(read, seeds[0]), options, command, text)
    return SweepPlay(seeds, min(wanted.jobs or cores(), len(seeds)), first, wanted.shrink)


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
