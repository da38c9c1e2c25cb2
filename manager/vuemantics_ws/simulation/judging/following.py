"""Who receives which upload, and since when, as far as clients can see it (SEMANTICS.md section 2).

The laws count per connection and upload from the latest of: its join, its own subscribe, the start of the follow. Such a span
is a :class:`Window` here. A log is of the clients' side, so it knows of a follow only what clients saw of it; where that does
not decide whether a follow was in place (everybody had been gone for the grace time), the window is not ``certain``: what it
got is judged, and nothing is owed to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from vuemantics_ws.simulation.log import STATES, Authenticated, Began, Closed, Opened, Received, Record, Sent, Undocumented

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


class Following:
    """Takes what clients said and heard, in the order of the log."""

    def __init__(self, began: Began) -> None:
        self.connections: dict[int, Connection] = {}
        self.windows: list[Window] = []
        self.joined = 0
        """How many connections have authenticated."""
        self._began = began
        self._windows_of: dict[str, list[Window]] = {}
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

    def gives(self, user: str, upload_id: str) -> bool:
        """Whether the access rule gives the user this upload."""
        upload = self._began.uploads.get(upload_id)
        return upload is not None and (self._began.access == "open" or upload.owner == user)

    def owed(self, upload_id: str) -> Iterator[Window]:
        """The windows in which the server owes somebody this upload."""
        return (window for window in self._windows_of.get(upload_id, ()) if self.is_owed(window))

    def is_owed(self, window: Window) -> bool:
        """Whether a follow is in place, and the access rule gives the upload."""
        return window.certain and self.gives(window.connection.user, window.upload_id)

    def distrust(self, user: str) -> None:
        """From now on nobody can say what the user follows."""
        self._uncertain.add(user)
        for window in self._open.values():
            if window.connection.user == user:
                window.certain = False

    def distrust_whoever_is_away(self) -> None:
        for user in self._follows:
            if not self._present.get(user):
                self.distrust(user)

    # One record after the other.

    def open(self, record: Opened) -> None:
        user = self._began.clients[record.client].user
        connection = Connection(record.connection, record.client, user, record.at, record.node)
        connection.records.append(record)
        self.connections[record.connection] = connection

    def note(self, record: Undocumented) -> None:
        self.connections[record.connection].records.append(record)

    def join(self, record: Authenticated) -> None:
        connection, at = self.connections[record.connection], record.at
        connection.records.append(record)
        connection.authenticated_at = at
        self.joined += 1
        user = connection.user
        present = self._present.setdefault(user, {})
        if not present and at - self._left_at.get(user, at) >= self._began.grace_s and user in self._left_at:
            self._follows.pop(user, None)
        present[connection.number] = connection
        for upload_id in self._follows.get(user, ()):
            self._open_window(Window(connection, upload_id, "join", connection.opened_at, at, user not in self._uncertain))

    def ask(self, record: Sent) -> None:
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

    def receive(self, record: Received) -> None:
        connection, upload_id = self.connections[record.connection], record.upload_id
        connection.records.append(record)
        if upload_id is None:
            return
        key = (record.connection, upload_id)
        if record.action in STATES:
            if key not in self._open and upload_id not in connection.given_up:  # else it was on its way
                self._open_window(Window(connection, upload_id, "unknown", record.at, record.at, certain=False))
            if key in self._open:
                self._open[key].states.append(record)
        elif record.action == "subscribed":
            self._follow(connection, upload_id, record)
        elif record.action == "unsubscribed":
            self._giving_up[key] = self._giving_up.get(key, 1) - 1

    def leave(self, record: Closed) -> None:
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

    def _follow(self, connection: Connection, upload_id: str, record: Received) -> None:
        user, key = connection.user, (connection.number, upload_id)
        asked = self._asked.get(key, [record.at])
        asked_at = asked.pop(0)
        if not asked:
            self._asked.pop(key, None)
        if self._withdrawn.get(key):
            self._withdrawn[key] -= 1
            return  # it was given up before this came, and nobody can say what the siblings had of it meanwhile
        connection.given_up.discard(upload_id)
        follows = self._follows.setdefault(user, {})
        first = upload_id not in follows
        follows[upload_id] = None
        if len(follows) > self._began.uploads_per_user_max:  # one of them has made room, and nobody was told which
            self.distrust(user)
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
