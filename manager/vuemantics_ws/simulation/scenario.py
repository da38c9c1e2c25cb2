"""What a scenario file says of the world: who is there, what happens, and how the network between them is.

The models mirror the file key by key. A key that the format has and that this version does not do yet stands in its model's
``unbuilt``: using it is an error that says so, never something silently passed over. What the models cannot see, names that
point elsewhere in the file, is checked by :mod:`vuemantics_ws.simulation.reader`.
"""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.amounts import (
    Bandwidth,
    Duration,
    DurationDraw,
    DurationSpread,
    Model,
    PipelineStage,
    Rate,
    Share,
    not_built,
    read_draw,
    read_share,
    read_stage,
    refuse,
)
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.expected import Expectation
from vuemantics_ws.simulation.pipeline import pipeline

COUNT_MAX = 10_000
"""Members of one fleet. Sockets run out before."""

TokenKind = Literal[
    "valid", "none", "expired", "not_yet_valid", "wrong_signature", "alg_none", "refresh", "no_expiry", "no_user", "garbage"
]
"""What a client shows for a token. ``none`` shows nothing: it connects and keeps silent."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def _read_name(value: Any) -> Any:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        refuse(f"expected a name of letters, digits, hyphens and underscores, got {value[:40]!r}")
    if value == "all":
        refuse("expected another name: all stands for everybody")
    return value


def _read_nodes(value: Any) -> Any:
    if type(value) is int and value > 1:
        not_built("more than one node")
    return value


def _read_pipeline(value: Any) -> Any:
    if value in ("image", "video"):
        return [{"stage": step.stage, "for": f"{step.for_s}s"} for step in pipeline(value)]
    if isinstance(value, str):
        refuse(f"expected image, video, a list of stages or a rate of progress, got {value[:40]!r}")
    return value


def _read_outcome(value: Any) -> Any:
    """Either one ending, or a share for each of several."""
    if not isinstance(value, dict):
        return {"shares": [{"ending": value, "share": "100%"}]}
    shares = [{"ending": ending, "share": share} for ending, share in value.items()]
    total = sum(read_share(share) for share in value.values())
    if abs(total - 1) > 1e-9:
        refuse(f"expected shares that make 100% together, got {total * 100:g}%")
    return {"shares": shares}


def _read_ending(value: Any) -> Any:
    if value in ("completed", "failed", "stalled"):
        return {"kind": value}
    kind, at, stage = value.partition("@") if isinstance(value, str) else ("", "", "")
    if kind not in ("failed", "stalled") or not at:
        refuse("expected completed, failed@STAGE or stalled@STAGE")
    return {"kind": kind, "at": read_stage(stage)}


def _read_subscribe(value: Any) -> Any:
    if value == "own":
        return None
    return [] if value == "none" else value


def _read_reconnect(value: Any) -> Any:
    if value == "default":
        return {}
    return {"attempts": 0} if value == "none" else value


def _read_jitter(value: Any) -> Any:
    return None if value == "full" else value


def _read_token(value: Any) -> Any:
    return value if isinstance(value, dict) else {"kind": value}


def _read_step(value: Any) -> Any:
    return {"auth": True} if value == "auth" else value


def _read_join(value: Any) -> Any:
    return value if isinstance(value, dict) else {"at": read_draw(value)}


Name = Annotated[str, BeforeValidator(_read_name)]
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]


class Server(Model):
    """The node under test. ``config`` has gateway settings by their names. ``url`` is one that runs already."""

    nodes: Annotated[int, BeforeValidator(_read_nodes), Field(ge=1)] = 1
    config: dict[str, Any] = Field(default_factory=dict)
    url: str | None = None
    control: str | None = None


class Outage(Model):
    """The network goes away, ``every`` so often ``for`` so long: what was sent is lost, or the connection is reset."""

    every: DurationDraw
    for_s: DurationSpread = Field(alias="for")
    how: Literal["blackhole", "reset"] = "blackhole"


class NetworkProfile(Model):
    """What lies between a client and the server, the same in both directions.

    ``latency`` is one way, ``jitter`` what a packet may take in addition. ``loss`` is the share of packets that must be sent
    again, which on a stream is time and never bytes.
    """

    latency: DurationSpread = Spread(0.0, 0.0)
    jitter: Duration = 0.0
    loss: Share = 0.0
    bandwidth: Bandwidth | None = None
    outage: Outage | None = None


class User(Model):
    """Somebody; with ``count`` a fleet of somebodies."""

    count: Count | None = None


class Arrive(Model):
    """One after the other as strangers do, at this rate on average, for so long: ``rate`` times ``for`` of them."""

    rate: Rate
    for_s: Duration = Field(alias="for")

    @property
    def count(self) -> int:
        return max(1, round(self.rate * self.for_s))


class PipelineStep(Model):
    """A stage of an upload: how long it takes, and in how many announcements."""

    stage: PipelineStage
    for_s: Duration = Field(alias="for")
    steps: Annotated[int, Field(ge=1, le=1000)] = 1


class ProgressPipeline(Model):
    """Progress at a steady rate, from 0 % to 100 % in ``for``."""

    progress: Rate
    for_s: Duration = Field(alias="for")


class Ending(Model):
    """How an upload ends: ``at`` is the last stage that it reaches, None where that is drawn, or all are reached."""

    kind: Literal["completed", "failed", "stalled"]
    at: Stage | None = None


class EndingShare(Model):
    """So many of the uploads of an entry end so."""

    ending: Annotated[Ending, BeforeValidator(_read_ending)]
    share: Share


class Outcome(Model):
    """How the uploads of an entry end; the shares make the whole."""

    shares: Annotated[list[EndingShare], Field(min_length=1)]


_ALL_COMPLETE = Outcome.model_validate({"shares": [{"ending": "completed", "share": "100%"}]})


class Messiness(Model):
    """What goes wrong on the way from a worker: shares of its events that are published twice, or after the next one, and how
    many progress events still come after each end.
    """

    duplicate: Share = 0.0
    reorder: Share = 0.0
    after_terminal: Annotated[int, Field(ge=0, le=100)] = 0


class Regenerate(Model):
    """The user asks for the upload to be run again, ``after`` its end, ``times`` over."""

    after: Duration
    times: Annotated[int, Field(ge=1, le=100)] = 1


class Upload(Model):
    """One upload, or a fleet of them, with the worker that publishes its progress.

    ``publisher`` is ``plain`` where the events carry neither version nor owner, ``none`` where nothing is ever published: an
    upload that does not exist.
    """

    id: Name
    owner: str
    count: Count | None = None
    start: DurationDraw = Spread(0.0, 0.0)
    arrive: Arrive | None = None
    pipeline: Annotated[Annotated[list[PipelineStep], Field(min_length=1)] | ProgressPipeline, BeforeValidator(_read_pipeline)]
    outcome: Annotated[Outcome, BeforeValidator(_read_outcome)] = _ALL_COMPLETE
    messiness: Messiness = Messiness()
    regenerate: Regenerate | None = None
    publisher: Literal["versioned", "plain", "none"] = "versioned"

    @model_validator(mode="after")
    def _begins_once(self) -> Self:
        if self.arrive is not None and {"start", "count"} & self.model_fields_set:
            refuse("expected start and count, or arrive, which says both")
        return self

    @property
    def members(self) -> int | None:
        """How many a fleet has; None for one upload."""
        return self.arrive.count if self.arrive is not None else self.count


class RampPoint(Model):
    """So many have joined so long after the point before."""

    to: Annotated[int, Field(ge=0, le=COUNT_MAX)]
    over: Duration


class Join(Model):
    """When the members of a client entry open their tabs: exactly one of the keys.

    ``around`` is ``UPLOAD.start`` or ``UPLOAD.terminal``, with ``spread`` to either side.
    """

    at: DurationDraw | None = None
    around: str | None = None
    spread: Duration = 0.0
    ramp: Annotated[list[RampPoint], Field(min_length=1)] | None = None
    arrive: Rate | None = None
    for_s: Duration | None = Field(alias="for", default=None)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("at", "around", "ramp", "arrive") if getattr(self, name) is not None]
        if len(given) != 1:
            refuse("expected a time, or exactly one of around, ramp and arrive")
        if (self.arrive is None) is not (self.for_s is None):
            refuse("expected arrive together with for")
        if "spread" in self.model_fields_set and self.around is None:
            refuse("expected spread beside around only")
        if self.ramp is not None and any(after.to < before.to for before, after in pairwise(self.ramp)):
            refuse("expected a ramp that does not fall: leave says when clients go")
        return self

    @property
    def count(self) -> int | None:
        """How many join, where the key itself says so."""
        if self.ramp is not None:
            return max(1, self.ramp[-1].to)
        return max(1, round(self.arrive * self.for_s)) if self.arrive is not None and self.for_s is not None else None


class Leave(Model):
    """A tab goes, so long after its join: with a goodbye, with a reset, or without a word."""

    after: DurationDraw
    how: Literal["close", "abort", "vanish"] = "close"


class Reconnect(Model):
    """How a client comes back: by default as the application does (PROTOCOL.md section 4).

    ``jitter`` None is full jitter: the pause is drawn evenly from nothing to all of it.
    """

    initial: Duration = 1.0
    factor: Annotated[float, Field(ge=1, strict=False)] = 2.0
    max: Duration = 30.0
    jitter: Annotated[Duration | None, BeforeValidator(_read_jitter)] = 3.0
    attempts: Annotated[int, Field(ge=0, le=1000)] = 10


class Token(Model):
    """What a client shows. ``ttl`` makes a valid one that ends so long after the join."""

    kind: TokenKind = "valid"
    ttl: Duration | None = None


class Reading(Model):
    """How a client takes what comes: at a ``rate``, or nothing from ``stop`` after the join on, for ``for`` or for good."""

    rate: Bandwidth | None = None
    stop: Duration | None = None
    for_s: Duration | None = Field(alias="for", default=None)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.rate is None) is (self.stop is None):
            refuse("expected exactly one of rate and stop")
        if self.for_s is not None and self.stop is None:
            refuse("expected for beside stop only")
        return self


class Step(Model):
    """One thing that a scripted client does: exactly one of the keys. ``auth`` shows the client's token.

    In ``send``, an ``upload_id`` that names an upload of the file stands for that upload's id.
    """

    auth: Literal[True] | None = None
    wait: Duration | None = None
    send: dict[str, Any] | None = None
    send_raw: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            refuse("expected auth, or exactly one of wait, send and send_raw")
        return self


class Client(Model):
    """One browser tab, or a fleet of them. ``subscribe`` None is the user's own uploads, as the file's ``own``.

    A ``script`` replaces the automatic authentication. ``network`` names a profile of the file, or a built-in one.
    """

    id: Name
    user: str
    count: Count | None = None
    node: Literal["node:0"] = "node:0"
    join: Annotated[Join, BeforeValidator(_read_join)] = Join(at=Spread(0.0, 0.0))
    subscribe: Annotated[list[str] | None, BeforeValidator(_read_subscribe)] = None
    network: str | None = None
    reading: Reading | None = None
    leave: Leave | None = None
    reconnect: Annotated[Reconnect, BeforeValidator(_read_reconnect)] = Reconnect()
    token: Annotated[Token, BeforeValidator(_read_token)] = Token()
    script: Annotated[list[Annotated[Step, BeforeValidator(_read_step)]], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _counts_once(self) -> Self:
        if self.count is not None and self.join.count is not None:
            refuse("expected a count, or a join that says how many come")
        return self

    @property
    def members(self) -> int | None:
        """How many a fleet has; None for one client."""
        return self.join.count if self.join.count is not None else self.count


class Scenario(Model):
    """A whole file. ``duration`` is the hard stop; a scenario in which nothing is left to happen ends before it.

    ``sweep`` is the range of seeds that a sweep plays; a single run plays ``seed``.
    """

    unbuilt = frozenset({"faults"})
    version: Literal[1]
    name: Name
    description: str
    seed: Annotated[int, Field(ge=0)] = 1
    sweep: str | None = None
    duration: Duration
    server: Server = Server()
    network: dict[Name, NetworkProfile] = Field(default_factory=dict)
    users: Annotated[dict[Name, User], Field(min_length=1)]
    uploads: list[Upload] = Field(default_factory=list)
    clients: Annotated[list[Client], Field(min_length=1)]
    expect: list[Expectation] = Field(default_factory=list)
