"""What must hold in every run beside the laws: each a pure function over a log, as the laws are."""

import re
from collections import Counter
from collections.abc import Iterator

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.core.upload import Version
from vuemantics_ws.messages import UPLOAD_ID_PATTERN
from vuemantics_ws.simulation.judging.acceptance import shows
from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge, show
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Closed, NodeExited, Opened, Published, Received, Sent, Undocumented

_KNOWN_CODES = frozenset(int(code) for code in CloseCode) | {1005, 1006}
_ANSWERS = {"subscribe_upload": "subscribed", "unsubscribe_upload": "unsubscribed"}
_BAD_MESSAGE = ("error", None)
"""What answers a request with an id that is none (SEMANTICS.md section 5). It does not say which."""


def documented(history: History) -> Finding:
    """Only documented messages and close codes, every request answered, each state as it was published and no more of them,
    nothing before the answer to a subscribe, and nothing after an upload was given up. Always on, as the laws are.
    """
    return judge("documented", "only messages and close codes of the protocol", history, _documented(history))


def taken(history: History) -> Finding:
    """Every event was accepted, since each worker publishes in order: where some were not, the rest was no fair trial.

    A ``duplicate`` is one whose answer was lost on its way, and that was published again: its version is new to the log. A
    messy worker's slip may be accepted or refused, as the judge finds it, but a copy is no news to whoever forgot nothing.
    Anything else may be refused only where such a slip, accepted, has moved the upload on before it.
    """
    applies = any(upload.published for upload in history.began.uploads.values())
    return judge("taken", "every published event is taken", history, _taken(history), applies=applies)


def _may_be_unheard(history: History, published: Published) -> bool:
    """Whether no node may have been there to adopt it: a fault went on, or all of them were away."""
    at = published.sent_at
    away = {
        fault.target
        for fault in history.faults
        if fault.do in ("node.kill", "node.restart") and fault.begins <= at <= fault.ends + RECOVERS_S
    }
    return history.is_disturbed(at) or away.issuperset(history.began.nodes or ("node:0",))


def _documented(history: History) -> Iterator[Seen]:
    silenced: set[tuple[int, str]] = set()
    siblings = _siblings(history)
    asking: Counter[tuple[int, str]] = Counter()
    published: dict[tuple[str, Version], list[Published]] = {}
    for upload_id in history.began.uploads:
        for accepted in history.accepted(upload_id):  # more than one of a version, where Redis lost the first
            published.setdefault((upload_id, accepted.version), []).append(accepted.published)
    for record in history.records:
        match record:
            case Undocumented():
                client = history.connections[record.connection].client
                yield Seen(f"{client} got a message that the browser refuses: {record.reason}", record, record.connection)
            case Closed():
                wrong = None
                if record.code == CloseCode.INTERNAL_ERROR:
                    wrong = f"a connection ended with {record.code}: its server met a fault of its own"
                elif record.code not in _KNOWN_CODES:
                    wrong = f"a connection ended with {record.code}, which no document has"
                yield Seen(wrong, record, record.connection)
            case Sent(action="subscribe_upload", upload_id=upload_id, connection=number):
                asking[number, upload_id] += 1
                silenced.difference_update((sibling, upload_id) for sibling in siblings[number] if sibling != number)
            case Received(upload_id=str() as upload_id, connection=number):
                client = history.connections[number].client
                said = published.get((upload_id, record.version), []) if record.version is not None else []
                wrong = None
                if record.action == "unsubscribed":
                    # Where nobody else has it, the follow ends, and one that begins anew reaches all connections of the user.
                    if not any(asking[sibling, upload_id] for sibling in siblings[number] if sibling != number):
                        silenced.add((number, upload_id))
                elif record.action == "subscribed":
                    asking[number, upload_id] -= 1
                    silenced.discard((number, upload_id))
                elif record.is_state and (number, upload_id) in silenced:
                    wrong = f"{client} got a state of what it had given up"
                elif said and not any(shows(record, each) for each in _what_it_may_be(history, upload_id, record, said)):
                    what = f"{show(record)} of {_name(history, upload_id)}"
                    wrong = f"{client} got {what} as {_content(record)}; published was {_content(said[0])}"
                yield Seen(wrong, record, number, upload_id)
            case Received():
                yield Seen(None, record, record.connection)
            case NodeExited(code=code, asked=asked, killed=False) if code != 0 or not asked:
                yield Seen(f"{record.node} ended with exit code {code}" + ("" if asked else " without being told to"), record)
    yield from _unanswered(history)
    yield from _before_the_answer(history)
    yield from _more_than_published(history)


def _siblings(history: History) -> dict[int, list[int]]:
    """Of each connection, all that the same user has had, itself too."""
    of_user: dict[str, list[int]] = {}
    for connection in history.connections.values():
        of_user.setdefault(connection.user, []).append(connection.number)
    return {connection.number: of_user[connection.user] for connection in history.connections.values()}


def _what_it_may_be(history: History, upload_id: str, state: Received, said: list[Published]) -> list[Published]:
    """What was published under the version of a state. An event that was forgotten may have come to have two."""
    if history.has_lost_data(by=state.at):
        return [accepted.published for accepted in history.accepted(upload_id)]
    return said


def _content(state: Received | Published) -> str:
    return state.action if state.terminal else f"{state.stage} at {state.percent} %"


def _unanswered(history: History) -> Iterator[Seen]:
    """What was asked on a connection that went on for long enough. One that reads slowly may not have come to its answer."""
    for connection in history.connections.values():
        if history.began.clients[connection.client].reads_slowly:
            continue
        if connection.authenticated_at is None and connection.closed is not None:
            continue  # that was the answer
        waiting: dict[tuple[str, str | None], list[Sent]] = {}
        for record in connection.records:
            if isinstance(record, Sent):
                is_id = re.match(UPLOAD_ID_PATTERN, record.upload_id) is not None
                waiting.setdefault((_ANSWERS[record.action], record.upload_id) if is_id else _BAD_MESSAGE, []).append(record)
            elif isinstance(record, Received):
                refused = record.action == "error" and record.upload_id is not None
                questions = waiting.get(("subscribed" if refused else record.action, record.upload_id))
                if questions:
                    questions.pop(0)
        until = connection.closed.at if connection.closed is not None else history.ends_at
        for question in (question for questions in waiting.values() for question in questions):
            if until >= history.due_by(question.at):
                wrong = f"{connection.client} got no answer to its {question.action} of {_name(history, question.upload_id)}"
                yield Seen(wrong, question, connection.number, question.upload_id)


def _before_the_answer(history: History) -> Iterator[Seen]:
    """States that came before the answer to the subscribe that they came for.

    That is certain where the connection is the only one that its user has had: what it has not asked for nobody follows.
    """
    if history.began.shared:
        return  # somebody may have asked before
    only: dict[str, int | None] = {}
    answered: set[tuple[int, str]] = set()
    for record in history.records:
        if isinstance(record, Opened):
            user = history.connections[record.connection].user
            only[user] = None if user in only else record.connection
        elif isinstance(record, Received) and record.upload_id is not None:
            number, upload_id = record.connection, record.upload_id
            connection = history.connections[number]
            if not record.is_state:
                answered.add((number, upload_id))
            elif (number, upload_id) not in answered and only[connection.user] == number:
                wrong = f"{connection.client} got a state of {_name(history, upload_id)} before the answer to its subscribe"
                yield Seen(wrong, record, number, upload_id)


def _more_than_published(history: History) -> Iterator[Seen]:
    """States of an upload beyond as many as may have been accepted: somebody made two of one event.

    Who published besides is not known of a shared server, and where heads were lost an event may come to have two versions.
    """
    if history.began.shared or history.loses_data:
        return
    published = Counter(record.upload_id for record in history.published if record.verdict not in ("stale", "after_terminal"))
    shown: dict[str, set[Version]] = {}
    for record in history.records:
        if not isinstance(record, Received) or record.upload_id is None or record.version is None:
            continue
        upload_id, versions = record.upload_id, shown.setdefault(record.upload_id, set())
        versions.add(record.version)
        presumed = bool(history.began.stall_after_s)  # an end that the server made
        if upload_id in published and len(versions) > published[upload_id] + presumed:
            client = history.connections[record.connection].client
            wrong = f"{client} got {show(record)} of {_name(history, upload_id)}: more states than were published"
            yield Seen(wrong, record, record.connection, upload_id)


def _name(history: History, upload_id: str) -> str:
    upload = history.upload(upload_id)
    return upload.name if upload is not None else "an unknown upload"


def _taken(history: History) -> Iterator[Seen]:
    newest: dict[str, Published] = {}
    moved_by_a_slip: dict[str, bool] = {}
    for published in history.published:
        upload_id, version = published.upload_id, published.version
        name = history.began.uploads[upload_id].name
        is_taken = published.verdict in ("accepted", "duplicate")
        before = newest.get(upload_id)
        if before is not None and history.may_be_unknown(before, published):
            before = None
        is_new = version is not None and (before is None or before.version is None or version > before.version)
        wrong = None
        if published.verdict is None:
            wrong = f"an event could not be published: {published.error}"
        elif published.copy and published.verdict == "accepted" and not history.faults:
            wrong = f"an event of {name} was taken as news when it came once more, as {show(published)}"
        elif published.messy or (published.verdict == "unheard" and _may_be_unheard(history, published)):
            pass  # what a plain publisher says while nobody adopts it is lost to Redis itself
        elif not is_taken and not moved_by_a_slip.get(upload_id):
            wrong = f"an event of {name} was dropped as {published.verdict}, though nothing newer had been published"
        elif is_taken and version is not None and not is_new:
            wrong = f"an event of {name} was taken as {show(published)}, {published.verdict}, which another had been before it"
        if is_taken and is_new and version is not None:
            newest[upload_id] = published
        if published.verdict == "accepted":
            moved_by_a_slip[upload_id] = published.messy
        yield Seen(wrong, published, None, upload_id)
