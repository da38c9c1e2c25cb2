"""``sometimes``: something that the scenario is about did happen. Each probe says where."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

from vuemantics_ws.simulation.format.expected import SometimesExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, said
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.following import Window
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Measured, Opened, Received

Clients = Collection[str] | None
"""Names of those who count; None for everybody."""


def check_sometimes(expected: SometimesExpected, case: Case) -> Finding:
    """A sample is one time that it happened. None is nothing proved, which fails; more cannot be wrong."""
    probe = SEEN[expected.that]
    of = f", of {said(expected.clients, '')}" if expected.clients is not None else ""
    return judge("sometimes", f"{expected.that}{of}", case.history, probe(case.history, case.client_names(expected.clients)))


def _outbox_used(history: History, clients: Clients) -> Iterator[Seen]:
    """The server says so, and not of whom."""
    for record in history.records:
        if isinstance(record, Measured) and (record.tables.get("outbox_bytes") or record.tables.get("outbox_bytes_max")):
            yield Seen(None, record)


def _conflated(history: History, clients: Clients) -> Iterator[Seen]:
    """Between two states that a connection got, it skipped one that had been accepted."""
    versions = {upload_id: sorted(each.version for each in history.accepted(upload_id)) for upload_id in history.began.uploads}
    for window in _windows(history, clients):
        accepted = versions.get(window.upload_id, [])
        states = [state for state in window.states if state.version is not None]
        for before, after in pairwise(states):
            assert before.version is not None
            assert after.version is not None
            skipped = bisect_left(accepted, after.version) - bisect_left(accepted, before.version)
            if skipped > 1:
                yield _seen(window, after)


def _reconnected(history: History, clients: Clients) -> Iterator[Seen]:
    known: set[str] = set()
    for record in history.records:
        if isinstance(record, Opened):
            if record.client in known and (clients is None or record.client in clients):
                yield Seen(None, record, record.connection)
            known.add(record.client)


def _joined_after_the_end(history: History, clients: Clients) -> Iterator[Seen]:
    for window in _windows(history, clients):
        newest = history.newest(window.upload_id, by=window.asked_at)
        if newest is not None and newest.published.terminal:
            learned = next((state for state in window.states if state.version == newest.version), None)
            if learned is not None:
                yield _seen(window, learned)


def _published_while_nobody_was_connected(history: History, clients: Clients) -> Iterator[Seen]:
    """An upload that somebody follows sooner or later, and nobody just then."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for window in _windows(history, clients):
        if history.gives(window.connection.user, window.upload_id):
            spans.setdefault(window.upload_id, []).append((window.asked_at, history.end_of(window)))
    for upload_id, windows in spans.items():
        for accepted in history.accepted(upload_id):
            if not any(start <= accepted.at and accepted.published.sent_at <= end for start, end in windows):
                yield Seen(None, accepted.published, None, upload_id)


def _regenerated(history: History, clients: Clients) -> Iterator[Seen]:
    for upload_id in history.began.uploads:
        ended: set[int] = set()
        attempt = 0
        for accepted in history.accepted(upload_id):
            if accepted.version.attempt > attempt and attempt in ended:
                yield Seen(None, accepted.published, None, upload_id)
            attempt = max(attempt, accepted.version.attempt)
            if accepted.published.terminal:
                ended.add(accepted.version.attempt)


def _dropped(history: History, clients: Clients) -> Iterator[Seen]:
    for published in history.published:
        if published.verdict not in ("accepted", None):
            yield Seen(None, published, None, published.upload_id)


def _subscribed_meanwhile(history: History, clients: Clients) -> Iterator[Seen]:
    """The subscribe had been sent and was not answered, and neither was the event: which of the two the server met first is
    not to be seen from outside.
    """
    for window in _windows(history, clients):
        if window.cause == "subscribe":
            for accepted in history.accepted(window.upload_id):
                if accepted.published.sent_at <= window.start and window.asked_at <= accepted.at:
                    yield Seen(None, accepted.published, window.connection.number, window.upload_id)


SEEN: dict[str, Callable[[History, Clients], Iterator[Seen]]] = {
    "outbox used": _outbox_used,
    "conflated": _conflated,
    "reconnected": _reconnected,
    "joined after the end": _joined_after_the_end,
    "event published while no subscriber was connected": _published_while_nobody_was_connected,
    "upload regenerated": _regenerated,
    "event dropped": _dropped,
    "subscribed between state write and publish": _subscribed_meanwhile,
}
"""Where each probe is seen (:mod:`vuemantics_ws.simulation.format.probes`). ``clients`` narrows down what is of clients."""


def _windows(history: History, clients: Clients) -> Iterator[Window]:
    return (window for window in history.windows if clients is None or window.connection.client in clients)


def _seen(window: Window, state: Received) -> Seen:
    return Seen(None, state, window.connection.number, window.upload_id)
