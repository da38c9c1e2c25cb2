"""Whether the simulator itself was on time. Where it was not, a run says little about the server."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vuemantics_ws.simulation.format.expected import Arm
from vuemantics_ws.simulation.judging.disturbances import SOON_S
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.percentiles import Durations
from vuemantics_ws.simulation.log import Measured, Published, Record
from vuemantics_ws.simulation.planning.plan import Plan

SHARE_OF_LATENCY = 0.05
"""How much of a latency that was expected may be the simulator's own."""

LEAST_LIMIT_S = 0.01
"""What a busy machine takes now and then, and what no run fails for."""

LIMIT_WITHOUT_LATENCY_S = SOON_S
"""Where no latency is expected, the simulator may be as late as the laws let a server be: they count in no smaller times."""

MAY_BE_LATE = 0.01
"""The share of its deeds with which it may be later than that."""


class _Deed(NamedTuple):
    late_s: float
    record: Record


def generator(plan: Plan, history: History, latency: Durations, *, arm: Arm) -> Finding:
    """The workers published when the plan has it, and the observer looked when it meant to.

    Late is a simulator of whose deeds more than one in a hundred, and more than a single one, came later than a limit: where
    the file expects a latency 5 % of the strictest ``p99`` that it expects (of the strictest bound, where it has no ``p99``)
    or of the ``p99`` that was measured, whichever is larger, and 10 ms at least; one second where the file expects none.

    In virtual time nothing is ever late.

    Args:
        latency: of all clients.
    """
    deeds = list(_deeds(history.records))
    lateness = Durations(deed.late_s for deed in deeds)
    limit_s = _limit_s(plan, latency, arm)
    figures = {"p99_s": lateness.at(0.99), "max_s": lateness.at(1.0), "limit_s": limit_s} if deeds else {}
    return judge(
        "generator",
        "the simulator itself is on time",
        history,
        _judge(deeds, lateness, limit_s),
        applies=arm == "real" and any(upload.events for upload in plan.uploads),
        figures=figures,
    )


def _deeds(records: Iterable[Record]) -> Iterator[_Deed]:
    for record in records:
        if isinstance(record, Published):
            yield _Deed(record.sent_at - record.scheduled_at - record.held_up_s, record)
        elif isinstance(record, Measured):
            yield _Deed(record.lag_s, record)


def _limit_s(plan: Plan, latency: Durations, arm: Arm) -> float:
    expected = [
        expectation.latency.bounds()
        for expectation in plan.scenario.expect
        if expectation.latency is not None and (expectation.latency.modes is None or arm in expectation.latency.modes)
    ]
    if not expected:
        return LIMIT_WITHOUT_LATENCY_S
    strictest_s = min(bounds.get("p99", min(bounds.values())) for bounds in expected)
    measured_s = latency.at(0.99) if latency.count else 0.0
    return max(LEAST_LIMIT_S, SHARE_OF_LATENCY * max(strictest_s, measured_s))


def _judge(deeds: list[_Deed], lateness: Durations, limit_s: float) -> Iterator[Seen]:
    late = sum(deed.late_s > limit_s for deed in deeds)
    is_late = late > 1 and late > MAY_BE_LATE * len(deeds)
    for deed in deeds:
        wrong = None
        if is_late and deed.late_s > limit_s:
            wrong = (
                f"{late} of {len(deeds)} times the simulator was more than {limit_s * 1000:.1f} ms late, "
                f"p99 {lateness.at(0.99) * 1000:.1f} ms, so times say little about the server"
            )
        yield Seen(wrong, deed.record)
