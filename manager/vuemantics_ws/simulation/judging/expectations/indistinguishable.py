"""``indistinguishable``: nobody can tell a foreign upload from one that does not exist."""

import statistics
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vuemantics_ws.simulation.format.expected import IndistinguishableExpected
from vuemantics_ws.simulation.judging.disturbances import SOON_S
from vuemantics_ws.simulation.judging.expectations.case import Case, said
from vuemantics_ws.simulation.judging.expectations.latency import format_ms
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.following import Connection
from vuemantics_ws.simulation.log import Closed, Received, Record, Sent

SAME_CLASS_S = 0.05
"""Up to here answers are equally fast for whoever measures them over a network."""

SAME_CLASS_FACTOR = 3.0
"""Beyond it, by how much the slower class may take longer: a question to somebody else takes many times as long."""


class _Talk(NamedTuple):
    """What one client was told of one upload. ``answered_s`` is what its first answer took."""

    client: str
    upload: str
    words: tuple[str, ...]
    answered_s: float | None
    record: Record
    connection: int
    upload_id: str


def check_indistinguishable(expected: IndistinguishableExpected, case: Case) -> Finding:
    return judge("indistinguishable", _about(expected), case.history, _samples(expected, case))


def _about(expected: IndistinguishableExpected) -> str:
    return f"{said(expected.clients, 'all clients')} are told the same of {said(expected.uploads, 'all uploads')}"


def _samples(expected: IndistinguishableExpected, case: Case) -> Iterator[Seen]:
    """One of each client and each of the uploads that it asked about, compared with the first of them.

    What is told is every message about the upload, in order: its action, its code and words without the upload's id, whether
    it is known, and what a state says; and how the server ended the connection, if it did. An ``error`` that names no upload
    answers the oldest request that is still open.

    As soon, by this rule: the median of the first answers about an upload is at most :data:`SAME_CLASS_S`, or at most
    :data:`SAME_CLASS_FACTOR` times the least of these medians. By what the observer was late, more is allowed.
    """
    talks = [talk for talk in _talks(expected, case) if talk.words]
    if len(talks) < 2:
        return  # with nothing to compare nothing is proved
    late = _late_uploads(talks, allowed_s=SAME_CLASS_S + case.history.soon_s - SOON_S)
    first = talks[0]
    for talk in talks:
        wrong = None
        if talk.words != first.words:
            wrong = (
                f"{talk.client} was told of {talk.upload}: {_show(talk.words)}; "
                f"{first.client} of {first.upload}: {_show(first.words)}"
            )
        elif talk.upload in late:
            wrong = f"{talk.client} was answered about {talk.upload} {late[talk.upload]}"
        yield Seen(wrong, talk.record, talk.connection, talk.upload_id)


def _talks(expected: IndistinguishableExpected, case: Case) -> Iterator[_Talk]:
    uploads = case.uploads(expected.uploads)
    for client in case.clients(expected.clients):
        asked_for = {subscribe.upload for subscribe in client.subscribes}
        about_each = _about_each(case.connections(client))
        for upload in uploads:
            told = about_each.get(upload.upload_id, [])
            asked = next((record for record in told if isinstance(record, Sent)), None)
            if asked is None and upload.name not in asked_for:
                continue
            answers = [record for record in told if not isinstance(record, Sent)]
            if not answers:
                continue
            answered_s = answers[0].at - asked.at if asked is not None else None
            words = tuple(_words(record, upload.upload_id) for record in answers)
            last = answers[-1]
            yield _Talk(client.name, upload.name, words, answered_s, last, last.connection, upload.upload_id)


def _about_each(connections: Iterable[Connection]) -> dict[str, list[Sent | Received | Closed]]:
    """By upload, what was asked and told of it."""
    found: dict[str, list[Sent | Received | Closed]] = {}
    for connection in connections:
        waiting: list[str] = []
        for record in connection.records:
            if isinstance(record, Sent):
                waiting.append(record.upload_id)
                found.setdefault(record.upload_id, []).append(record)
            elif isinstance(record, Received):
                upload_id = record.upload_id
                if record.action == "error" and upload_id is None and waiting:
                    upload_id = waiting[0]
                if upload_id is not None:
                    if record.action in ("error", "subscribed", "unsubscribed") and upload_id in waiting:
                        waiting.remove(upload_id)
                    found.setdefault(upload_id, []).append(record)
            elif isinstance(record, Closed) and record.by == "server":
                for told in found.values():
                    told.append(record)
    return found


def _words(record: Received | Closed, upload_id: str) -> str:
    if isinstance(record, Closed):
        return f"closed {record.code} {record.reason}".rstrip()
    parts = [record.action, record.code, record.words, record.stage]
    parts += [None if record.known is None else "known" if record.known else "not known"]
    parts += [None if record.version is None else f"({record.attempt}, {record.seq})"]
    parts += [None if record.percent is None else f"{record.percent} %"]
    return " ".join(part for part in parts if part).replace(upload_id, "…")


def _late_uploads(talks: list[_Talk], *, allowed_s: float) -> dict[str, str]:
    """The uploads whose answers are of a slower class than the fastest, with what is to be said of that."""
    answers: dict[str, list[float]] = {}
    for talk in talks:
        if talk.answered_s is not None:
            answers.setdefault(talk.upload, []).append(talk.answered_s)
    medians = {upload: statistics.median(times) for upload, times in answers.items()}
    fastest = min(medians, key=lambda upload: medians[upload], default=None)
    if fastest is None:
        return {}
    allowed_s = max(allowed_s, SAME_CLASS_FACTOR * medians[fastest])
    return {
        upload: f"after {format_ms(median)}, about {fastest} after {format_ms(medians[fastest])}"
        for upload, median in medians.items()
        if median > allowed_s
    }


def _show(words: tuple[str, ...]) -> str:
    return ", ".join(words)
