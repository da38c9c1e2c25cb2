"""The log of a run in which everything goes right, made from its plan: no server, no sockets, no time."""

from collections.abc import Callable
from functools import partial

from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    ClientFacts,
    Closed,
    Opened,
    Published,
    Received,
    Record,
    Sent,
    UploadFacts,
)
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient, PlannedUpload
from vuemantics_ws.simulation.planning.schedule import PlannedEvent

CONNECTS_S, ANSWERS_S, DELIVERS_S = 0.012, 0.001, 0.002
"""What each takes; a delivery a little longer for each client."""


def flawless(plan: Plan, *, until_s: float) -> list[Record]:
    """Everything up to then, in order. Clients close when they leave; none is ever cut off."""
    told = _Telling(plan)
    agenda: list[tuple[float, Callable[[float], None]]] = []
    for number, client in enumerate(plan.clients, start=1):
        agenda.append((client.join_s + CONNECTS_S, partial(told.joins, number, client)))
        for subscribe in client.subscribes:
            at_s = max(subscribe.at_s, client.join_s + CONNECTS_S + ANSWERS_S)
            agenda.append((at_s, partial(told.asks, number, client, subscribe.upload)))
        if client.leave_s is not None:
            agenda.append((client.leave_s, partial(told.leaves, number)))
    for upload in plan.uploads:
        agenda += [(event.at_s, partial(told.publishes, upload, event)) for event in upload.events]
    for at_s, happens in sorted(agenda, key=lambda entry: entry[0]):
        happens(at_s)
    return [_facts(plan), *(record for record in sorted(told.records, key=lambda record: record.at) if record.at <= until_s)]


class _Telling:
    """A server that takes no time, and what everybody sees of it."""

    def __init__(self, plan: Plan) -> None:
        self.records: list[Record] = []
        self._plan = plan
        self._uploads = {upload.name: upload for upload in plan.uploads}
        self._heads: dict[str, PlannedEvent] = {}
        self._follows: dict[str, dict[str, None]] = {user: {} for user in plan.users}
        self._open: dict[int, PlannedClient] = {}

    def joins(self, number: int, client: PlannedClient, at: float) -> None:
        self._open[number] = client
        self.records += [
            Opened(at, number, client.name, client.join_s),
            Received(at, number, "auth_success"),
            Authenticated(at, number),
        ]
        for name in self._follows[client.user]:
            self._show(number, client, name, at)

    def asks(self, number: int, client: PlannedClient, name: str, at: float) -> None:
        upload = self._uploads[name]
        known = name in self._heads and self._plan.gives(client.user, upload)
        self.records += [
            Sent(at, number, "subscribe_upload", upload.upload_id),
            Received(_comes_at(number, at), number, "subscribed", upload.upload_id, known=known),
        ]
        is_first = name not in self._follows[client.user]
        self._follows[client.user][name] = None
        for other, sibling in self._open.items():
            if other == number or (is_first and sibling.user == client.user):
                self._show(other, sibling, name, at)

    def leaves(self, number: int, at: float) -> None:
        del self._open[number]
        self.records.append(Closed(at, number, 1000, "", "browser"))

    def publishes(self, upload: PlannedUpload, event: PlannedEvent, at: float) -> None:
        self._heads[upload.name] = event
        self.records.append(
            Published(
                at=at + ANSWERS_S,
                scheduled_at=at,
                sent_at=at,
                upload_id=upload.upload_id,
                action=event.action,
                terminal=event.action != "upload_progress",
                stage=event.stage.value,
                percent=event.percent,
                size_bytes=300,
                verdict="accepted",
                attempt=event.attempt,
                seq=event.seq,
            )
        )
        for number, client in self._open.items():
            if upload.name in self._follows[client.user]:
                self._show(number, client, upload.name, at)

    def _show(self, number: int, client: PlannedClient, name: str, at: float) -> None:
        """The newest state, to somebody who may have it; a little later to each client."""
        upload, event = self._uploads[name], self._heads.get(name)
        if event is None or not self._plan.gives(client.user, upload):
            return
        terminal = event.action != "upload_progress"
        self.records.append(
            Received(
                _comes_at(number, at),
                number,
                event.action,
                upload.upload_id,
                attempt=event.attempt,
                seq=event.seq,
                terminal=terminal,
                stage=None if terminal else event.stage.value,
                percent=None if terminal else event.percent,
            )
        )


def _comes_at(number: int, at: float) -> float:
    return at + DELIVERS_S + number * 1e-5


def _facts(plan: Plan) -> Began:
    ids = {upload.name: upload.upload_id for upload in plan.uploads}
    return Began(
        scenario=plan.scenario.name,
        seed=plan.seed,
        access="owner",
        grace_s=1.0,
        uploads_per_user_max=1000,
        waiting_bytes_max=131_072,
        uploads={upload.upload_id: UploadFacts(upload.name, upload.owner, plan.will_end(upload)) for upload in plan.uploads},
        clients={
            client.name: ClientFacts(client.user, [ids[subscribe.upload] for subscribe in client.subscribes])
            for client in plan.clients
        },
    )
