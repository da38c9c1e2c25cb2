"""How a run stands right now, for whoever watches: folded from the log, record by record."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.latency import entry_of
from vuemantics_ws.simulation.judging.percentiles import Durations
from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    Closed,
    FaultBegan,
    FaultEnded,
    Health,
    NodeExited,
    Opened,
    Published,
    Received,
    Record,
    Settled,
    Unreachable,
)

UploadState = Literal["waiting", "running", "completed", "failed"]
Phase = Literal["starting", "running", "emptying", "over"]
ClientState = Literal["waiting", "connecting", "open", "away", "left"]

PULSE_S = 0.5
"""Deliveries are counted over so long."""


@dataclass(slots=True)
class UploadRow:
    """An upload as its server has it: what was accepted last, and what whoever follows it shows of it.

    Of one that the run itself does not publish (not ``published``), the newest that anybody got.
    """

    name: str
    state: UploadState = "waiting"
    stage: str = ""
    percent: int = 0
    version: Version | None = None
    ended_at_s: float = 0.0
    published: bool = True
    shown: dict[int, Version] = field(default_factory=dict)
    """What each open connection that follows it got last."""
    _counts: dict[str, dict[Version, int]] = field(default_factory=dict)
    """How many of those show which version, by client entry, so that a crowd need not be counted for each frame."""

    @property
    def up_to_date(self) -> int:
        """How many of those show the newest state."""
        return len(self.shown) - self.behind

    @property
    def behind(self) -> int:
        """How many of those show something older."""
        return sum(self.behind_of(entry) for entry in self._counts)

    def behind_of(self, entry: str) -> int:
        """The same of one entry's clients."""
        newest = self.version
        if newest is None:
            return 0
        return sum(count for version, count in self._counts.get(entry, {}).items() if version < newest)

    def become(self, state: Published | Received, version: Version) -> None:
        """Somebody has this state of it, which may be older."""
        if self.version is not None and version < self.version:
            return
        self.version = version
        self.stage = state.stage or ""
        self.percent = state.percent if state.percent is not None else self.percent
        self.state = "running"
        if state.terminal:
            self.ended_at_s = state.at
        if state.action == "upload_completed":
            self.state, self.percent = "completed", 100
        elif state.action == "upload_failed":
            self.state = "failed"

    def show(self, connection: int, entry: str, version: Version) -> None:
        self.hide(connection, entry)
        self.shown[connection] = version
        counts = self._counts.setdefault(entry, {})
        counts[version] = counts.get(version, 0) + 1

    def hide(self, connection: int, entry: str) -> None:
        """The connection is gone."""
        version = self.shown.pop(connection, None)
        if version is not None:
            counts = self._counts[entry]
            counts[version] -= 1
            if not counts[version]:
                del counts[version]


@dataclass(slots=True)
class ClientRow:
    """A tab as its person sees it. ``shows`` is by name of the upload: a percent, or how it ended."""

    name: str
    user: str
    state: ClientState = "waiting"
    received: int = 0
    connections: int = 0
    shows: dict[str, int | Literal["completed", "failed"]] = field(default_factory=dict)


@dataclass(slots=True)
class NodeRow:
    """A node, as far as it can be seen from outside."""

    name: str
    state: Literal["ready", "degraded", "draining", "silent", "gone"] = "ready"
    open: int = 0
    """How many sockets of the run's own clients it has."""


@dataclass(slots=True)
class FaultRow:
    """A fault that has begun. ``ended_at_s`` is None as long as it goes on."""

    do: str
    target: str
    began_at_s: float
    ended_at_s: float | None = None


class Group(NamedTuple):
    """The clients of one entry. ``behind`` counts pairs of an open tab and an upload of which it shows something old."""

    entry: str
    members: int
    joined: int
    open: int
    away: int
    left: int
    received: int
    behind: int


@dataclass(slots=True)
class Board:
    """All of it. Takes each record once, in order; cheap enough to take all of them."""

    at_s: float = 0.0
    phase: Phase = "starting"
    """``emptying`` is when everything has happened, and the server has to forget everybody."""
    control: str = ""
    """Where one may look into the server."""
    uploads: dict[str, UploadRow] = field(default_factory=dict)
    """By id."""
    clients: dict[str, ClientRow] = field(default_factory=dict)
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    faults: dict[int, FaultRow] = field(default_factory=dict)
    events: int = 0
    """Events that were answered, whatever the verdict."""
    states: int = 0
    """States that browsers got, all together."""
    pulse: list[int] = field(default_factory=list)
    """The same by :data:`PULSE_S`."""
    latency: Durations = field(default_factory=Durations)
    """Of the states that came, but for the first of an upload on a connection, which may be a welcome. Rougher than the
    verdict's, which counts what was skipped, too.
    """
    _clients_of: dict[int, ClientRow] = field(default_factory=dict)
    _nodes_of: dict[int, NodeRow] = field(default_factory=dict)
    _due: dict[tuple[str, Version], float] = field(default_factory=dict)
    _early: dict[tuple[str, Version], list[float]] = field(default_factory=dict)
    """When states came whose worker has no answer yet."""
    _welcomed: set[tuple[int, str]] = field(default_factory=set)

    @property
    def ended(self) -> int:
        """How many uploads are at an end."""
        return sum(row.state in ("completed", "failed") for row in self.uploads.values())

    @property
    def open(self) -> int:
        """How many clients are connected."""
        return sum(row.state == "open" for row in self.clients.values())

    def groups(self) -> list[Group]:
        """The clients by their entries in the file, in its order."""
        members: dict[str, list[ClientRow]] = {}
        for name, row in self.clients.items():
            members.setdefault(entry_of(name), []).append(row)
        return [self._group(entry, rows) for entry, rows in members.items()]

    def _group(self, entry: str, rows: list[ClientRow]) -> Group:
        states = [row.state for row in rows]
        return Group(
            entry,
            members=len(rows),
            joined=sum(row.connections > 0 for row in rows),
            open=states.count("open"),
            away=states.count("away"),
            left=states.count("left"),
            received=sum(row.received for row in rows),
            behind=sum(upload.behind_of(entry) for upload in self.uploads.values()),
        )

    def take(self, record: Record) -> None:
        self.at_s = record.at
        match record:
            case Received():
                self._receive(record)
            case Published():
                self.events += 1
                if record.verdict == "accepted":
                    self._publish(record)
            case Began():
                self.phase, self.control = "running", record.control
                self.uploads = {
                    upload_id: UploadRow(upload.name, published=upload.published)
                    for upload_id, upload in record.uploads.items()
                }
                self.nodes = {name: NodeRow(name) for name in record.nodes}
                self.clients = {name: ClientRow(name, client.user) for name, client in record.clients.items()}
            case Opened():
                row = self.clients[record.client]
                row.state = "connecting"
                row.connections += 1
                self._clients_of[record.connection] = row
                node = self._nodes_of[record.connection] = self.nodes[record.node]
                node.open += 1
            case Unreachable():
                self.clients[record.client].state = "away"
            case Authenticated():
                self._clients_of[record.connection].state = "open"
            case Closed():
                self._close(record)
            case Settled():
                self.phase = "emptying"
            case _:
                self._take_what_befalls(record)

    def _take_what_befalls(self, record: Record) -> None:
        match record:
            case Health():
                self.nodes[record.node].state = record.state
            case NodeExited():
                self.nodes[record.node].state = "gone"
                if self.phase == "emptying":
                    self.phase = "over"
            case FaultBegan():
                self.faults[record.number] = FaultRow(record.do, record.target, record.at)
            case FaultEnded() if record.number in self.faults:
                self.faults[record.number].ended_at_s = record.at

    def _close(self, record: Closed) -> None:
        self._nodes_of[record.connection].open -= 1
        row = self._clients_of[record.connection]
        row.state = "left" if record.by == "browser" else "away"
        entry = entry_of(row.name)
        for upload in self.uploads.values():
            upload.hide(record.connection, entry)

    def _receive(self, record: Received) -> None:
        upload = self.uploads.get(record.upload_id or "")
        if upload is None or record.upload_id is None:
            return
        if record.action == "subscribed":
            self._welcomed.add((record.connection, record.upload_id))
        if not record.is_state:
            return
        row = self._clients_of[record.connection]
        row.received += 1
        self._count(record.at)
        if record.version is not None:
            if upload.published:
                self._measure(record, record.upload_id, record.version, upload)
            else:
                upload.become(record, record.version)
            upload.show(record.connection, entry_of(row.name), record.version)
        if record.action == "upload_progress":
            row.shows[upload.name] = record.percent or 0
        else:
            row.shows[upload.name] = "completed" if record.action == "upload_completed" else "failed"

    def _count(self, at: float) -> None:
        self.states += 1
        place = int(at / PULSE_S)
        self.pulse.extend([0] * (place + 1 - len(self.pulse)))
        self.pulse[place] += 1

    def _measure(self, record: Received, upload_id: str, version: Version, upload: UploadRow) -> None:
        key = (record.connection, upload_id)
        if record.connection not in upload.shown or key in self._welcomed:
            self._welcomed.discard(key)
            return
        due = self._due.get((upload_id, version))
        if due is None:
            self._early.setdefault((upload_id, version), []).append(record.at)
        else:
            self.latency.add(record.at - due)

    def _publish(self, record: Published) -> None:
        upload = self.uploads[record.upload_id]
        if record.version is None:
            return
        key = (record.upload_id, record.version)
        self._due[key] = record.scheduled_at
        self.latency.update(at - record.scheduled_at for at in self._early.pop(key, ()))
        upload.become(record, record.version)
