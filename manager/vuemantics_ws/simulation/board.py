"""How a run stands right now, for whoever watches: folded from the log, record by record."""

from dataclasses import dataclass, field
from typing import Literal

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    Closed,
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


@dataclass(slots=True)
class UploadRow:
    """An upload as its server has it: what was accepted last."""

    name: str
    state: UploadState = "waiting"
    stage: str = ""
    percent: int = 0
    version: Version | None = None
    shown: dict[int, Version] = field(default_factory=dict)
    """What each open connection that follows it got last."""

    @property
    def up_to_date(self) -> int:
        """How many of those show the newest state."""
        return sum(self.version is not None and version >= self.version for version in self.shown.values())


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
class Board:
    """All of it. Takes each record once, in order; cheap enough to take all of them."""

    at_s: float = 0.0
    phase: Phase = "starting"
    """``emptying`` is when everything has happened, and the server has to forget everybody."""
    uploads: dict[str, UploadRow] = field(default_factory=dict)
    """By id."""
    clients: dict[str, ClientRow] = field(default_factory=dict)
    states: int = 0
    """States that browsers got, all together."""
    _clients_of: dict[int, ClientRow] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """How many uploads are at an end."""
        return sum(row.state in ("completed", "failed") for row in self.uploads.values())

    @property
    def open(self) -> int:
        """How many clients are connected."""
        return sum(row.state == "open" for row in self.clients.values())

    def take(self, record: Record) -> None:
        self.at_s = record.at
        match record:
            case Began():
                self.phase = "running"
                self.uploads = {upload_id: UploadRow(upload.name) for upload_id, upload in record.uploads.items()}
                self.clients = {name: ClientRow(name, client.user) for name, client in record.clients.items()}
            case Opened():
                row = self.clients[record.client]
                row.state = "connecting"
                row.connections += 1
                self._clients_of[record.connection] = row
            case Unreachable():
                self.clients[record.client].state = "away"
            case Authenticated():
                self._clients_of[record.connection].state = "open"
            case Closed():
                self._close(record)
            case Received():
                self._receive(record)
            case Published(verdict="accepted"):
                self._publish(record)
            case Settled():
                self.phase = "emptying"
            case NodeExited():
                self.phase = "over"

    def _close(self, record: Closed) -> None:
        self._clients_of[record.connection].state = "left" if record.by == "browser" else "away"
        for upload in self.uploads.values():
            upload.shown.pop(record.connection, None)

    def _receive(self, record: Received) -> None:
        upload = self.uploads.get(record.upload_id or "")
        if not record.is_state or upload is None:
            return
        row = self._clients_of[record.connection]
        row.received += 1
        self.states += 1
        if record.version is not None:
            upload.shown[record.connection] = record.version
        if record.action == "upload_progress":
            row.shows[upload.name] = record.percent or 0
        else:
            row.shows[upload.name] = "completed" if record.action == "upload_completed" else "failed"

    def _publish(self, record: Published) -> None:
        upload = self.uploads[record.upload_id]
        if record.version is None or (upload.version is not None and record.version < upload.version):
            return
        upload.version = record.version
        upload.stage = record.stage or ""
        upload.percent = record.percent or 0
        upload.state = "running"
        if record.action == "upload_completed":
            upload.state, upload.percent = "completed", 100
        elif record.action == "upload_failed":
            upload.state = "failed"
