"""A log, arranged for judging: by connection, by upload, and by what each connection was owed (SEMANTICS.md section 2).

The laws count per connection and upload from the latest of: its join, its own subscribe, the start of the follow. Such a span
is a :class:`Window` here. A log is of the clients' side, so it knows of a follow only what clients saw of it; where that does
not decide whether a follow was in place (everybody had been gone for the grace time), the window is not ``certain``: what it
got is judged, and nothing is owed to it.
"""

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.format.faults import REDIS, FaultName
from vuemantics_ws.simulation.judging.losses import Loss, kept
from vuemantics_ws.simulation.log import (
    STATES,
    Authenticated,
    Began,
    Closed,
    FaultBegan,
    FaultEnded,
    Log,
    Measured,
    NodeExited,
    Opened,
    Published,
    Received,
    Record,
    Sent,
    Undocumented,
    Unreachable,
    Unsent,
    UploadFacts,
)

R = TypeVar("R", bound=Record)

SOON_S = 1.0
"""What is owed must have come after so long: a delivery takes milliseconds, a busy machine may take its time."""

RECOVERS_S = 5.0
"""How long after a fault has ended things may still be on their way: somebody has to notice, to connect, and to look at what
was missed.
"""

DISTURBS = frozenset(
    {
        *("node.pause", "redis.down", "redis.hang", "redis.restart", "redis.flush", "redis.kill_pubsub", "redis.failover"),
        "partition",
    }
)
"""The faults while which nothing need come soon. Those that end connections are none of them: who comes back is owed what
everybody is who joins.
"""

KEEPS_FROM_REDIS = frozenset({"redis.down", "redis.hang", "redis.restart", "redis.failover"})
"""The faults while which no node can tell Redis anything."""

Cause = Literal["join", "subscribe", "follow", "unknown"]


@dataclass(slots=True)
class Connection:
    """One socket of one client."""

    number: int
    client: str
    user: str
    opened_at: float
    node: str
    authenticated_at: float | None = None
    closed: Closed | None = None
    records: list[Record] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Window:
    """A connection receives an upload. ``certain``: its server owes it the upload's states.

    ``asked_at`` is before whatever the server did, ``start`` after it: the subscribe was sent and answered, the socket opened
    and authenticated. ``known`` is what the ``subscribed`` said. ``end`` is when it gave the upload up, or asked again, or
    closed; what was still open has the log's end.
    """

    connection: Connection
    upload_id: str
    cause: Cause
    asked_at: float
    start: float
    certain: bool
    known: bool | None = None
    end: float | None = None
    states: list[Received] = field(default_factory=list)


class Disturbance(NamedTuple):
    """A fault went on from ``begins`` until ``ends``, which is infinite as long as it does."""

    number: int
    do: FaultName
    target: str
    begins: float
    ends: float


class Accepted(NamedTuple):
    """An event that its server took. ``at`` is when it said so.

    ``anew``: what was there before had been lost, and it was taken as if nothing had been. A node that knows better tells so,
    and then this has another version, or was never news.
    """

    version: Version
    at: float
    published: Published
    anew: bool = False


class History:
    """Arranges a log. Reading it twice gives the same, and so does taking what comes later one record after the other.

    Args:
        records: a log, or its beginning: first its :class:`Began`.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        taken = iter(records)
        began = next(taken, None)
        if not isinstance(began, Began):
            raise ValueError("expected a log that begins with its Began")
        self.began: Began = began
        self.records: list[Record] = [began]
        self._of_kind: dict[type[Any], list[Any]] = {Began: [began]}
        self.soon_s = SOON_S
        """The same for this run: an observer that was late saw everything late."""
        self.faults: list[Disturbance] = []
        """All of them, in the order in which they began."""
        self.loses_data = False
        """Whether a fault took heads away that had been kept."""
        self.joined = 0
        """How many connections have authenticated."""
        self.connections: dict[int, Connection] = {}
        self.windows: list[Window] = []
        self._windows_of: dict[str, list[Window]] = {}
        self.published: list[Published] = []
        self.unreachable: dict[str, list[Unreachable]] = {}
        """By client: its tries to connect that came to nothing."""
        self.unsent: dict[tuple[str, str], Unsent] = {}
        """By client and upload: the last subscribe that it dropped."""
        self._accepted: dict[str, list[Accepted]] = {}
        self._newest: dict[str, list[Accepted]] = {}
        self._losses: list[Loss] = []
        self._kept: dict[tuple[str, Loss], tuple[int, Version | None]] = {}
        """What was kept, and how many records there were when that was found out."""
        self._open: dict[tuple[int, str], Window] = {}
        self._asked: dict[tuple[int, str], list[float]] = {}
        """When connections asked for what was not answered yet."""
        self._left_asking: dict[tuple[str, str], float] = {}
        """By user and upload: when a connection first asked that went before it was answered."""
        self._withdrawn: dict[tuple[int, str], int] = {}
        """How many of those that wait for their answers were given up again before it came."""
        self._giving_up: dict[tuple[int, str], int] = {}
        """How often a connection gave an upload up, and that was not answered yet."""
        self._follows: dict[str, dict[str, None]] = {}
        self._present: dict[str, dict[int, Connection]] = {}
        self._left_at: dict[str, float] = {}
        self._uncertain: set[str] = set()
        self._lost_data_at = -math.inf
        self._takes: dict[type[Record], Callable[[Any], None]] = {
            Opened: self._open_connection,
            Authenticated: self._join,
            Sent: self._ask,
            Unsent: self._drop,
            Unreachable: self._miss,
            Received: self._receive,
            Undocumented: self._note,
            Closed: self._leave,
            Published: self._publish,
            Measured: self._measure,
            NodeExited: self._exit,
            FaultBegan: self._begin_fault,
            FaultEnded: self._end_fault,
        }
        for record in taken:
            self.take(record)

    @property
    def ends_at(self) -> float:
        """The time of the last record."""
        return self.records[-1].at

    def take(self, record: Record) -> None:
        """The next record of the log."""
        kind = type(record)
        self.records.append(record)
        of_kind = self._of_kind.get(kind)
        if of_kind is None:
            self._of_kind[kind] = [record]
        else:
            of_kind.append(record)
        take = self._takes.get(kind)
        if take is not None:
            take(record)

    def of(self, kind: type[R]) -> Sequence[R]:
        """All records of one kind, in the order of the log."""
        return self._of_kind.get(kind, ())

    def upload(self, upload_id: str) -> UploadFacts | None:
        return self.began.uploads.get(upload_id)

    def gives(self, user: str, upload_id: str) -> bool:
        """Whether the access rule gives the user this upload."""
        upload = self.upload(upload_id)
        return upload is not None and (self.began.access == "open" or upload.owner == user)

    def accepted(self, upload_id: str) -> list[Accepted]:
        """What was accepted of an upload, in the order of the answers."""
        return self._accepted.get(upload_id, [])

    def newest(self, upload_id: str, *, by: float) -> Accepted | None:
        """The newest of what the server had answered by then. None where that may have been lost since."""
        newest = self._newest.get(upload_id, [])
        if self._losses:
            newest = self._newest_of_what_was_kept(upload_id)
        place = bisect.bisect_right(newest, by, key=lambda accepted: accepted.at)
        if not place or self.may_be_lost(newest[place - 1].published, by=by):
            return None
        return newest[place - 1]

    def may_be_lost(self, event: Published, *, by: float) -> bool:
        """Whether an event that was taken may be gone by then, from Redis and from all nodes."""
        return any(loss.befalls(event, by=by) and not self._is_kept(event, loss) for loss in self._losses)

    def may_be_unknown(self, event: Published, to: Published) -> bool:
        """Whether an event may have been judged without an earlier one: that was lost, or no node had given it back yet."""
        return any(
            loss.befalls(event, by=to.at) and (to.sent_at <= self.due_by(loss.at) or not self._is_kept(event, loss))
            for loss in self._losses
        )

    def is_shown(self, owed: Accepted, state: Received) -> bool:
        """Whether a state is the one that is owed, under another version where data were lost."""
        if state.version == owed.version:
            return True
        if shows(state, owed.published):
            return self.has_lost_data(by=state.at)
        known = (each for each in self.accepted(owed.published.upload_id) if owed.anew and each.version == state.version)
        return any(self.may_be_unknown(each.published, owed.published) for each in known)

    def has_lost_data(self, *, by: float) -> bool:
        """Whether an event may have come to have two versions by then, which is so where the judge has forgotten it."""
        return any(loss.at <= by for loss in self._losses)

    def end_of(self, window: Window) -> float:
        return self.ends_at if window.end is None else window.end

    def due_by(self, at: float) -> float:
        """By when what is owed from this time on must have come: soon, or soon after the faults that went on until then."""
        due = at + self.soon_s
        for fault in self.faults:
            recovered = fault.ends + RECOVERS_S
            if fault.do in DISTURBS and fault.begins <= due and at <= recovered:
                due = max(due, recovered + self.soon_s)
        return due

    def is_disturbed(self, at: float) -> bool:
        """Whether a fault went on then, or had just ended."""
        return self.due_by(at) > at + self.soon_s

    def is_slow(self, window: Window) -> bool:
        """Whether nothing can be said of how soon this connection gets what it is owed. All else holds for it, too."""
        return self.began.clients[window.connection.client].reads_slowly

    def reads_since(self, window: Window) -> float:
        """Since when the connection reads all that comes, so that what it is owed must have come soon after; infinite where
        nothing can be said.
        """
        client = self.began.clients[window.connection.client]
        if not client.reads_slowly:
            return 0.0
        return math.inf if client.reads_again_at is None else client.reads_again_at

    def owed(self) -> Iterable[Window]:
        """The windows in which the server owes something: a follow is in place, and the access rule gives the upload."""
        return (window for window in self.windows if window.certain and self.gives(window.connection.user, window.upload_id))

    def about(self, connection: int | None, upload_id: str | None, *, until: Record, last: int = 20) -> list[Record]:
        """The last records about a connection or an upload up to this one, which comes last, and what was broken meanwhile."""
        found: list[Record] = []
        for record in self.records:
            same_connection = connection is not None and getattr(record, "connection", None) == connection
            same_upload = upload_id is not None and getattr(record, "upload_id", None) == upload_id
            alone = upload_id is None or getattr(record, "upload_id", None) is None
            if same_upload or (same_connection and alone) or isinstance(record, FaultBegan | FaultEnded):
                found.append(record)
            if record is until:
                break
        if not found or found[-1] is not until:
            found.append(until)
        return found[-last:]

    # One record after the other.

    def _open_connection(self, record: Opened) -> None:
        user = self.began.clients[record.client].user
        connection = Connection(record.connection, record.client, user, record.at, record.node)
        connection.records.append(record)
        self.connections[record.connection] = connection

    def _note(self, record: Undocumented) -> None:
        self.connections[record.connection].records.append(record)

    def _measure(self, record: Measured) -> None:
        self.soon_s = max(self.soon_s, SOON_S + record.lag_s)

    def _newest_of_what_was_kept(self, upload_id: str) -> list[Accepted]:
        newest: list[Accepted] = []
        for accepted in self.accepted(upload_id):
            if not newest or accepted.version > newest[-1].version:
                newest.append(accepted)
            elif self.may_be_unknown(newest[-1].published, accepted.published):
                newest.append(accepted._replace(anew=accepted.version < newest[-1].version))
        return newest

    def _is_kept(self, event: Published, loss: Loss) -> bool:
        upload_id = event.upload_id
        found_at, version = self._kept.get((upload_id, loss), (0, None))
        if found_at != len(self.records):
            windows = [
                window
                for window in self._windows_of.get(upload_id, ())
                if window.certain and self.gives(window.connection.user, upload_id)
            ]
            version = kept(loss, windows, self.accepted(upload_id), self.due_by)
            self._kept[upload_id, loss] = len(self.records), version
        return version is not None and event.version is not None and event.version <= version

    def _begin_fault(self, record: FaultBegan) -> None:
        self.faults.append(Disturbance(record.number, record.do, record.target, record.at, math.inf))
        self.loses_data = self.loses_data or record.loses_data
        if record.loses_data:  # nobody is there who knows what those follow who are away
            self._lost_data_at = record.at
            self._losses.append(Loss(record.at, record.at - record.behind_s if record.behind_s else -math.inf))
            for user in self._follows:
                if not self._present.get(user):
                    self._distrust(user)

    def _exit(self, record: NodeExited) -> None:
        """This node may not have told yet what its users follow, and nobody else knew: of all, where data was lost just before;
        of what they asked for since, where it could not reach Redis.
        """
        for fault in self.faults:
            if _keeps_from_redis(record.node, fault) and fault.begins <= record.at <= fault.ends + RECOVERS_S:
                asked = [each for each in self.windows if each.cause == "subscribe" and each.start >= fault.begins]
                for window in asked:
                    if window.connection.node == record.node:
                        self._distrust(window.connection.user)
        lost_at = self._lost_data_at
        if record.at - lost_at <= RECOVERS_S:
            for connection in self.connections.values():
                if connection.node == record.node and (connection.closed is None or connection.closed.at >= lost_at):
                    self._distrust(connection.user)

    def _end_fault(self, record: FaultEnded) -> None:
        self.faults = [fault._replace(ends=record.at) if fault.number == record.number else fault for fault in self.faults]

    def _publish(self, record: Published) -> None:
        self.published.append(record)
        if record.verdict not in ("accepted", "duplicate") or record.version is None:
            return
        newest = self._newest.setdefault(record.upload_id, [])
        is_old = bool(newest) and record.version <= newest[-1].version
        if record.verdict == "duplicate" and is_old and not self.may_be_unknown(newest[-1].published, record):
            return  # a duplicate that is new was accepted when it was sent the first time, and that answer was lost
        self._accept(record, record.version)

    def _accept(self, record: Published, version: Version) -> None:
        newest = self._newest.setdefault(record.upload_id, [])
        accepted = Accepted(version, record.at, record)
        self._accepted.setdefault(record.upload_id, []).append(accepted)
        if not newest or accepted.version > newest[-1].version:
            newest.append(accepted)

    def _presume(self, record: Received, upload_id: str) -> None:
        """An end that the server made, since nothing was heard of the upload for so long, is as good as published."""
        newest, version = self._newest.get(upload_id), record.version
        if not self.began.stall_after_s or record.action != "upload_failed" or version is None or not newest:
            return
        last = newest[-1].published
        is_next = version == (newest[-1].version.attempt, newest[-1].version.seq + 1)
        if is_next and not last.terminal and record.at - last.sent_at >= self.began.stall_after_s:
            self._accept(_as_published(record, upload_id, version), version)

    def _join(self, record: Authenticated) -> None:
        connection, at = self.connections[record.connection], record.at
        connection.records.append(record)
        connection.authenticated_at = at
        self.joined += 1
        user = connection.user
        present = self._present.setdefault(user, {})
        if not present and at - self._left_at.get(user, at) >= self.began.grace_s and user in self._left_at:
            self._follows.pop(user, None)
        present[connection.number] = connection
        for upload_id in self._follows.get(user, ()):
            self._open_window(Window(connection, upload_id, "join", connection.opened_at, at, user not in self._uncertain))

    def _ask(self, record: Sent) -> None:
        connection = self.connections[record.connection]
        connection.records.append(record)
        key = (connection.number, record.upload_id)
        if record.action == "subscribe_upload":
            self._asked.setdefault(key, []).append(record.at)
            return
        if connection.authenticated_at is None:
            return  # whose it would be is not known yet
        connection.given_up.add(record.upload_id)
        self._withdrawn[key] = len(self._asked.get(key, ()))
        self._giving_up[key] = self._giving_up.get(key, 0) + 1
        self._close_window(key, record.at)
        present = self._present.get(connection.user, {}).values()
        if all(record.upload_id in other.given_up for other in present):
            self._follows.get(connection.user, {}).pop(record.upload_id, None)

    def _drop(self, record: Unsent) -> None:
        if record.action == "subscribe_upload":
            self.unsent[record.client, record.upload_id] = record

    def _miss(self, record: Unreachable) -> None:
        self.unreachable.setdefault(record.client, []).append(record)

    def _receive(self, record: Received) -> None:
        connection = self.connections[record.connection]
        connection.records.append(record)
        upload_id = record.upload_id
        if upload_id is None:
            return
        if record.action in STATES:
            window = self._open.get((record.connection, upload_id))
            if window is None:
                if upload_id in connection.given_up:
                    return  # it was on its way
                window = Window(connection, upload_id, "unknown", record.at, record.at, certain=False)
                self._open_window(window)
            window.states.append(record)
            if record.terminal:
                self._presume(record, upload_id)
        elif record.action == "subscribed":
            self._follow(connection, record)
        elif record.action == "unsubscribed":
            self._giving_up[record.connection, upload_id] = self._giving_up.get((record.connection, upload_id), 1) - 1

    def _follow(self, connection: Connection, record: Received) -> None:
        upload_id, user = record.upload_id, connection.user
        assert upload_id is not None
        asked = self._asked.get((connection.number, upload_id), [record.at])
        asked_at = asked.pop(0)
        if not asked:
            self._asked.pop((connection.number, upload_id), None)
        if self._withdrawn.get((connection.number, upload_id)):
            self._withdrawn[connection.number, upload_id] -= 1
            return  # it was given up before this came, and nobody can say what the siblings had of it meanwhile
        connection.given_up.discard(upload_id)
        follows = self._follows.setdefault(user, {})
        first = upload_id not in follows
        follows[upload_id] = None
        if len(follows) > self.began.uploads_per_user_max:  # one of them has made room, and nobody was told which
            self._distrust(user)
        certain = user not in self._uncertain
        self._open_window(Window(connection, upload_id, "subscribe", asked_at, record.at, certain, known=record.known))
        if first:
            present = self._present.get(user, {}).values()
            asks = [asks[0] for other in present if (asks := self._asked.get((other.number, upload_id)))]
            left_asking = self._left_asking.pop((user, upload_id), asked_at)
            # Whoever reads slowly may have asked before and be answered after, and whoever has left may have been heard.
            first_asked_at = min([asked_at, left_asking, *asks])
            for other in present:
                if other is not connection and upload_id not in other.given_up:
                    self._start_following(other, upload_id, first_asked_at, record.at, certain=certain)

    def _start_following(self, other: Connection, upload_id: str, asked_at: float, at: float, *, certain: bool) -> None:
        """A follow began on a sibling, whose head may have come here before the answer came there."""
        window = self._open.get((other.number, upload_id))
        if window is None:
            self._open_window(Window(other, upload_id, "follow", asked_at, at, certain))
        else:
            window.cause, window.start, window.certain = "follow", at, certain
            window.asked_at = min(window.asked_at, asked_at)

    def _distrust(self, user: str) -> None:
        self._uncertain.add(user)
        for window in self._open.values():
            if window.connection.user == user:
                window.certain = False

    def _leave(self, record: Closed) -> None:
        connection = self.connections[record.connection]
        connection.records.append(record)
        connection.closed = record
        for key in [key for key in self._open if key[0] == connection.number]:
            self._close_window(key, record.at)
        for key in [key for key in self._asked if key[0] == connection.number]:
            of_user = (connection.user, key[1])
            self._left_asking[of_user] = min(self._left_asking.get(of_user, record.at), self._asked.pop(key)[0])
        present = self._present.get(connection.user, {})
        if present.pop(connection.number, None) is None:
            return
        if not present:
            self._left_at[connection.user] = record.at
        for upload_id in [*self._follows.get(connection.user, ())]:
            if present and all(self._giving_up.get((number, upload_id), 0) for number in present):
                del self._follows[connection.user][upload_id]  # whether this went before the last gave it up nobody can say

    def _open_window(self, window: Window) -> None:
        key = (window.connection.number, window.upload_id)
        self._close_window(key, window.start)
        self._open[key] = window
        self.windows.append(window)
        self._windows_of.setdefault(window.upload_id, []).append(window)

    def _close_window(self, key: tuple[int, str], at: float) -> None:
        window = self._open.pop(key, None)
        if window is not None:
            window.end = at


class LiveHistory:
    """The history of a log that goes on. Each record is arranged once, when it comes."""

    def __init__(self, log: Log) -> None:
        self._history = History(log) if len(log) else None
        log.listen(self._take)

    @property
    def has_begun(self) -> bool:
        return self._history is not None

    @property
    def history(self) -> History:
        """As it is now; it goes on to grow. There is one only once the log has begun."""
        assert self._history is not None
        return self._history

    def _take(self, record: Record) -> None:
        if self._history is None:
            self._history = History([record])
        else:
            self._history.take(record)


def shows(state: Received, said: Published) -> bool:
    """Whether a state is as it was published, whatever its version."""
    if state.terminal or said.terminal:
        return state.action == said.action
    return state.stage == said.stage and state.percent == said.percent


def _keeps_from_redis(node: str, fault: Disturbance) -> bool:
    return fault.do in KEEPS_FROM_REDIS or (fault.do == "partition" and fault.target == f"{node} and {REDIS}")


def _as_published(record: Received, upload_id: str, version: Version) -> Published:
    return Published(
        at=record.at,
        scheduled_at=record.at,
        sent_at=record.at,
        upload_id=upload_id,
        action=record.action,
        terminal=record.terminal,
        size_bytes=0,
        verdict="accepted",
        attempt=version.attempt,
        seq=version.seq,
    )
