"""Looks for a planted bug as a person would: a sweep until a seed fails, and then the smallest scenario that still does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec import Struct

from tests.simulation.planted.planting import Bug, Soil
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import examine, examine_data
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.shrinking.search import shrink
from vuemantics_ws.simulation.shrinking.ways import in_the_same_way, suspects_of, way_of
from vuemantics_ws.simulation.sweeping.sweep import sweep
from vuemantics_ws.simulation.virtual.run import VirtualFault, VirtualOptions, run_virtual

SEEDS = range(1, 201)


class Found(Struct, frozen=True):
    """How a bug was found.

    ``seed`` is the first of :data:`SEEDS` that fails, so that many were needed. ``broke`` is what the shrinker went by: the law
    or the expectation that does not hold first. ``way`` has it in full. ``left`` and ``of`` count clients, uploads and faults,
    after shrinking and before it. ``plays`` is how many scenarios the shrinker played.
    """

    bug: str
    seed: int
    broke: str
    way: str
    left: tuple[int, int, int]
    of: tuple[int, int, int]
    plays: int


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(Soil(patch))
        yield


def look_for(bug: Bug) -> tuple[Found, Any] | None:
    """Sweep and shrink. Returns what was found, with what is left of the scenario as plain data; None where every seed holds.

    What is left fails with the bug and holds without it.
    """
    text = bundled_text(bug.scenario)
    data = examine(text, {}).data
    with planted(bug):
        failed = sweep(text, SEEDS, options=VirtualOptions(broker=bug.broker)).failed
        if failed is None:
            return None
        report = play(bug, data, failed.seed)
    way = way_of(report)
    assert way is not None

    def fails(candidate: Any) -> bool:
        try:
            with planted(bug):
                with_bug = play(bug, candidate, failed.seed)
            return in_the_same_way(with_bug, way) and play(bug, candidate, failed.seed).holds
        except VirtualFault:
            return False

    shrunk = shrink(data, failed.seed, fails, suspects=suspects_of(report))
    plan = make_plan(_scenario(data), failed.seed)
    of = (len(plan.clients), len(plan.uploads), len(_scenario(data).faults))
    left = (shrunk.clients, shrunk.uploads, shrunk.faults)
    return Found(bug.name, failed.seed, report.broken()[0].name, way, left, of, shrunk.tries), shrunk.data


def play(bug: Bug, data: Any, seed: int) -> Report:
    """A scenario as the bug wants it played, with whatever is planted now.

    Raises:
        VirtualFault: it came to no end.
    """
    return run_virtual(make_plan(_scenario(data), seed), Log(), options=VirtualOptions(broker=bug.broker)).report


def _scenario(data: Any) -> Scenario:
    scenario = examine_data(data).scenario
    assert scenario is not None
    return scenario
