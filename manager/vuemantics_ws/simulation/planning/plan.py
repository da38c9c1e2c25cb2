"""A scenario with its dice thrown: who does what, and when, down to the single event.

A pure function of the scenario and its seed, so both arms play the same plan. Times are seconds since the scenario began.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from vuemantics_ws.simulation.dice import Spread, drawn, stream, upload_id_of
from vuemantics_ws.simulation.format.faults import VIRTUAL_ALONE
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.scenario import (
    Client,
    Join,
    NetworkProfile,
    Reading,
    Reconnect,
    Scenario,
    Step,
    Token,
    Upload,
)
from vuemantics_ws.simulation.planning.faults import PlannedFault, plan_faults
from vuemantics_ws.simulation.planning.schedule import PlannedEvent, plan_events

UPLOAD_RETURNS_S = Spread(0.05, 0.25)
"""How long after the start of an upload its owner's tabs hear of it: the HTTP request returns when progress has begun."""

PLACES = 1 << 16
"""More than there are nodes by so much that each is as likely to be the first."""


class PlannedUpload(NamedTuple):
    """An upload with all that will be published of it, in order. Not ``versioned``: the events carry no version, no owner.

    ``number`` says at which of several nodes its worker publishes first.
    """

    name: str
    entry: str
    upload_id: str
    owner: str
    versioned: bool
    events: tuple[PlannedEvent, ...]
    start_s: float
    number: int = 0

    @property
    def last(self) -> PlannedEvent | None:
        """The last event that is none of a messy worker's slips; None where nothing is ever published."""
        return next((event for event in reversed(self.events) if not event.messy), None)

    @property
    def ends(self) -> bool:
        return self.last is not None and self.last.action != "upload_progress"


class PlannedSubscribe(NamedTuple):
    at_s: float
    upload: str


class PlannedClient(NamedTuple):
    """A tab. Subscribes that are due before the first ``auth_success`` are made then.

    ``number`` says at which of several nodes it tries first. ``script`` is what it does in place of authenticating, with the
    ids of uploads filled in; None for a well-behaved tab.
    """

    name: str
    entry: str
    user: str
    join_s: float
    subscribes: tuple[PlannedSubscribe, ...]
    leave_s: float | None
    leave_how: Literal["close", "abort", "vanish"]
    reconnect: Reconnect
    token: Token = Token()
    network: NetworkProfile | None = None
    reading: Reading | None = None
    script: tuple[Step, ...] | None = None
    node: str | None = None
    """The only one to which it connects; None for whichever takes it."""
    number: int = 0


class Plan(NamedTuple):
    """All of it. ``entry`` of an upload or a client is its id in the file, its name the same with a number in a fleet."""

    scenario: Scenario
    seed: int
    users: tuple[str, ...]
    uploads: tuple[PlannedUpload, ...]
    clients: tuple[PlannedClient, ...]
    faults: tuple[PlannedFault, ...] = ()

    @property
    def access(self) -> str:
        return str(self.scenario.server.config.get("access", "owner"))

    @property
    def needs_redis(self) -> bool:
        """Whether what a node knows must outlive it, or be known to another. One alone that stays up keeps it in memory."""
        ends = any(fault.do in ("node.restart", "node.kill") for fault in self.faults)
        return self.scenario.server.nodes > 1 or ends or any(fault.is_for_redis for fault in self.faults)

    @property
    def needs_virtual_time(self) -> bool:
        """Whether something befalls it that nobody can cause among real processes."""
        return any(fault.do in VIRTUAL_ALONE for fault in self.faults)

    @property
    def last_action_s(self) -> float:
        """When the last thing happens of its own accord; the duration where it comes first."""
        times = [upload.events[-1].at_s for upload in self.uploads if upload.events]
        for client in self.clients:
            times += [client.join_s, *(subscribe.at_s for subscribe in client.subscribes), client.leave_s or 0.0]
            times.append(client.join_s + sum(step.wait or 0.0 for step in client.script or ()))
            times.append(client.join_s + (client.token.ttl or 0.0))
        times += [fault.ends_s for fault in self.faults]
        return min(max(times), self.scenario.duration)

    def will_end(self, upload: PlannedUpload) -> bool:
        """Whether an end is published of it before the scenario's duration is over."""
        return upload.ends and upload.last is not None and upload.last.at_s <= self.scenario.duration

    def gives(self, user: str, upload: PlannedUpload) -> bool:
        """Whether the access rule lets this user follow the upload."""
        return self.access == "open" or upload.owner == user


def members(name: str, count: int | None) -> list[str]:
    """The names behind an entry: its own, or with a count one for each member, numbered from 0."""
    return [name] if count is None else [f"{name}:{index}" for index in range(count)]


def make_plan(scenario: Scenario, seed: int) -> Plan:
    """Throw the dice of every entity. The same scenario and seed make the same plan.

    Members that ``only`` leaves out are not in it, and change nothing of what the others do.
    """
    users = {name: members(name, user.count) for name, user in scenario.users.items()}
    there_is = _ThereIs(scenario, users, seed)
    uploads = [there_is.upload(upload.id, index) for upload in scenario.uploads for index in _there_are(upload)]
    for planned in uploads:
        there_is.by_owner[planned.owner].append(planned)
        there_is.by_entry[planned.entry].append(planned)
    clients = [
        _plan_client(client, index, users[client.user], there_is) for client in scenario.clients for index in _there_are(client)
    ]
    networks = there_is.networks
    everybody = tuple(name for names in users.values() for name in names)
    faults = plan_faults(scenario, seed, [(client.name, client.entry) for client in clients], networks)
    return Plan(scenario, seed, everybody, tuple(uploads), tuple(clients), tuple(faults))


def _there_are(entry: Upload | Client) -> Iterable[int]:
    """The members that exist, in the order of the fleet."""
    return sorted(entry.only) if entry.only is not None else range(entry.members or 1)


def _name(entry: Upload | Client, index: int) -> str:
    return entry.id if entry.members is None else f"{entry.id}:{index}"


class _ThereIs:
    """What clients can have to do with, ready to be looked up: there may be thousands of either."""

    def __init__(self, scenario: Scenario, users: Mapping[str, Sequence[str]], seed: int) -> None:
        self.networks = {**BUILT_IN_NETWORKS, **scenario.network}
        self.seed = seed
        self.by_owner: dict[str, list[PlannedUpload]] = defaultdict(list)
        self.by_entry: dict[str, list[PlannedUpload]] = defaultdict(list)
        self._entries = {upload.id: upload for upload in scenario.uploads}
        self._users = users
        self._planned: dict[tuple[str, int], PlannedUpload] = {}
        self._first_numbers: dict[str, int] = {}

    def upload(self, entry: str, index: int) -> PlannedUpload:
        """One of the file, whether it exists or is left out: somebody's luck may depend on its."""
        if (entry, index) not in self._planned:
            upload = self._entries[entry]
            self._planned[entry, index] = _plan_upload(upload, index, self._users[upload.owner], self)
        return self._planned[entry, index]

    def number(self, entry: str, index: int) -> int:
        """Members take the nodes in turns. Which is the first one's is the entry's luck, not that of its place in the file."""
        if entry not in self._first_numbers:
            self._first_numbers[entry] = stream(self.seed, entry, "node").randrange(PLACES)
        return self._first_numbers[entry] + index

    def members_of(self, entry: str) -> int:
        return self._entries[entry].members or 1

    def id_of(self, named: str) -> str | None:
        """The id of an upload of the file, existing or left out, by its name; None where it is none of them."""
        name, colon, number = named.partition(":")
        upload = self._entries.get(name)
        if upload is None or bool(colon) is (upload.members is None):
            return None
        if colon and not (number.isdecimal() and len(number) < 9 and int(number) < (upload.members or 0)):
            return None
        return upload_id_of(self.seed, named)


def _plan_upload(upload: Upload, index: int, owners: Sequence[str], there_is: _ThereIs) -> PlannedUpload:
    seed = there_is.seed
    start = Spread(0.0, upload.arrive.for_s) if upload.arrive is not None else upload.start
    name = _name(upload, index)
    start_s = drawn(start, seed, name, "start")
    return PlannedUpload(
        name=name,
        entry=upload.id,
        upload_id=upload_id_of(seed, name),
        owner=owners[index % len(owners)],
        versioned=upload.publisher == "versioned",
        events=tuple(plan_events(upload, name, start_s, seed)) if upload.publisher != "none" else (),
        start_s=start_s,
        number=there_is.number(upload.id, index),
    )


def _plan_client(client: Client, index: int, users: Sequence[str], there_is: _ThereIs) -> PlannedClient:
    user, name = users[index % len(users)], _name(client, index)
    join_s = _join_s(client.join, index, name, there_is)
    leave_s = join_s + drawn(client.leave.after, there_is.seed, name, "leave") if client.leave else None
    return PlannedClient(
        name=name,
        entry=client.id,
        user=user,
        join_s=join_s,
        subscribes=tuple(sorted(_subscribes(client, name, user, join_s, there_is))),
        leave_s=leave_s,
        leave_how=client.leave.how if client.leave else "close",
        reconnect=client.reconnect,
        token=client.token,
        network=there_is.networks[client.network] if client.network is not None else None,
        reading=client.reading,
        script=tuple(_with_id(step, there_is) for step in client.script) if client.script is not None else None,
        node=client.node,
        number=there_is.number(client.id, index),
    )


def _subscribes(client: Client, name: str, user: str, join_s: float, there_is: _ThereIs) -> Iterator[PlannedSubscribe]:
    if client.subscribe is None:
        for upload in there_is.by_owner[user]:
            if upload.events:
                heard_s = upload.start_s + UPLOAD_RETURNS_S.draw(stream(there_is.seed, name, f"returns/{upload.name}"))
                yield PlannedSubscribe(max(join_s, heard_s), upload.name)
    else:
        for entry in dict.fromkeys(client.subscribe):
            for upload in there_is.by_entry[entry]:
                yield PlannedSubscribe(join_s, upload.name)


def _join_s(join: Join, index: int, name: str, there_is: _ThereIs) -> float:
    if join.ramp is not None:
        return _on_ramp_s([(point.to, point.over) for point in join.ramp], index)
    if join.arrive is not None:
        return drawn(Spread(0.0, join.for_s or 0.0), there_is.seed, name, "join")
    if join.around is not None:
        entry, _, moment = join.around.partition(".")
        upload = there_is.upload(entry, index % there_is.members_of(entry))
        around_s = upload.last.at_s if moment == "terminal" and upload.last is not None else upload.start_s
        return max(0.0, around_s + drawn(Spread(-join.spread, join.spread), there_is.seed, name, "join"))
    assert join.at is not None
    return drawn(join.at, there_is.seed, name, "join")


def _on_ramp_s(points: Sequence[tuple[int, float]], index: int) -> float:
    """When the member joins with which a ramp has reached ``index + 1``."""
    joined, begins_s = 0, 0.0
    for to, over_s in points:
        if index < to:
            return begins_s + over_s * (index - joined) / (to - joined)
        joined, begins_s = to, begins_s + over_s
    return begins_s


def _with_id(step: Step, there_is: _ThereIs) -> Step:
    """The step with the id of the upload that it names, if it names one."""
    named = step.send.get("upload_id") if step.send is not None else None
    upload_id = there_is.id_of(named) if isinstance(named, str) else None
    if step.send is None or upload_id is None:
        return step
    return Step.model_construct(send={**step.send, "upload_id": upload_id})
