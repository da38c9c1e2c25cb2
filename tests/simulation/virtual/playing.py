"""Plays scenarios in virtual time; as a program, one or more bundled ones, whose hashes it prints."""

import sys

from tests.simulation.playing import of, plan
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws.simulation.virtual.run import VirtualOptions, VirtualRun, run_virtual

__all__ = ["bundled", "of", "plan", "played"]


def bundled(name: str, *, seed: int | None = None) -> Plan:
    scenario = parse_scenario(bundled_text(name), file=f"{name}.yaml", environment={})
    return make_plan(scenario, scenario.seed if seed is None else seed)


def played(plan: Plan, options: VirtualOptions = VirtualOptions()) -> tuple[VirtualRun, Log]:
    log = Log()
    return run_virtual(plan, log, options=options), log


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run, _ = played(bundled(name))
        print(run.trace_hash)
