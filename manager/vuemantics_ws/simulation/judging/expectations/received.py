"""``received``: how many messages of a kind came."""

from collections.abc import Iterator, Sequence

from vuemantics_ws.simulation.format.expected import ReceivedExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, beyond, bounds, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.following import Connection
from vuemantics_ws.simulation.log import Received
from vuemantics_ws.simulation.planning.plan import PlannedClient


def check_received(expected: ReceivedExpected, case: Case) -> Finding:
    return judge("received", _about(expected), case.history, _samples(expected, case))


def _about(expected: ReceivedExpected) -> str:
    uploads = f" about {said(expected.uploads, 'all uploads')}" if expected.uploads is not None else ""
    each = " of each upload" if expected.per == "upload" else ""
    clients = said(expected.clients, "all clients")
    return f"{clients} get {bounds(expected.min, expected.max)} {expected.action}{uploads}{each}"


def _samples(expected: ReceivedExpected, case: Case) -> Iterator[Seen]:
    """One of each client that was connected, or of each such client and each upload that it asked for."""
    uploads = case.uploads(expected.uploads)
    for client in case.clients(expected.clients):
        connections = case.connections(client)
        if not connections:
            continue  # nobody was upgraded, so nothing was seen
        got = [record for record in _received(connections) if record.action == expected.action]
        if expected.per == "upload":
            asked_for = {subscribe.upload for subscribe in client.subscribes}
            for upload in uploads:
                if upload.name in asked_for:
                    yield _count(expected, client, connections, got, {upload.upload_id})
        else:
            ids = {upload.upload_id for upload in uploads} if expected.uploads is not None else None
            yield _count(expected, client, connections, got, ids)


def _received(connections: Sequence[Connection]) -> Iterator[Received]:
    return (record for connection in connections for record in connection.records if isinstance(record, Received))


def _count(
    expected: ReceivedExpected,
    client: PlannedClient,
    connections: Sequence[Connection],
    got: list[Received],
    upload_ids: set[str] | None,
) -> Seen:
    if upload_ids is not None:
        got = [record for record in got if record.upload_id in upload_ids]
    rather = beyond(len(got), expected.min, expected.max)
    wrong = f"{client.name} got {len(got)} {expected.action}, {rather}" if rather else None
    record = got[-1] if got else connections[-1].records[-1]
    upload_id = next(iter(upload_ids)) if upload_ids is not None and len(upload_ids) == 1 else None
    return Seen(wrong, record, got[-1].connection if got else connections[-1].number, upload_id)
