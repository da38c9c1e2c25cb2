"""``errors``: how many complaints each client gets."""

from collections.abc import Iterator

from vuemantics_ws.simulation.format.expected import ErrorsExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, beyond, bounds, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.log import Received


def check_errors(expected: ErrorsExpected, case: Case) -> Finding:
    return judge("errors", _about(expected), case.history, _samples(expected, case))


def _about(expected: ErrorsExpected) -> str:
    return f"{said(expected.clients, 'all clients')} get {bounds(expected.min, expected.max)} {_kind(expected)}"


def _samples(expected: ErrorsExpected, case: Case) -> Iterator[Seen]:
    """One of each client that was connected."""
    for client in case.clients(expected.clients):
        connections = case.connections(client)
        if not connections:
            continue
        got = [
            record
            for connection in connections
            for record in connection.records
            if isinstance(record, Received) and record.action == "error" and expected.code in (None, record.code)
        ]
        rather = beyond(len(got), expected.min, expected.max)
        wrong = f"{client.name} got {len(got)} {_kind(expected)}, {rather}" if rather else None
        record = got[-1] if got else connections[-1].records[-1]
        yield Seen(wrong, record, got[-1].connection if got else connections[-1].number)


def _kind(expected: ErrorsExpected) -> str:
    return "errors" if expected.code is None else f"errors {expected.code}"
