"""What a scenario file says: a world, what happens in it, and what must come of it.

The models mirror the file key by key. A key that the format has and that this version does not do yet stands in its model's
``unbuilt``: using it is an error that says so, never something silently passed over. What the models cannot see, names that
point elsewhere in the file, is checked by :mod:`vuemantics_ws.simulation.reader`.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.amounts import (
    Action,
    Duration,
    DurationSpread,
    Names,
    PipelineStage,
    not_built,
    read_stage,
    refuse,
)
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.pipeline import pipeline

COUNT_MAX = 10_000
"""Members of one fleet. Sockets run out before."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_ATTACKS = frozenset({"none", "expired", "wrong_signature", "alg_none"})


class Model(BaseModel):
    """Takes what the format has, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    unbuilt: ClassVar[frozenset[str]] = frozenset()


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
    if isinstance(value, dict):
        not_built("a pipeline with a rate of progress")
    if isinstance(value, str):
        refuse(f"expected image, video or a list of stages, got {value[:40]!r}")
    return value


def _read_outcome(value: Any) -> Any:
    if isinstance(value, dict):
        not_built("an outcome with shares")
    if value == "completed":
        return {"kind": value}
    kind, at, stage = value.partition("@") if isinstance(value, str) else ("", "", "")
    if kind not in ("failed", "stalled") or not at:
        refuse("expected completed, failed@STAGE or stalled@STAGE")
    return {"kind": kind, "at": read_stage(stage)}


def _read_subscribe(value: Any) -> Any:
    if value == "own":
        return None
    return [] if value == "none" else value


def _read_token(value: Any) -> Any:
    if isinstance(value, dict) or value in _ATTACKS:
        not_built("a token other than valid")
    return value


def _read_reconnect(value: Any) -> Any:
    if value == "default":
        return {}
    return {"attempts": 0} if value == "none" else value


def _read_jitter(value: Any) -> Any:
    return None if value == "full" else value


def _read_after(value: Any) -> Any:
    if value == "faults":
        not_built("after: faults")
    return value


Name = Annotated[str, BeforeValidator(_read_name)]
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]


class Server(Model):
    """The node under test. ``config`` has gateway settings by their names."""

    unbuilt = frozenset({"url"})
    nodes: Annotated[int, BeforeValidator(_read_nodes), Field(ge=1)] = 1
    config: dict[str, Any] = {}


class User(Model):
    """Somebody; with ``count`` a fleet of somebodies."""

    count: Count | None = None


class PipelineStep(Model):
    """A stage of an upload: how long it takes, and in how many announcements."""

    stage: PipelineStage
    for_s: Duration = Field(alias="for")
    steps: Annotated[int, Field(ge=1, le=1000)] = 1


class Outcome(Model):
    """How an upload ends: ``at`` is the last stage that it reaches, None where it reaches all."""

    kind: Literal["completed", "failed", "stalled"]
    at: Stage | None = None


class Regenerate(Model):
    """The user asks for the upload to be run again, ``after`` its end, ``times`` over."""

    after: Duration
    times: Annotated[int, Field(ge=1, le=100)] = 1


class Upload(Model):
    """One upload, or a fleet of them, with the worker that publishes its progress."""

    unbuilt = frozenset({"arrive", "messiness"})
    id: Name
    owner: str
    count: Count | None = None
    start: DurationSpread = Spread(0.0, 0.0)
    pipeline: Annotated[list[PipelineStep], BeforeValidator(_read_pipeline), Field(min_length=1)]
    outcome: Annotated[Outcome, BeforeValidator(_read_outcome)] = Outcome(kind="completed")
    regenerate: Regenerate | None = None
    publisher: Literal["versioned", "plain"] = "versioned"


class Leave(Model):
    """A tab goes, so long after its join: with a goodbye, with a reset, or without a word."""

    after: DurationSpread
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


class Client(Model):
    """One browser tab, or a fleet of them. ``subscribe`` None is the user's own uploads, as the file's ``own``."""

    unbuilt = frozenset({"node", "network", "reading", "script"})
    id: Name
    user: str
    count: Count | None = None
    join: DurationSpread = Spread(0.0, 0.0)
    subscribe: Annotated[list[str] | None, BeforeValidator(_read_subscribe)] = None
    leave: Leave | None = None
    reconnect: Annotated[Reconnect, BeforeValidator(_read_reconnect)] = Reconnect()
    token: Annotated[Literal["valid"], BeforeValidator(_read_token)] = "valid"


class TerminalExpected(Model):
    """Every subscriber learns how the newest attempt ended."""

    unbuilt = frozenset({"modes"})
    clients: Names = None
    uploads: Names = None
    outcome: Literal["completed", "failed"] | None = Field(alias="is", default=None)
    within: Duration | None = None
    after: Annotated[Literal["reconnect"] | None, BeforeValidator(_read_after)] = None


class ReceivedExpected(Model):
    """How many messages of a kind each client gets, or each client of each upload that it asked for."""

    unbuilt = frozenset({"modes"})
    clients: Names = None
    uploads: Names = None
    action: Action
    per: Literal["client", "upload"] = "client"
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> "ReceivedExpected":
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        if self.per == "client" and self.uploads is not None and not self.action.startswith("upload_"):
            refuse(f"expected no uploads: {self.action} is about none")
        return self


class CloseExpected(Model):
    """How each client's connections end. ``within`` and ``between`` count from the connection's join."""

    unbuilt = frozenset({"modes"})
    clients: Names = None
    codes: Annotated[list[Annotated[int, Field(ge=1000, le=4999)]], Field(min_length=1)]
    within: Duration | None = None
    between: DurationSpread | None = None
    max_reconnects: Annotated[int, Field(ge=0)] | None = None


class Expectation(Model):
    """One thing that must come of it: exactly one of the keys."""

    unbuilt = frozenset(
        {"latency", "connect_time", "indistinguishable", "dropped", "server", "health", "rate", "sometimes", "errors"}
    )
    terminal: TerminalExpected | None = None
    received: ReceivedExpected | None = None
    close: CloseExpected | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Expectation":
        if len(self.model_fields_set) != 1:
            refuse("expected exactly one of terminal, received and close")
        return self


class Scenario(Model):
    """A whole file. ``duration`` is the hard stop; a scenario in which nothing is left to happen ends before it."""

    unbuilt = frozenset({"sweep", "network", "faults"})
    version: Literal[1]
    name: Name
    description: str
    seed: Annotated[int, Field(ge=0)] = 1
    duration: Duration
    server: Server = Server()
    users: Annotated[dict[Name, User], Field(min_length=1)]
    uploads: list[Upload] = []
    clients: Annotated[list[Client], Field(min_length=1)]
    expect: list[Expectation] = []
