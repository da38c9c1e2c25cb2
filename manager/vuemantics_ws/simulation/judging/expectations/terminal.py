"""``terminal``: every subscriber learns the outcome."""

from collections.abc import Iterator

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.expected import TerminalExpected
from vuemantics_ws.simulation.judging.absence import is_excused
from vuemantics_ws.simulation.judging.expectations.case import Case, Ended, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.log import Record, Sent
from vuemantics_ws.simulation.planning.plan import PlannedClient, PlannedUpload

AWAY = "never_asked_while_away"
"""The figure that says how many subscribes were dropped by tabs that a fault had taken away."""


def check_terminal(expected: TerminalExpected, case: Case) -> Finding:
    figures: dict[str, float] = {}
    return judge("terminal", _about(expected), case.history, _samples(expected, case, figures), figures=figures)


def _about(expected: TerminalExpected) -> str:
    within = f" within {format_duration(expected.within)}" if expected.within is not None else ""
    after = f" after {expected.after}" if expected.after else ""
    clients, uploads = said(expected.clients, "all clients"), said(expected.uploads, "all uploads")
    return f"{clients} learn that {uploads} {expected.outcome or 'ended'}{within}{after}"


def _samples(expected: TerminalExpected, case: Case, figures: dict[str, float]) -> Iterator[Seen]:
    """One of each client and each upload that it asked for, may follow, and stays for.

    A client that leaves before the outcome, or before the time for it is over, may have learned it and need not. Nor need one
    that was away when it would have asked, where it was the scenario that kept it away; ``figures`` say how many those were.
    """
    uploads = [upload for upload in case.uploads(expected.uploads) if upload.events]
    for client in case.clients(expected.clients):
        asks_for = {subscribe.upload for subscribe in client.subscribes}
        for upload in uploads:
            if upload.name not in asks_for or not case.plan.gives(client.user, upload):
                continue
            learned = _first_end(case, client, upload)
            unsent = case.unsent(client, upload)
            if learned is None and _leaves_first(client, upload, case, expected.within):
                continue
            if learned is not None or unsent is None:
                yield _learns(expected, case, client, upload, learned)
            elif is_excused(case.plan, case.history, client, unsent.at):
                figures[AWAY] = figures.get(AWAY, 0) + 1
            else:
                wrong = f"{client.name} could not ask for {upload.name}: it was not connected, and no fault had kept it away"
                yield Seen(wrong, unsent, None, upload.upload_id)


def _leaves_first(client: PlannedClient, upload: PlannedUpload, case: Case, within: float | None) -> bool:
    if client.leave_s is None or upload.last is None:
        return False
    patience_s = case.history.soon_s if within is None else within
    return client.leave_s <= max(upload.last.at_s, client.join_s) + patience_s


def _first_end(case: Case, client: PlannedClient, upload: PlannedUpload) -> Ended | None:
    """How this client first learned the end of the newest attempt."""
    attempt = max((accepted.version.attempt for accepted in case.history.accepted(upload.upload_id)), default=0)
    if upload.last is not None and upload.versioned and case.plan.will_end(upload):
        attempt = max(attempt, upload.last.attempt)
    return next((ended for ended in case.ends(client, upload) if ended.state.attempt == attempt), None)


def _learns(
    expected: TerminalExpected, case: Case, client: PlannedClient, upload: PlannedUpload, learned: Ended | None
) -> Seen:
    connections = case.connections(client)
    if learned is None:
        last = connections[-1] if connections else None
        record: Record = last.records[-1] if last else case.history.records[-1]
        number = last.number if last else None
        return Seen(f"{client.name} never learned how {upload.name} ended", record, number, upload.upload_id)
    wrong = None
    outcome = learned.state.action.removeprefix("upload_")
    if expected.outcome is not None and outcome != expected.outcome:
        wrong = f"{client.name} learned that {upload.name} {outcome}, expected {expected.outcome}"
    elif expected.within is not None:
        late_s = learned.state.at - _since(expected, case, client, upload, learned)
        if late_s > expected.within:
            wrong = (
                f"{client.name} learned that {upload.name} {outcome} after {late_s:.3f} s, "
                f"expected {format_duration(expected.within)}"
            )
    return Seen(wrong, learned.state, learned.connection, upload.upload_id)


def _since(expected: TerminalExpected, case: Case, client: PlannedClient, upload: PlannedUpload, learned: Ended) -> float:
    """The latest of: the event's scheduled time (of a stall the last event's), the subscribe, and what ``after`` names."""
    published = case.published(upload.upload_id, learned.state.version)
    due_s = published.scheduled_at if published is not None else case.last_due_s(upload.upload_id)
    moments = [due_s if due_s is not None else upload.start_s]
    for connection in case.connections(client):
        asked = (record for record in connection.records if isinstance(record, Sent) and record.upload_id == upload.upload_id)
        moments += [record.at for record in asked if record.at <= learned.state.at]
        if expected.after == "reconnect" and connection.authenticated_at is not None:
            moments += [connection.authenticated_at] if connection.authenticated_at <= learned.state.at else []
    since_s = max(moments)
    if expected.after == "faults":
        for fault in case.history.faults:
            if fault.begins <= min(since_s + (expected.within or 0.0), learned.state.at):
                since_s = max(since_s, min(fault.ends, learned.state.at))
    return since_s
