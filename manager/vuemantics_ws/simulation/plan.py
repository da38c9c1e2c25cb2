"""A scenario with its dice thrown: who does what, and when, down to the single event.

A pure function of the scenario and its seed, so both arms play the same plan. Times are seconds since the scenario began.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread, stream, upload_id_of
from vuemantics_ws.simulation.pipeline import Step, announcements, ends_after_s
from vuemantics_ws.simulation.scenario import Client, Reconnect, Scenario, Upload

UPLOAD_RETURNS_S = Spread(0.05, 0.25)
"""How long after the start of an upload its owner's tabs hear of it: the HTTP request returns when progress has begun."""

Action = Literal["upload_progress", "upload_completed", "upload_failed"]


class PlannedEvent(NamedTuple):
    """One event of a worker. ``stage`` is the one that it announces, or in which the upload ended; ``seq`` counts from 1."""

    at_s: float
    action: Action
    stage: Stage
    percent: int
    attempt: int
    seq: int


class PlannedUpload(NamedTuple):
    """An upload with all that will be published of it, in order. Not ``versioned``: the events carry no version, no owner."""

    name: str
    entry: str
    upload_id: str
    owner: str
    versioned: bool
    events: tuple[PlannedEvent, ...]

    @property
    def ends(self) -> bool:
        return self.events[-1].action != "upload_progress"


class PlannedSubscribe(NamedTuple):
    at_s: float
    upload: str


class PlannedClient(NamedTuple):
    """A tab. Subscribes that are due before the first ``auth_success`` are made then."""

    name: str
    entry: str
    user: str
    join_s: float
    subscribes: tuple[PlannedSubscribe, ...]
    leave_s: float | None
    leave_how: Literal["close", "abort", "vanish"]
    reconnect: Reconnect


class Plan(NamedTuple):
    """All of it. ``entry`` of an upload or a client is its id in the file, its name the same with a number in a fleet."""

    scenario: Scenario
    seed: int
    users: tuple[str, ...]
    uploads: tuple[PlannedUpload, ...]
    clients: tuple[PlannedClient, ...]

    @property
    def access(self) -> str:
        return str(self.scenario.server.config.get("access", "owner"))

    @property
    def last_action_s(self) -> float:
        """When the last thing happens of its own accord; the duration where it comes first."""
        times = [upload.events[-1].at_s for upload in self.uploads]
        for client in self.clients:
            times += [client.join_s, *(subscribe.at_s for subscribe in client.subscribes), client.leave_s or 0.0]
        return min(max(times), self.scenario.duration)

    def will_end(self, upload: PlannedUpload) -> bool:
        """Whether an end is published of it before the scenario's duration is over."""
        return upload.ends and upload.events[-1].at_s <= self.scenario.duration

    def gives(self, user: str, upload: PlannedUpload) -> bool:
        """Whether the access rule lets this user follow the upload."""
        return self.access == "open" or upload.owner == user


def members(name: str, count: int | None) -> list[str]:
    """The names behind an entry: its own, or with a count one for each member, numbered from 0."""
    return [name] if count is None else [f"{name}:{index}" for index in range(count)]


def make_plan(scenario: Scenario, seed: int) -> Plan:
    """Throw the dice of every entity. The same scenario and seed make the same plan."""
    users = {name: members(name, user.count) for name, user in scenario.users.items()}
    uploads = [planned for upload in scenario.uploads for planned in _plan_uploads(upload, users[upload.owner], seed)]
    clients = [
        _plan_client(client, name, users[client.user][index % len(users[client.user])], uploads, seed)
        for client in scenario.clients
        for index, name in enumerate(members(client.id, client.count))
    ]
    everybody = tuple(name for names in users.values() for name in names)
    return Plan(scenario, seed, everybody, tuple(uploads), tuple(clients))


def events_of(scenario: Scenario) -> int:
    """How many events the scenario publishes at most, without planning them."""
    return sum(
        (upload.count or 1)
        * (1 + (upload.regenerate.times if upload.regenerate else 0))
        * (1 + sum(step.steps for step in upload.pipeline))
        for upload in scenario.uploads
    )


def _plan_uploads(upload: Upload, owners: Sequence[str], seed: int) -> Iterable[PlannedUpload]:
    for index, name in enumerate(members(upload.id, upload.count)):
        start_s = upload.start.draw(stream(seed, name, "start"))
        yield PlannedUpload(
            name=name,
            entry=upload.id,
            upload_id=upload_id_of(seed, name),
            owner=owners[index % len(owners)],
            versioned=upload.publisher == "versioned",
            events=tuple(_plan_events(upload, start_s)),
        )


def _plan_events(upload: Upload, start_s: float) -> Iterable[PlannedEvent]:
    steps = tuple(Step(step.stage, step.for_s, step.steps) for step in upload.pipeline)
    outcome = upload.outcome
    announced = announcements(steps, until=outcome.at)
    lasts_s = ends_after_s(steps, until=outcome.at)
    runs = 1 + (upload.regenerate.times if upload.regenerate else 0)
    pause_s = upload.regenerate.after if upload.regenerate else 0.0
    for attempt in range(1, runs + 1):
        begins_s = start_s + (attempt - 1) * (lasts_s + pause_s)
        for seq, said in enumerate(announced, start=1):
            yield PlannedEvent(begins_s + said.at_s, "upload_progress", said.stage, said.percent, attempt, seq)
        if outcome.kind != "stalled":
            action: Action = "upload_completed" if outcome.kind == "completed" else "upload_failed"
            stage, percent = announced[-1].stage, announced[-1].percent
            yield PlannedEvent(begins_s + lasts_s, action, stage, percent, attempt, len(announced) + 1)


def _plan_client(client: Client, name: str, user: str, uploads: Sequence[PlannedUpload], seed: int) -> PlannedClient:
    join_s = client.join.draw(stream(seed, name, "join"))
    if client.subscribe is None:
        subscribes = [
            PlannedSubscribe(max(join_s, _heard_of_at_s(upload, name, seed)), upload.name)
            for upload in uploads
            if upload.owner == user
        ]
    else:
        subscribes = [PlannedSubscribe(join_s, upload.name) for upload in uploads if upload.entry in client.subscribe]
    leave_s = join_s + client.leave.after.draw(stream(seed, name, "leave")) if client.leave else None
    return PlannedClient(
        name=name,
        entry=client.id,
        user=user,
        join_s=join_s,
        subscribes=tuple(sorted(subscribes)),
        leave_s=leave_s,
        leave_how=client.leave.how if client.leave else "close",
        reconnect=client.reconnect,
    )


def _heard_of_at_s(upload: PlannedUpload, client: str, seed: int) -> float:
    return upload.events[0].at_s + UPLOAD_RETURNS_S.draw(stream(seed, client, f"returns/{upload.name}"))
