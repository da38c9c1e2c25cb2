"""``close``: how connections end."""

from collections.abc import Iterator

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.expected import CloseExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.following import Connection
from vuemantics_ws.simulation.log import Closed

CUT_OFF = 1006


def check_close(expected: CloseExpected, case: Case) -> Finding:
    return judge("close", _about(expected), case.history, _samples(expected, case))


def _about(expected: CloseExpected) -> str:
    codes = " or ".join(map(str, expected.codes))
    within = f" within {format_duration(expected.within)}" if expected.within is not None else ""
    if expected.between is not None:
        within += f" between {format_duration(expected.between.low)} and {format_duration(expected.between.high)}"
    again = f", at most {expected.max_reconnects} reconnects" if expected.max_reconnects is not None else ""
    return f"{said(expected.clients, 'all clients')} end with {codes}{within}{again}"


def _samples(expected: CloseExpected, case: Case) -> Iterator[Seen]:
    """One of each connection that ended. Its time is what passed since its socket was upgraded: that is its join."""
    for client in case.clients(expected.clients):
        for number, connection in enumerate(case.connections(client)):
            closed = connection.closed
            if closed is None or (case.interrupted and closed.by == "browser" and closed.code == CUT_OFF):
                continue
            wrong = _wrong(expected, connection, closed, came_back=number)
            yield Seen(f"{client.name} {wrong}" if wrong else None, closed, connection.number)


def _wrong(expected: CloseExpected, connection: Connection, closed: Closed, *, came_back: int) -> str | None:
    lasted_s = closed.at - connection.opened_at
    if closed.code not in expected.codes:
        return f"ended with {closed.code}, expected {' or '.join(map(str, expected.codes))}"
    if expected.within is not None and lasted_s > expected.within:
        return f"ended after {lasted_s:.3f} s, expected {format_duration(expected.within)}"
    if expected.between is not None and not expected.between.low <= lasted_s <= expected.between.high:
        low, high = map(format_duration, expected.between)
        return f"ended after {lasted_s:.3f} s, expected {low} to {high}"
    if expected.max_reconnects is not None and came_back > expected.max_reconnects:
        return f"came back {came_back} times, expected at most {expected.max_reconnects}"
    return None
