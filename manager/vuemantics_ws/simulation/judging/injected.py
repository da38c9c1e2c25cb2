"""Whether every fault of the scenario has happened. One that nobody saw proves nothing of what held meanwhile."""

from collections.abc import Iterator

from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import FaultBegan, FaultEnded, Record
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.planning.plan import Plan


def injected(plan: Plan, history: History, *, interrupted: bool = False) -> Finding:
    """Each began, was seen, and ended where the plan has an end for it, which was seen too. In a run that was ``interrupted``
    what had not come yet might still have come.
    """
    about = "every fault happened, and was seen"
    return judge("faults", about, history, _samples(plan, history, interrupted), applies=bool(plan.faults))


def _samples(plan: Plan, history: History, interrupted: bool) -> Iterator[Seen]:
    began = {record.number: record for record in history.of(FaultBegan)}
    ended = {record.number: record for record in history.of(FaultEnded)}
    for fault in plan.faults:
        beginning, end = began.get(fault.number), ended.get(fault.number)
        goes_on = fault.lasts_s is not None and end is None
        if interrupted and (beginning is None or (beginning.evidence is not None and goes_on)):
            continue
        yield _sample(fault, beginning, end, history.records[-1])


def _sample(fault: PlannedFault, began: FaultBegan | None, ended: FaultEnded | None, last: Record) -> Seen:
    what = f"{fault.do} of {fault.target}, planned for {fault.at_s:.1f} s,"
    if began is None:
        return Seen(f"{what} never happened", last)
    if began.evidence is None:
        return Seen(f"{what} was made to happen, and nothing was seen of it", began)
    if fault.lasts_s is not None and ended is None:
        return Seen(f"{what} never ended", last)
    if ended is not None and ended.evidence is None:
        return Seen(f"{what} was ended, and nothing was seen of its end", ended)
    return Seen(None, began)
