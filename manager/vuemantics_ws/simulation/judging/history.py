"""A log, arranged for judging: by connection, by upload, and by what each connection was owed."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from vuemantics_ws.simulation.judging.acceptance import Acceptance
from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S, Disturbances
from vuemantics_ws.simulation.judging.following import Following, Window
from vuemantics_ws.simulation.judging.losses import Accepted, Loss
from vuemantics_ws.simulation.log import (
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
        self.unreachable: dict[str, list[Unreachable]] = {}
        """By client: its tries to connect that came to nothing."""
        self.unsent: dict[tuple[str, str], Unsent] = {}
        """By client and upload: the last subscribe that it dropped."""
        self.loses_data = False
        """Whether a fault took heads away that had been kept."""
        self._lost_data_at = -math.inf
        self._of_kind: dict[type[Any], list[Any]] = {Began: [began]}
        self._disturbances = Disturbances()
        self._following = Following(began)
        self._acceptance = Acceptance(
            stall_after_s=began.stall_after_s, owed=self._following.owed, due_by=self._disturbances.due_by
        )
        self.faults = self._disturbances.faults
        self.connections = self._following.connections
        self.windows = self._following.windows
        for record in taken:
            self.take(record)

    @property
    def ends_at(self) -> float:
        """The time of the last record."""
        return self.records[-1].at

    @property
    def published(self) -> Sequence[Published]:
        """Every try, in the order of the answers."""
        return self.of(Published)

    @property
    def joined(self) -> int:
        """How many connections have authenticated."""
        return self._following.joined

    @property
    def soon_s(self) -> float:
        """How soon what is owed must have come in this run, in which an observer that was late saw everything late."""
        return self._disturbances.soon_s

    def take(self, record: Record) -> None:
        """The next record of the log."""
        kind = type(record)
        self.records.append(record)
        of_kind = self._of_kind.get(kind)
        if of_kind is None:
            self._of_kind[kind] = [record]
        else:
            of_kind.append(record)
        self._acceptance.goes_on()
        take = _TAKES.get(kind)
        if take is not None:
            take(self, record)

    def of(self, kind: type[R]) -> Sequence[R]:
        """All records of one kind, in the order of the log."""
        return self._of_kind.get(kind, ())

    def upload(self, upload_id: str) -> UploadFacts | None:
        return self.began.uploads.get(upload_id)

    # What was taken, see Acceptance.

    def accepted(self, upload_id: str) -> list[Accepted]:
        return self._acceptance.accepted(upload_id)

    def newest(self, upload_id: str, *, by: float) -> Accepted | None:
        return self._acceptance.newest(upload_id, by=by)

    def may_be_lost(self, event: Published, *, by: float) -> bool:
        return self._acceptance.may_be_lost(event, by=by)

    def may_be_unknown(self, event: Published, to: Published) -> bool:
        return self._acceptance.may_be_unknown(event, to)

    def is_shown(self, owed: Accepted, state: Received) -> bool:
        return self._acceptance.is_shown(owed, state)

    def has_lost_data(self, *, by: float) -> bool:
        return self._acceptance.has_lost_data(by=by)

    # By when something is due, see Disturbances.

    def due_by(self, at: float) -> float:
        return self._disturbances.due_by(at)

    def is_disturbed(self, at: float) -> bool:
        return self._disturbances.is_disturbed(at)

    # Who is owed what, see Following.

    def gives(self, user: str, upload_id: str) -> bool:
        return self._following.gives(user, upload_id)

    def owed(self) -> Iterable[Window]:
        """The windows in which the server owes something."""
        return filter(self._following.is_owed, self.windows)

    def end_of(self, window: Window) -> float:
        return self.ends_at if window.end is None else window.end

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

    def about(self, connection: int | None, upload_id: str | None, *, until: Record, last: int = 20) -> list[Record]:
        """The last records about a connection or an upload up to this one, which comes last; with them when the client's other
        connections began and ended, and what was broken meanwhile.
        """
        found: list[Record] = []
        client = self.connections[connection].client if connection in self.connections else None
        for record in self.records:
            is_its = isinstance(record, Opened | Closed) and self.connections[record.connection].client == client
            same_connection = connection is not None and getattr(record, "connection", None) == connection
            same_upload = upload_id is not None and getattr(record, "upload_id", None) == upload_id
            alone = upload_id is None or getattr(record, "upload_id", None) is None
            if same_upload or is_its or (same_connection and alone) or isinstance(record, FaultBegan | FaultEnded):
                found.append(record)
            if record is until:
                break
        if not found or found[-1] is not until:
            found.append(until)
        return found[-last:]

    # One record after the other.

    def _drop(self, record: Unsent) -> None:
        if record.action == "subscribe_upload":
            self.unsent[record.client, record.upload_id] = record

    def _miss(self, record: Unreachable) -> None:
        self.unreachable.setdefault(record.client, []).append(record)

    def _receive(self, record: Received) -> None:
        self._following.receive(record)
        if record.terminal:
            self._acceptance.presume(record)

    def _begin_fault(self, record: FaultBegan) -> None:
        self._disturbances.begin(record)
        if record.loses_data:  # nobody is there who knows what those follow who are away
            self.loses_data = True
            self._lost_data_at = record.at
            self._acceptance.lose(Loss(record.at, record.at - record.behind_s if record.behind_s else -math.inf))
            self._following.distrust_whoever_is_away()

    def _exit(self, record: NodeExited) -> None:
        """This node may not have told yet what its users follow, and nobody else knew: of all, where data was lost just before;
        of what they asked for since, where it could not reach Redis.
        """
        for fault in self._disturbances.keeping_from_redis(record.node, record.at):
            asked = [each for each in self.windows if each.cause == "subscribe" and each.start >= fault.begins]
            for window in asked:
                if window.connection.node == record.node:
                    self._following.distrust(window.connection.user)
        lost_at = self._lost_data_at
        if record.at - lost_at <= RECOVERS_S:
            for connection in self.connections.values():
                if connection.node == record.node and (connection.closed is None or connection.closed.at >= lost_at):
                    self._following.distrust(connection.user)


_TAKES: dict[type[Record], Callable[[History, Any], None]] = {
    Opened: lambda history, record: history._following.open(record),
    Authenticated: lambda history, record: history._following.join(record),
    Sent: lambda history, record: history._following.ask(record),
    Unsent: History._drop,
    Unreachable: History._miss,
    Received: History._receive,
    Undocumented: lambda history, record: history._following.note(record),
    Closed: lambda history, record: history._following.leave(record),
    Published: lambda history, record: history._acceptance.take(record),
    Measured: lambda history, record: history._disturbances.measure(record),
    NodeExited: History._exit,
    FaultBegan: History._begin_fault,
    FaultEnded: lambda history, record: history._disturbances.end(record),
}
"""What each kind of record is for. Bound to no history, which would then refer to itself, and long be kept."""


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
