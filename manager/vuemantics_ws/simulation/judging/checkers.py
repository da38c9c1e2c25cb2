"""The laws of the design, each a pure function over a log.

A checker says how many samples it saw and what the first violation was. Nothing seen is nothing proved: zero samples fail,
unless the law cannot apply to the scenario. All of them may be asked while a run goes on; they then judge what is decided.
"""

from collections.abc import Callable, Iterator

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge, show
from vuemantics_ws.simulation.judging.following import Window
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.losses import Accepted
from vuemantics_ws.simulation.judging.rules import documented, taken
from vuemantics_ws.simulation.log import Emptied, Measured, Received, Record, Sent


def order(history: History) -> Finding:
    """Versions only grow."""
    return judge("order", "versions only grow", history, _order(history), applies=_follows_anything(history))


def convergence(history: History) -> Finding:
    """When publishing stops and the connection stays up, the last message it got is the newest state."""
    return judge(
        "convergence",
        "the last state shown is the newest",
        history,
        _convergence(history),
        applies=_follows_anything(history, promptly=True),
    )


def the_end_arrives(history: History) -> Finding:
    """The terminal message of the newest attempt is delivered exactly once, and nothing of that attempt after it; an earlier
    one's is never repeated.
    """
    ends = [upload_id for upload_id, upload in history.began.uploads.items() if upload.ends]
    applies = any(_is_followed(history, upload_id, promptly=True) for upload_id in ends)
    return judge("the end arrives", "exactly once on each connection", history, _the_end_arrives(history), applies=applies)


def no_seam(history: History) -> Finding:
    """A subscriber sees the snapshot, then only newer states: none twice, none missing at the join."""
    return judge(
        "no seam",
        "the newest state at the join, then newer ones",
        history,
        _no_seam(history),
        applies=_follows_anything(history),
    )


def privacy(history: History) -> Finding:
    """Nobody gets a message about an upload that the access rule does not give them, or that they never asked for.

    A server that ran before may know of uploads that the run does not, and that its users asked for at another time.
    """
    asks = any(client.subscribes for client in history.began.clients.values())
    return judge("privacy", "nobody learns of what is not theirs", history, _privacy(history), applies=asks)


def independence(history: History) -> Finding:
    """Whoever reads gets states in time, and what waits for anybody stays within bounds."""
    return judge(
        "independence",
        "nobody waits for somebody slow, and what waits is bounded",
        history,
        _independence(history),
        applies=_follows_anything(history, promptly=True),
    )


def no_residue(history: History) -> Finding:
    """When everybody has left, every table is empty.

    A server that ran before must have no more in them than it had. Where others came to it meanwhile, nobody can say whose the
    rest is.
    """
    about = "nothing of this run is left" if history.began.shared else "every table is empty"
    return judge("no residue", f"{about} when all have left", history, _no_residue(history))


LAWS: tuple[Callable[[History], Finding], ...] = (
    order,
    convergence,
    the_end_arrives,
    no_seam,
    privacy,
    independence,
    no_residue,
)


def check_laws(history: History) -> list[Finding]:
    """Every law, in the order of the design, and what must hold in every run beside them."""
    return [law(history) for law in (*LAWS, documented, taken)]


# The samples of each.


def _order(history: History) -> Iterator[Seen]:
    for window in history.windows:
        before: Received | None = None
        version_before: Version | None = None
        for state in window.states:
            wrong, version = None, state.version
            if version is None:
                wrong = f"{_who(window)} got a state of {_what(history, window)} without a version"
            elif before is not None and version_before is not None and version <= version_before:
                wrong = f"{_who(window)} got {show(state)} of {_what(history, window)} after {show(before)}"
            yield _seen(window, state, wrong)
            before, version_before = state, version


def _convergence(history: History) -> Iterator[Seen]:
    for window, newest in _quiet_ends(history):
        last = window.states[-1] if window.states else None
        if last is None or not (history.is_shown(newest, last) or _is_ahead(history, window, newest, last)):
            got = f"the last it got is {show(last)}" if last else "it got nothing"
            yield _seen(
                window,
                last or newest.published,
                f"{show(newest.published)} of {_what(history, window)} is the newest; {_who(window)}: {got}",
            )
        else:
            yield _seen(window, last, None)


def _is_ahead(history: History, window: Window, newest: Accepted, last: Received) -> bool:
    """Whether a state came just before the window ended, of an event whose publisher had no answer yet."""
    is_newer = last.version is not None and last.version > newest.version
    return is_newer and history.end_of(window) < history.due_by(last.at)


def _the_end_arrives(history: History) -> Iterator[Seen]:
    for window in history.windows:
        ends: dict[int, Received] = {}
        newest_attempt = 0
        for state in window.states:
            if state.attempt is None:
                continue
            wrong = None
            if state.attempt in ends and state.terminal:
                wrong = f"{_who(window)} got the end of attempt {state.attempt} of {_what(history, window)} twice"
            elif state.attempt in ends:
                wrong = f"{_who(window)} got {show(state)} of {_what(history, window)} after the end of its attempt"
            elif state.terminal and state.attempt < newest_attempt:
                wrong = f"{_who(window)} got an end of {_what(history, window)} after something of a newer attempt"
            if state.terminal:
                ends.setdefault(state.attempt, state)
            if state.terminal or wrong is not None:
                yield _seen(window, state, wrong)
            newest_attempt = max(newest_attempt, state.attempt)
    for window, newest in _quiet_ends(history):
        if newest.published.terminal:
            came = any(state.terminal and history.is_shown(newest, state) for state in window.states)
            wrong = None if came else f"{_who(window)} never got the end of {_what(history, window)}, {show(newest.published)}"
            yield _seen(window, newest.published, wrong)


def _no_seam(history: History) -> Iterator[Seen]:
    for window in history.owed():
        if window.cause == "unknown":
            continue
        before = _was_withheld(history, window)
        joined = history.newest(window.upload_id, by=window.start)
        lasted = history.end_of(window) >= history.due_by(max(window.start, history.reads_since(window)))
        first = window.states[0] if window.states else None
        wrong = None
        record: Record | None = first
        what = _what(history, window)
        if before is not None and window.known is False:
            wrong = f"{_who(window)} was told that nothing is known of {what}, which was at {show(before.published)}"
            record = _answer(window) or before.published
        elif before is not None and first is not None:
            wrong = f"{_who(window)} began with {show(first)} of {what}, which was at {show(before.published)}"
        elif first is None and (joined is not None or window.known) and lasted:
            wrong = f"{_who(window)} joined and never got the state of {what}"
            record = _answer(window) or (joined.published if joined else history.records[-1])
        elif joined is not None and lasted and not _reached(history, window, joined):
            wrong = f"{_who(window)} joined {what} at {show(joined.published)}, and soon after had nothing as new"
        yield from _twice(history, window)
        if record is not None:
            yield _seen(window, record, wrong)


def _was_withheld(history: History, window: Window) -> Accepted | None:
    """The newest state when the connection asked, where it was told of an older one, or of none.

    What another node has judged comes to a node that watches the upload a moment later: where it just had been, and came soon,
    nothing was withheld.
    """
    newest = history.newest(window.upload_id, by=window.asked_at)
    if newest is None or history.is_disturbed(window.asked_at) or history.is_disturbed(window.start):
        return None
    first = window.states[0].version if window.states else None
    if window.known is not False and (first is None or first >= newest.version):
        return None
    due = history.due_by(newest.at)
    came = any(state.version is not None and state.version >= newest.version and state.at <= due for state in window.states)
    return None if came and window.asked_at <= due else newest


def _reached(history: History, window: Window, owed: Accepted) -> bool:
    """Whether the connection got this state or a newer one, and soon, unless it reads slowly, or the state was lost."""
    until = history.end_of(window) if history.is_slow(window) else history.due_by(window.start)
    return history.may_be_lost(owed.published, by=until) or any(
        state.version is not None and state.version >= owed.version and state.at <= until for state in window.states
    )


def _twice(history: History, window: Window) -> Iterator[Seen]:
    seen = set()
    for state in window.states:
        version = (state.attempt, state.seq)
        if version in seen:
            yield _seen(window, state, f"{_who(window)} got {show(state)} of {_what(history, window)} twice")
        seen.add(version)


def _privacy(history: History) -> Iterator[Seen]:
    asked: set[tuple[str, str]] = set()
    for record in history.records:
        if not isinstance(record, Received | Sent) or record.upload_id is None:
            continue
        number, upload_id = record.connection, record.upload_id
        connection = history.connections[number]
        user = connection.user
        if isinstance(record, Sent):
            asked.add((user, upload_id))
            continue
        upload = history.upload(upload_id)
        wrong = None
        if upload is None:
            if history.began.shared:
                continue  # what the user follows from before
            wrong = f"{connection.client} got {record.action} of an upload that does not exist"
        elif not history.gives(user, upload_id) and (record.is_state or record.known or record.code == "forbidden"):
            wrong = f"{connection.client} got {record.action} of {upload.name}, which is {upload.owner}'s"
        elif (user, upload_id) not in asked and not history.began.shared:
            wrong = f"{connection.client} got {record.action} of {upload.name}, which {user} never asked for"
        yield Seen(wrong, record, number, upload_id)


def _independence(history: History) -> Iterator[Seen]:
    sizes = [published.size_bytes for published in history.published]
    bound = history.began.waiting_bytes_max + len(history.began.uploads) * (max(sizes, default=0) + 128)
    if not history.began.shared:
        for record in history.of(Measured):
            waiting = record.tables.get("outbox_bytes_max")
            wrong = "the server does not say how much waits for one connection" if waiting is None else None
            if waiting is not None and waiting > bound:
                wrong = f"{waiting} bytes wait for one connection, and {bound} may"
            yield Seen(wrong, record)
    for window in history.owed():
        if not history.is_slow(window):
            yield from _lateness(history, window)


def _lateness(history: History, window: Window) -> Iterator[Seen]:
    """How old the oldest event was of those that each state was the first to show, itself or one that it took the place of."""
    events = iter(history.accepted(window.upload_id))
    event = next(events, None)
    for state in window.states:
        oldest, version = None, state.version
        while event is not None and version is not None and event.version <= version:
            was_owed = event.published.verdict == "accepted" and not history.may_be_lost(event.published, by=state.at)
            if oldest is None and was_owed:
                oldest = event.published
            event = next(events, None)
        if oldest is None:
            continue
        owed_at = max(oldest.sent_at, window.start)
        wrong = None
        if state.at > history.due_by(owed_at):
            what = "it" if oldest.version == version else show(oldest)
            late = f"{state.at - owed_at:.1f} s after {what} was published"
            wrong = f"{_who(window)} got {show(state)} of {_what(history, window)} {late}"
            wrong += "" if what == "it" else ", and nothing new before"
        yield _seen(window, state, wrong)


MUST_BE_EMPTY = ("connections", "unauthenticated", "users", "uploads", "follows", "watches", "outbox_bytes")


def _no_residue(history: History) -> Iterator[Seen]:
    for record in history.of(Emptied):
        left = [f"{count} {name}" for name in MUST_BE_EMPTY if (count := record.tables.get(name, 0))]
        if (record.tables.get("heads") or 0) > len(history.began.uploads):
            left.append(f"{record.tables['heads']} heads")
        missing = [name for name in MUST_BE_EMPTY if name not in record.tables]
        wrong = f"everybody has left, and there still are {', '.join(left)}" if left and not record.others else None
        yield Seen(f"the server does not say how full {', '.join(missing)} is" if missing else wrong, record)


def _quiet_ends(history: History) -> Iterator[tuple[Window, Accepted]]:
    """Windows that went on for long enough after their upload's last event, with its newest state then."""
    for window in history.owed():
        end = history.end_of(window)
        newest = history.newest(window.upload_id, by=end)
        if newest is None or end < history.due_by(max(newest.at, window.start)):
            continue
        if any(accepted.at <= end < history.due_by(accepted.at) for accepted in history.accepted(window.upload_id)):
            continue
        if end - history.reads_since(window) < history.soon_s and all(
            not history.is_shown(newest, state) for state in window.states
        ):
            continue  # it may still be on its way
        yield window, newest


def _is_followed(history: History, upload_id: str, *, promptly: bool = False) -> bool:
    """Whether anybody who may will follow the upload; ``promptly``: and will be told in time what this run publishes of it."""
    if promptly and not history.began.uploads[upload_id].published:
        return False
    clients = [client for client in history.began.clients.values() if not (promptly and client.reads_slowly)]
    return any(upload_id in client.subscribes and history.gives(client.user, upload_id) for client in clients)


def _follows_anything(history: History, *, promptly: bool = False) -> bool:
    return any(_is_followed(history, upload_id, promptly=promptly) for upload_id in history.began.uploads)


def _answer(window: Window) -> Received | None:
    """The ``subscribed`` that opened the window."""
    answers = (record for record in window.connection.records if isinstance(record, Received) and record.known is not None)
    return next((answer for answer in answers if (answer.upload_id, answer.at) == (window.upload_id, window.start)), None)


def _seen(window: Window, record: Record, wrong: str | None) -> Seen:
    return Seen(wrong, record, window.connection.number, window.upload_id)


def _who(window: Window) -> str:
    return f"{window.connection.client} (connection {window.connection.number})"


def _what(history: History, window: Window) -> str:
    upload = history.upload(window.upload_id)
    return upload.name if upload is not None else "an unknown upload"
