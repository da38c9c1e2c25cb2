"""The tables that a person may look at, as rows made of the live tables when somebody looks."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

from vuemantics_ws.core.registry import Upload, User
from vuemantics_ws.core.upload import Head
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.port import Phase
from vuemantics_ws.gateway.progress import percent_of, stage_and_percent_of, state_of
from vuemantics_ws.gateway.query import Fields, Kind, Read
from vuemantics_ws.gateway.view import Looked, View

STALLED_S = 5.0
"""A connection that has taken nothing for so long is stalled; before, it is slow."""

SHOWN_MAX = 20
"""Of many followers or follows, so many are shown."""


class ConnectionsView(View[Connection]):
    """A row a socket of the public port."""

    kinds: ClassVar[Fields] = {
        "connection": Kind.NUMBER, "user": Kind.TEXT, "state": Kind.TEXT, "address": Kind.TEXT,
        "age": Kind.DURATION, "age_s": Kind.DURATION, "sent": Kind.NUMBER, "sent_bytes": Kind.SIZE,
        "conflated": Kind.NUMBER, "pending": Kind.SIZE, "pending_bytes": Kind.SIZE, "behind": Kind.DURATION,
        "behind_s": Kind.DURATION, "silent": Kind.DURATION, "silent_s": Kind.DURATION, "uploads": Kind.NUMBER,
        "node": Kind.TEXT,
    }  # fmt: skip

    def __init__(self, node: Looked) -> None:
        self._node = node.name
        self._connections = node.connections
        self._users: dict[str, User[Any]] = node.manager.registry.users
        self._now = node.timers.now()

    @property
    def fields(self) -> Mapping[str, Read]:
        now = self._now
        read: dict[str, Read] = {
            "connection": lambda row: row.number,
            "user": lambda row: row.user_id,
            "state": self._state,
            "address": lambda row: row.peer_address,
            "age": lambda row: now - row.opened_at,
            "sent": lambda row: row.sent,
            "sent_bytes": lambda row: row.sent_bytes,
            "conflated": lambda row: row.conflated,
            "pending": lambda row: row.pending_bytes,
            "behind": lambda row: row.behind_s(now),
            "silent": lambda row: row.silent_s(now),
            "uploads": self._uploads,
            "node": lambda row: self._node,
        }
        return _also(read, age_s="age", pending_bytes="pending", behind_s="behind", silent_s="silent")

    def rows(self) -> Iterator[Connection]:
        return (connection for connection in list(self._connections) if connection.phase is not Phase.CLOSED)

    def order(self, row: Connection) -> int:
        if not row.is_slow:
            return 2
        return 0 if row.taken_nothing_s(self._now) >= STALLED_S else 1

    def as_json(self, row: Connection) -> dict[str, Any]:
        now = self._now
        return {
            "connection": row.number,
            "user": row.user_id,
            "state": self._state(row),
            "address": row.peer_address,
            "age_s": _seconds(now - row.opened_at),
            "sent": row.sent,
            "sent_bytes": row.sent_bytes,
            "conflated": row.conflated,
            "pending_bytes": row.pending_bytes,
            "behind_s": _seconds(row.behind_s(now)),
            "silent_s": _seconds(row.silent_s(now)),
            "uploads": self._uploads(row),
            "node": self._node,
        }

    def _state(self, row: Connection) -> str:
        if row.phase is Phase.HANDSHAKE:
            return "handshake"
        if row.phase is not Phase.OPEN:
            return "closing"
        if row.is_slow:
            return "stalled" if row.taken_nothing_s(self._now) >= STALLED_S else "slow"
        return "open" if row.user_id is not None else "authenticating"

    def _uploads(self, row: Connection) -> int:
        """How many it receives."""
        user = self._users.get(row.user_id or "")
        if user is None or row not in user.connections:
            return 0
        return len(user.follows) - len(user.connections[row] or ())


class Known(NamedTuple):
    """An upload that somebody follows, or that the broker keeps, or both."""

    upload_id: str
    followed: Upload[Any] | None
    kept: Head | None

    @property
    def head(self) -> Head | None:
        return self.followed.head if self.followed is not None else self.kept


class UploadsView(View[Known]):
    """A row an upload."""

    kinds: ClassVar[Fields] = {
        "upload": Kind.TEXT, "state": Kind.TEXT, "stage": Kind.TEXT, "percent": Kind.PERCENT, "attempt": Kind.NUMBER,
        "seq": Kind.NUMBER, "owner": Kind.TEXT, "followers": Kind.NUMBER, "connections": Kind.NUMBER,
        "rate": Kind.NUMBER, "rate_per_s": Kind.NUMBER, "age": Kind.DURATION, "age_s": Kind.DURATION,
        "accepted": Kind.NUMBER, "duplicate": Kind.NUMBER, "stale": Kind.NUMBER, "after_terminal": Kind.NUMBER,
        "refused": Kind.NUMBER, "node": Kind.TEXTS, "nodes": Kind.TEXTS,
    }  # fmt: skip

    def __init__(self, node: Looked) -> None:
        self._nodes = [node.name]
        self._uploads: dict[str, Upload[Any]] = node.manager.registry.uploads
        self._broker = node.broker
        self._sightings = node.sightings
        self._now = node.clock.monotonic()

    @property
    def fields(self) -> Mapping[str, Read]:
        def seen(name: str) -> Read:
            return lambda row: getattr(self._sightings.get(row.upload_id), name, 0)

        read: dict[str, Read] = {
            "upload": lambda row: row.upload_id,
            "state": lambda row: state_of(row.head),
            "stage": lambda row: stage_and_percent_of(row.head)[0],
            "percent": lambda row: percent_of(row.head),
            "attempt": lambda row: row.head.version.attempt if row.head is not None else None,
            "seq": lambda row: row.head.version.seq if row.head is not None else None,
            "owner": lambda row: row.head.owner if row.head is not None else None,
            "followers": lambda row: len(row.followed.followers) if row.followed is not None else 0,
            "connections": lambda row: _receivers(row.followed),
            "rate": self._rate_per_s,
            "age": self._age_s,
            "node": lambda row: self._nodes,
        }
        counts = ("accepted", "duplicate", "stale", "after_terminal", "refused")
        return _also(read | {name: seen(name) for name in counts}, rate_per_s="rate", age_s="age", nodes="node")

    def rows(self) -> Iterator[Known]:
        # Both as they are at this moment: a look takes long, and meanwhile they change.
        followed, kept = dict(self._uploads), self._broker.unwatched()
        kept = chain(list(islice(kept, 1)), kept)
        for upload in followed.values():
            yield Known(upload.upload_id, upload, None)
        for upload_id, head in kept:
            if upload_id not in followed:
                yield Known(upload_id, self._uploads.get(upload_id), head)

    def order(self, row: Known) -> tuple[int, float]:
        head = row.head
        if head is None:
            return 1, 0
        seen = self._sightings.get(row.upload_id)
        number = seen.number if seen is not None else 0
        return 0 if not head.terminal else 2 if state_of(head) == "failed" else 3, number

    def as_json(self, row: Known) -> dict[str, Any]:
        head = row.head
        stage, percent = stage_and_percent_of(head)
        seen = self._sightings.get(row.upload_id)
        age_s = self._age_s(row)
        return {
            "upload": row.upload_id,
            "state": state_of(head),
            "stage": stage,
            "percent": percent,
            "attempt": head.version.attempt if head is not None else None,
            "seq": head.version.seq if head is not None else None,
            "owner": head.owner if head is not None else None,
            "followers": len(row.followed.followers) if row.followed is not None else 0,
            "connections": _receivers(row.followed),
            "rate_per_s": round(self._rate_per_s(row), 2),
            "age_s": None if age_s is None else _seconds(age_s),
            "accepted": seen.accepted if seen is not None else 0,
            "duplicate": seen.duplicate if seen is not None else 0,
            "stale": seen.stale if seen is not None else 0,
            "after_terminal": seen.after_terminal if seen is not None else 0,
            "refused": seen.refused if seen is not None else 0,
            "nodes": self._nodes if row.followed is not None or row.kept is not None else [],
            "at_most": False,
        }

    def for_merging(self, row: Known) -> dict[str, Any]:
        return {"users": list(islice(row.followed.followers, SHOWN_MAX)) if row.followed is not None else []}

    def find(self, name: str) -> Known | None:
        """Also one that nobody follows here: its events may have been published here."""
        followed = self._uploads.get(name)
        return Known(name, followed, None) if followed is not None or self._sightings.get(name) is not None else None

    def _rate_per_s(self, row: Known) -> float:
        seen = self._sightings.get(row.upload_id)
        return seen.rate_per_s(self._now) if seen is not None else 0.0

    def _age_s(self, row: Known) -> float | None:
        return self._now - row.head.accepted_at if row.head is not None else None


class FollowersView(View[Upload[Any]]):
    """A row an upload that somebody follows, with who does."""

    kinds: ClassVar[Fields] = {
        "upload": Kind.TEXT, "state": Kind.TEXT, "percent": Kind.PERCENT, "followers": Kind.NUMBER,
        "connections": Kind.NUMBER, "user": Kind.TEXTS, "users": Kind.TEXTS, "node": Kind.TEXTS, "nodes": Kind.TEXTS,
    }  # fmt: skip

    def __init__(self, node: Looked) -> None:
        self._nodes = [node.name]
        self._rows: dict[str, Upload[Any]] = node.manager.registry.uploads

    @property
    def fields(self) -> Mapping[str, Read]:
        read: dict[str, Read] = {
            "upload": lambda row: row.upload_id,
            "state": lambda row: state_of(row.head),
            "percent": lambda row: percent_of(row.head),
            "followers": lambda row: len(row.followers),
            "connections": _receivers,
            "user": lambda row: row.followers,
            "node": lambda row: self._nodes,
        }
        return _also(read, users="user", nodes="node")

    def rows(self) -> Iterator[Upload[Any]]:
        return iter(list(self._rows.values()))

    def order(self, row: Upload[Any]) -> int:
        return 0

    def as_json(self, row: Upload[Any]) -> dict[str, Any]:
        return {
            "upload": row.upload_id,
            "state": state_of(row.head),
            "percent": percent_of(row.head),
            "followers": len(row.followers),
            "connections": _receivers(row),
            "users": list(islice(row.followers, SHOWN_MAX)),
            "nodes": self._nodes,
            "at_most": False,
        }

    def find(self, name: str) -> Upload[Any] | None:
        return self._rows.get(name)


class FollowsView(View[User[Any]]):
    """A row a user, with what it follows and which of its connections hold it."""

    kinds: ClassVar[Fields] = {
        "user": Kind.TEXT, "connection": Kind.NUMBERS, "connections": Kind.NUMBER, "uploads": Kind.NUMBER,
        "upload": Kind.TEXTS, "follows": Kind.TEXTS, "state": Kind.TEXTS, "leaves": Kind.DURATION,
        "leaves_in_s": Kind.DURATION, "node": Kind.TEXTS, "nodes": Kind.TEXTS,
    }  # fmt: skip

    def __init__(self, node: Looked) -> None:
        self._nodes = [node.name]
        self._rows: dict[str, User[Any]] = node.manager.registry.users
        self._leaves_in_s = node.manager.leaves_in_s

    @property
    def fields(self) -> Mapping[str, Read]:
        read: dict[str, Read] = {
            "user": lambda row: row.user_id,
            "connection": lambda row: [connection.number for connection in row.connections],
            "connections": lambda row: len(row.connections),
            "uploads": lambda row: len(row.follows),
            "upload": lambda row: row.follows,
            "state": lambda row: (state_of(upload.head) for upload in row.follows.values()),
            "leaves": lambda row: self._leaves_in_s(row.user_id),
            "node": lambda row: self._nodes,
        }
        return _also(read, follows="upload", leaves_in_s="leaves", nodes="node")

    def rows(self) -> Iterator[User[Any]]:
        return iter(list(self._rows.values()))

    def order(self, row: User[Any]) -> int:
        return 0

    def as_json(self, row: User[Any]) -> dict[str, Any]:
        leaves_in_s = self._leaves_in_s(row.user_id)
        return {
            "user": row.user_id,
            "connections": [connection.number for connection in row.connections],
            "uploads": len(row.follows),
            "follows": [_follow(row, upload) for upload in islice(reversed(row.follows.values()), SHOWN_MAX)],
            "leaves_in_s": None if leaves_in_s is None else _seconds(leaves_in_s),
            "nodes": self._nodes,
            "at_most": False,
        }

    def find(self, name: str) -> User[Any] | None:
        return self._rows.get(name)


class NodesView(View[dict[str, Any]]):
    """The row of the node itself."""

    kinds: ClassVar[Fields] = {
        "name": Kind.TEXT, "node": Kind.TEXT, "state": Kind.TEXT, "connections": Kind.NUMBER, "users": Kind.NUMBER,
        "uploads": Kind.NUMBER, "events": Kind.NUMBER, "events_per_s": Kind.NUMBER, "lag": Kind.DURATION,
        "lag_s": Kind.DURATION, "uptime": Kind.DURATION, "uptime_s": Kind.DURATION, "url": Kind.TEXT, "version": Kind.TEXT,
    }  # fmt: skip

    def __init__(self, node: Looked) -> None:
        self._report = node.report()

    @property
    def fields(self) -> Mapping[str, Read]:
        return {name: itemgetter(NODE_NAMES.get(name, name)) for name in self.kinds}

    def rows(self) -> Iterator[dict[str, Any]]:
        return iter([self._report])

    def order(self, row: dict[str, Any]) -> str:
        return str(row["name"])

    def as_json(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "this": True}


NODE_NAMES = {"node": "name", "events": "events_per_s", "lag": "lag_s", "uptime": "uptime_s"}
"""What else fields of a node's row are called."""

VIEWS: dict[str, type[View[Any]]] = {
    "uploads": UploadsView,
    "connections": ConnectionsView,
    "followers": FollowersView,
    "follows": FollowsView,
    "nodes": NodesView,
}


def _follow(user: User[Any], upload: Upload[Any]) -> dict[str, Any]:
    return {
        "upload": upload.upload_id,
        "state": state_of(upload.head),
        "percent": percent_of(upload.head),
        "held_by": [connection.number for connection in user.connections if user.holds(connection, upload.upload_id)],
    }


def _receivers(upload: Upload[Any] | None) -> int:
    """How many open connections receive an upload."""
    return sum(1 for _ in upload.receivers()) if upload is not None else 0


def _also(read: dict[str, Read], **names: str) -> Mapping[str, Read]:
    """Other names for the same."""
    return read | {name: read[of] for name, of in names.items()}


def _seconds(seconds: float) -> float:
    return max(0.0, round(seconds, 3))
