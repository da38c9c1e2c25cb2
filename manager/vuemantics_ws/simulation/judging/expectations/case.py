"""What an expectation is judged over: a plan and what came of it, arranged by client."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.following import Connection
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Published, Received, Sent, Settled, Unsent
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient, PlannedUpload


class Ended(NamedTuple):
    """A client learned how an attempt ended, on this connection."""

    state: Received
    connection: int


class Case:
    """A plan with its history, which may have been ``interrupted``. What it gathers, it gathers once."""

    def __init__(self, plan: Plan, history: History, *, interrupted: bool = False) -> None:
        self.plan = plan
        self.history = history
        self.interrupted = interrupted

    def clients(self, names: list[str] | None) -> list[PlannedClient]:
        """Those of these entries; all of them for None."""
        return [client for client in self.plan.clients if names is None or client.entry in names]

    def uploads(self, names: list[str] | None) -> list[PlannedUpload]:
        """Those of these entries; all of them for None."""
        return [upload for upload in self.plan.uploads if names is None or upload.entry in names]

    def client_names(self, names: list[str] | None) -> set[str] | None:
        """The same as names; None for everybody."""
        return None if names is None else {client.name for client in self.clients(names)}

    def upload_ids(self, names: list[str] | None) -> set[str] | None:
        """The same as ids; None for everything."""
        return None if names is None else {upload.upload_id for upload in self.uploads(names)}

    def connections(self, client: PlannedClient) -> Sequence[Connection]:
        """In the order in which they were opened. Each has a record at least, that of its opening."""
        return self._connections.get(client.name, ())

    def ends(self, client: PlannedClient, upload: PlannedUpload) -> Sequence[Ended]:
        """The ends of an upload that this client learned, in order."""
        return self._ends.get((client.name, upload.upload_id), ())

    def unsent(self, client: PlannedClient, upload: PlannedUpload) -> Unsent | None:
        """The subscribe that this client dropped, where it never made another."""
        unsent = self.history.unsent.get((client.name, upload.upload_id))
        if unsent is None:
            return None
        records = (record for connection in self.connections(client) for record in connection.records)
        asked = any(isinstance(record, Sent) and record.upload_id == upload.upload_id for record in records)
        return None if asked else unsent

    def published(self, upload_id: str, version: Version | None) -> Published | None:
        """The event that was accepted under this version; None where it is nobody's, such as a stall's end."""
        return self._published.get((upload_id, version)) if version is not None else None

    def last_due_s(self, upload_id: str) -> float | None:
        """When the last event of an upload that is none of its worker's slips was due."""
        return self._last_due_s.get(upload_id)

    @cached_property
    def before_anything(self) -> "Case":
        """The same plan, of which nothing has happened yet."""
        return Case(self.plan, History(self.history.records[:1]))

    @cached_property
    def settled_s(self) -> float:
        """When everything had happened: from then on clients leave because the run is over."""
        return next((settled.at for settled in self.history.of(Settled)), self.history.ends_at)

    @cached_property
    def _connections(self) -> dict[str, list[Connection]]:
        found: dict[str, list[Connection]] = {}
        for connection in self.history.connections.values():
            found.setdefault(connection.client, []).append(connection)
        return found

    @cached_property
    def _ends(self) -> dict[tuple[str, str], list[Ended]]:
        found: dict[tuple[str, str], list[Ended]] = {}
        for connection in self.history.connections.values():
            for record in connection.records:
                if isinstance(record, Received) and record.terminal and record.upload_id is not None:
                    ended = Ended(record, connection.number)
                    found.setdefault((connection.client, record.upload_id), []).append(ended)
        return found

    @cached_property
    def _published(self) -> dict[tuple[str, Version], Published]:
        return {
            (upload_id, accepted.version): accepted.published
            for upload_id in self.history.began.uploads
            for accepted in self.history.accepted(upload_id)
        }

    @cached_property
    def _last_due_s(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for record in self.history.published:
            if not record.messy:
                found[record.upload_id] = max(record.scheduled_at, found.get(record.upload_id, 0.0))
        return found


def said(names: list[str] | None, everything: str) -> str:
    """Whom or what it is about, in words."""
    return everything if names is None else ", ".join(names)


def bounds(minimum: float | None, maximum: float | None, show: Callable[[float], str] = "{:g}".format) -> str:
    """``at least …``, ``at most …``, or both."""
    parts = [f"at least {show(minimum)}"] if minimum is not None else []
    parts += [f"at most {show(maximum)}"] if maximum is not None else []
    return " and ".join(parts)


def beyond(value: float, minimum: float | None, maximum: float | None, show: Callable[[float], str] = "{:g}".format) -> str:
    """What a value that is out of bounds should have been; nothing where it is within."""
    if minimum is not None and value < minimum:
        return f"expected at least {show(minimum)}"
    return f"expected at most {show(maximum)}" if maximum is not None and value > maximum else ""
