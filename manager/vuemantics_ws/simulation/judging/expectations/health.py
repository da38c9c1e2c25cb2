"""``health``: what a node says of itself while a fault lasts."""

from collections.abc import Iterator

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.expected import HealthExpected
from vuemantics_ws.simulation.judging.disturbances import Disturbance
from vuemantics_ws.simulation.judging.expectations.case import Case
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.log import Health


def check_health(expected: HealthExpected, case: Case) -> Finding:
    within = f", within {format_duration(expected.within)}" if expected.within is not None else ""
    about = f"{expected.node} says that it is {expected.state} during {' and '.join(expected.during)}{within}"
    return judge("health", about, case.history, _samples(expected, case))


def _samples(expected: HealthExpected, case: Case) -> Iterator[Seen]:
    """One of each time that one of the faults happened. What it says once it is due it says until the fault is over."""
    said = [record for record in case.history.records if isinstance(record, Health) and record.node == expected.node]
    for fault in case.history.faults:
        if fault.do in expected.during:
            yield _sample(expected, fault, said)


def _sample(expected: HealthExpected, fault: Disturbance, said: list[Health]) -> Seen:
    before = [record for record in said if record.at <= fault.begins]
    meanwhile = [*before[-1:], *(record for record in said if fault.begins < record.at < fault.ends)]
    right = next((record for record in meanwhile if record.state == expected.state), None)
    record = right or (meanwhile or said)[-1]
    wrong = None
    if right is None:
        wrong = f"{expected.node} said that it was {record.state} while {fault.do} lasted, expected {expected.state}"
    elif expected.within is not None:
        late_s = right.at - fault.begins
        other = next((after for after in meanwhile if after.at > right.at and after.state != expected.state), None)
        if late_s > expected.within:
            wrong = f"{expected.node} said that it was {expected.state} {late_s:.1f} s after {fault.do} had begun"
            wrong += f", expected {format_duration(expected.within)}"
        elif other is not None:
            record = other
            wrong = f"{expected.node} said that it was {other.state} again while {fault.do} still lasted"
    return Seen(wrong, record)
