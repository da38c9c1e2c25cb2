"""What a scenario file expects of its run, judged as the laws are: with samples, the first violation, and its context."""

from collections.abc import Iterator

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.expected import CloseExpected, Expectation, ReceivedExpected, TerminalExpected
from vuemantics_ws.simulation.findings import Finding, Seen, judge
from vuemantics_ws.simulation.history import Connection, History
from vuemantics_ws.simulation.log import Received, Record, Sent
from vuemantics_ws.simulation.plan import Plan, PlannedClient, PlannedUpload


def check_expectations(plan: Plan, history: History) -> list[Finding]:
    """One finding for each expectation of the file, in its order."""
    return [_check(expectation, plan, history) for expectation in plan.scenario.expect]


def all_have_come(plan: Plan, history: History) -> bool:
    """Whether all messages that the file expects are there. How connections end is not asked, since they have not."""
    expected = [expectation for expectation in plan.scenario.expect if expectation.close is None]
    return all(_check(expectation, plan, history).is_good for expectation in expected)


def _check(expectation: Expectation, plan: Plan, history: History) -> Finding:
    if expectation.terminal is not None:
        terminal = expectation.terminal
        return judge("terminal", _about_terminal(terminal), history, _terminal(terminal, plan, history))
    if expectation.received is not None:
        received = expectation.received
        return judge("received", _about_received(received), history, _received(received, plan, history))
    assert expectation.close is not None
    close = expectation.close
    return judge("close", _about_close(close), history, _close(close, plan, history))


# Every subscriber learns the outcome.


def _about_terminal(expected: TerminalExpected) -> str:
    within = f" within {format_duration(expected.within)}" if expected.within is not None else ""
    after = f" after {expected.after}" if expected.after else ""
    clients, uploads = _names(expected.clients, "all clients"), _names(expected.uploads, "all uploads")
    return f"{clients} learn that {uploads} {expected.outcome or 'ended'}{within}{after}"


def _terminal(expected: TerminalExpected, plan: Plan, history: History) -> Iterator[Seen]:
    for client in _clients(plan, expected.clients):
        connections = _connections(history, client)
        asked_for = {subscribe.upload for subscribe in client.subscribes}
        for upload in _uploads(plan, expected.uploads):
            if upload.name in asked_for and plan.gives(client.user, upload) and not _is_gone_before_the_end(client, upload):
                yield _learns(expected, plan, history, client, upload, connections)


def _is_gone_before_the_end(client: PlannedClient, upload: PlannedUpload) -> bool:
    return client.leave_s is not None and upload.last is not None and client.leave_s <= upload.last.at_s


def _learns(
    expected: TerminalExpected,
    plan: Plan,
    history: History,
    client: PlannedClient,
    upload: PlannedUpload,
    connections: list[Connection],
) -> Seen:
    attempts = [accepted.version.attempt for accepted in history.accepted(upload.upload_id)]
    newest_attempt = max(attempts, default=0)
    if upload.last is not None and plan.will_end(upload):
        newest_attempt = max(newest_attempt, upload.last.attempt)
    learned, connection = _first_end(connections, upload.upload_id, newest_attempt)
    if learned is None:
        record: Record = connections[-1].records[-1] if connections and connections[-1].records else history.records[-1]
        number = connections[-1].number if connections else None
        return Seen(f"{client.name} never learned how {upload.name} ended", record, number, upload.upload_id)
    wrong = None
    outcome = learned.action.removeprefix("upload_")
    if expected.outcome is not None and outcome != expected.outcome:
        wrong = f"{client.name} learned that {upload.name} {outcome}, expected {expected.outcome}"
    elif expected.within is not None:
        since = _since(expected, history, upload, connections, learned)
        late_s = learned.at - since
        if late_s > expected.within:
            wrong = (
                f"{client.name} learned that {upload.name} {outcome} after {late_s:.3f} s, "
                f"expected {format_duration(expected.within)}"
            )
    return Seen(wrong, learned, connection, upload.upload_id)


def _first_end(connections: list[Connection], upload_id: str, attempt: int) -> tuple[Received | None, int | None]:
    for connection in connections:
        for record in connection.records:
            if isinstance(record, Received) and record.terminal and record.upload_id == upload_id and record.attempt == attempt:
                return record, connection.number
    return None, None


def _since(
    expected: TerminalExpected,
    history: History,
    upload: PlannedUpload,
    connections: list[Connection],
    learned: Received,
) -> float:
    """The latest of: the event's scheduled time (of a stall the last event's), the subscribe, and what ``after`` names."""
    scheduled = [published.scheduled_at for published in history.published if published.upload_id == upload.upload_id]
    moments = [max(scheduled, default=upload.last.at_s if upload.last is not None else 0.0)]
    for connection in connections:
        asked = (record for record in connection.records if isinstance(record, Sent) and record.upload_id == upload.upload_id)
        moments += [record.at for record in asked if record.at <= learned.at]
        if expected.after == "reconnect" and connection.authenticated_at is not None:
            moments += [connection.authenticated_at] if connection.authenticated_at <= learned.at else []
    return max(moments)


# How many messages came.


def _about_received(expected: ReceivedExpected) -> str:
    bounds = [f"at least {expected.min}"] if expected.min is not None else []
    bounds += [f"at most {expected.max}"] if expected.max is not None else []
    about = f" about {_names(expected.uploads, 'all uploads')}" if expected.uploads is not None else ""
    each = " of each upload" if expected.per == "upload" else ""
    return f"{_names(expected.clients, 'all clients')} get {' and '.join(bounds)} {expected.action}{about}{each}"


def _received(expected: ReceivedExpected, plan: Plan, history: History) -> Iterator[Seen]:
    uploads = _uploads(plan, expected.uploads)
    for client in _clients(plan, expected.clients):
        connections = _connections(history, client)
        if not connections:
            continue  # nobody was upgraded, so nothing was seen
        if expected.per == "upload":
            asked_for = {subscribe.upload for subscribe in client.subscribes}
            groups = [{upload.upload_id} for upload in uploads if upload.name in asked_for]
        else:
            groups = [{upload.upload_id for upload in uploads}]
        for group in groups:
            yield _count(expected, client, connections, group)


def _count(expected: ReceivedExpected, client: PlannedClient, connections: list[Connection], uploads: set[str]) -> Seen:
    about_uploads = expected.uploads is not None or expected.per == "upload"
    got: list[Received] = []
    for connection in connections:
        for record in connection.records:
            if isinstance(record, Received) and record.action == expected.action:
                got += [record] if not about_uploads or record.upload_id in uploads else []
    wrong = None
    if expected.min is not None and len(got) < expected.min:
        wrong = f"{client.name} got {len(got)} {expected.action}, expected at least {expected.min}"
    elif expected.max is not None and len(got) > expected.max:
        wrong = f"{client.name} got {len(got)} {expected.action}, expected at most {expected.max}"
    last = connections[-1]
    record = got[-1] if got else last.records[-1]
    upload_id = next(iter(uploads)) if len(uploads) == 1 else None
    return Seen(wrong, record, getattr(record, "connection", last.number), upload_id)


# How connections end.


def _about_close(expected: CloseExpected) -> str:
    codes = " or ".join(map(str, expected.codes))
    within = f" within {format_duration(expected.within)}" if expected.within is not None else ""
    if expected.between is not None:
        within += f" between {format_duration(expected.between.low)} and {format_duration(expected.between.high)}"
    again = f", at most {expected.max_reconnects} reconnects" if expected.max_reconnects is not None else ""
    return f"{_names(expected.clients, 'all clients')} end with {codes}{within}{again}"


def _close(expected: CloseExpected, plan: Plan, history: History) -> Iterator[Seen]:
    for client in _clients(plan, expected.clients):
        connections = _connections(history, client)
        for number, connection in enumerate(connections):
            closed = connection.closed
            if closed is None:
                continue
            wrong = None
            lasted_s = closed.at - connection.opened_at
            if closed.code not in expected.codes:
                wrong = f"{client.name} ended with {closed.code}, expected {' or '.join(map(str, expected.codes))}"
            elif expected.within is not None and lasted_s > expected.within:
                wrong = f"{client.name} ended after {lasted_s:.3f} s, expected {format_duration(expected.within)}"
            elif expected.between is not None and not expected.between.low <= lasted_s <= expected.between.high:
                low, high = map(format_duration, expected.between)
                wrong = f"{client.name} ended after {lasted_s:.3f} s, expected {low} to {high}"
            elif expected.max_reconnects is not None and number > expected.max_reconnects:
                wrong = f"{client.name} came back {number} times, expected at most {expected.max_reconnects}"
            yield Seen(wrong, closed, connection.number)


# Whom and what an expectation is about.


def _names(names: list[str] | None, everything: str) -> str:
    return everything if names is None else ", ".join(names)


def _clients(plan: Plan, names: list[str] | None) -> list[PlannedClient]:
    return [client for client in plan.clients if names is None or client.entry in names]


def _uploads(plan: Plan, names: list[str] | None) -> list[PlannedUpload]:
    return [upload for upload in plan.uploads if names is None or upload.entry in names]


def _connections(history: History, client: PlannedClient) -> list[Connection]:
    """In the order in which they were opened. Each has a record at least, that of its opening."""
    return [connection for connection in history.connections.values() if connection.client == client.name]
