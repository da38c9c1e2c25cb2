"""What a scenario file expects of its run, judged as the laws are: with samples, the first violation, and its context."""

import dataclasses
from collections.abc import Callable
from typing import Any

from vuemantics_ws.simulation.format.expected import Arm, Expectation
from vuemantics_ws.simulation.judging.expectations.case import Case
from vuemantics_ws.simulation.judging.expectations.close import check_close
from vuemantics_ws.simulation.judging.expectations.dropped import check_dropped
from vuemantics_ws.simulation.judging.expectations.errors import check_errors
from vuemantics_ws.simulation.judging.expectations.health import check_health
from vuemantics_ws.simulation.judging.expectations.indistinguishable import check_indistinguishable
from vuemantics_ws.simulation.judging.expectations.latency import check_connect_time, check_latency
from vuemantics_ws.simulation.judging.expectations.rate import check_rate
from vuemantics_ws.simulation.judging.expectations.received import check_received
from vuemantics_ws.simulation.judging.expectations.server import check_server
from vuemantics_ws.simulation.judging.expectations.sometimes import check_sometimes
from vuemantics_ws.simulation.judging.expectations.terminal import check_terminal
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.planning.plan import Plan

CHECKS: dict[str, Callable[[Any, Case], Finding]] = {
    "terminal": check_terminal,
    "received": check_received,
    "close": check_close,
    "latency": check_latency,
    "connect_time": check_connect_time,
    "indistinguishable": check_indistinguishable,
    "dropped": check_dropped,
    "server": check_server,
    "health": check_health,
    "rate": check_rate,
    "sometimes": check_sometimes,
    "errors": check_errors,
}
"""How each key of ``expect:`` is judged."""

_AWAITED = frozenset({"terminal", "sometimes"})
_AWAITED_IF_MIN = frozenset({"received", "errors", "dropped"})


def check_expectations(plan: Plan, history: History, *, arm: Arm = "real", interrupted: bool = False) -> list[Finding]:
    """One finding for each expectation of the file, in its order. What the file leaves out of this arm is not judged.

    Of a run that was ``interrupted``, what might still have come is not missed: such a finding has seen nothing. Nor does
    it count how the tabs went that were cut off for it.
    """
    case = Case(plan, history, interrupted=interrupted)
    findings = []
    for expectation in plan.scenario.expect:
        finding = _check(expectation, case, arm)
        if interrupted and _is_awaited(expectation) and finding.verdict == "violated":
            finding = dataclasses.replace(finding, samples=0, violation=None)
        findings.append(finding)
    return findings


def all_have_come(plan: Plan, history: History, *, arm: Arm = "real") -> bool:
    """Whether everything has come that the file expects, and for which a run may wait: messages and events.

    How connections end is not asked, since they have not; nor is what no waiting mends.
    """
    case = Case(plan, history)
    return all(_check(expectation, case, arm).is_good for expectation in plan.scenario.expect if _is_awaited(expectation))


def _is_awaited(expectation: Expectation) -> bool:
    name, expected = _key(expectation)
    return name in _AWAITED or (name in _AWAITED_IF_MIN and expected.min is not None)


def _check(expectation: Expectation, case: Case, arm: Arm) -> Finding:
    name, expected = _key(expectation)
    if expected.modes is not None and arm not in expected.modes:
        return dataclasses.replace(CHECKS[name](expected, case.before_anything), judged=False)
    return CHECKS[name](expected, case)


def _key(expectation: Expectation) -> tuple[str, Any]:
    """The one key that an expectation has, and what it says."""
    (name,) = expectation.model_fields_set
    return name, getattr(expectation, name)
