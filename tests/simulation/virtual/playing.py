"""Plays scenarios in virtual time; as a program, those that stdin has, whose hashes it prints."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.simulation.playing import of, plan
from tests.simulation.virtual.unordered import PLACES, plant
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws.simulation.versions import versions
from vuemantics_ws.simulation.virtual.run import BrokerKind, VirtualOptions, VirtualRun, run_virtual

__all__ = ["LONG", "Play", "bundled", "hashes_elsewhere", "libraries", "of", "plan", "played"]

ROOT = Path(__file__).parents[3]
LONG = {"bulk-drop", "crowd", "evening", "redis-outage", "rolling-restart", "slow-consumer", "survive"}
"""Of the bundled scenarios those that take more than a second."""

SOURCES = os.pathsep.join([str(ROOT / "manager"), str(ROOT)])


class Play(NamedTuple):
    """What is played: the text of a scenario, or a bundled one's name."""

    scenario: str
    seed: int
    broker: BrokerKind | None = None

    def run(self) -> VirtualRun:
        text = self.scenario if "\n" in self.scenario else bundled_text(self.scenario)
        planned = make_plan(parse_scenario(text, file="scenario.yaml", environment={}), self.seed)
        return played(planned, VirtualOptions(broker=self.broker))[0]


def bundled(name: str, *, seed: int | None = None) -> Plan:
    scenario = parse_scenario(bundled_text(name), file=f"{name}.yaml", environment={})
    return make_plan(scenario, scenario.seed if seed is None else seed)


def played(plan: Plan, options: VirtualOptions = VirtualOptions()) -> tuple[VirtualRun, Log]:
    log = Log()
    return run_virtual(plan, log, options=options), log


def hashes_elsewhere(
    plays: Sequence[Play], *, hash_seed: str, python: str = sys.executable, unordered: str | None = None
) -> list[str]:
    """What another process makes of them.

    Args:
        hash_seed: its PYTHONHASHSEED.
        unordered: the name of a table that is none in order there.
    """
    found = subprocess.run(
        [python, "-m", "tests.simulation.virtual.playing", *([unordered] if unordered else [])],
        input=json.dumps(plays),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": SOURCES, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def libraries() -> dict[str, str]:
    """The versions of what a run is made of, but for Python's own and ours."""
    return {name: version for name, version in versions().items() if name not in ("Python", "vuemantics-ws", "commit")}


if __name__ == "__main__":
    for place in sys.argv[1:]:
        plant(*PLACES[place])
    for asked in json.load(sys.stdin):
        print(Play(*asked).run().trace_hash)
