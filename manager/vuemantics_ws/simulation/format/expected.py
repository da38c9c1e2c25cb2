"""What a scenario file expects of its run: ``expect:``, key by key."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vuemantics_ws.simulation.format.amounts import (
    MIN_OR_MAX,
    ONE_KEY,
    Action,
    Bound,
    Duration,
    DurationSpread,
    Latency,
    Model,
    Names,
    Rate,
    nearest,
    refuse,
    show,
)
from vuemantics_ws.simulation.format.faults import FaultNames
from vuemantics_ws.simulation.format.metrics import METRIC_PATTERN, read_metric
from vuemantics_ws.simulation.format.naming import NodeName
from vuemantics_ws.simulation.format.probes import PROBES

Arm = Literal["real", "virtual"]
Reason = Literal["duplicate", "stale", "after_terminal"]
Arms = Annotated[list[Arm], Field(min_length=1)]
Number = Annotated[int, Field(ge=0, le=10**9)]
CloseNumber = Annotated[int, Field(ge=1000, le=4999)]


def _read_probe(value: Any) -> Any:
    if isinstance(value, str) and value not in PROBES:
        refuse(f"expected one of {', '.join(PROBES)}; got {show(value)}{nearest(value, PROBES)}")
    return value


def _check_bounds(least: float | None, most: float | None) -> None:
    if least is None and most is None:
        refuse("expected min, max or both")
    if least is not None and most is not None and least > most:
        refuse("expected a min that is not above max")


class Expected(Model):
    """What most expectations have."""

    modes: Arms | None = None
    """The arms in which it is judged, by default all: numbers of real time mean nothing in virtual time."""
    clients: Names = None
    """Whom it is about: all, an id, or a list of ids."""


class TerminalExpected(Expected):
    """Every subscriber learns how the newest attempt ended."""

    uploads: Names = None
    """What it is about: all, an id, or a list of ids."""
    outcome: Literal["completed", "failed"] | None = Field(alias="is", default=None)
    """Which end it is; by default either."""
    within: Duration | None = None
    """How long it may take, from the latest of: the moment at which the end is due, the subscribe, and after."""
    after: Literal["reconnect", "faults"] | None = None
    """What within counts from as well: reconnect is the client's newest auth_success, faults the end of each fault that goes on
    while it counts.
    """


class ReceivedExpected(Expected):
    """How many messages of a kind each client gets."""

    model_config = ConfigDict(json_schema_extra=MIN_OR_MAX)

    uploads: Names = None
    """Count messages about these uploads alone: all, an id, or a list of ids."""
    action: Action
    """The kind of message."""
    per: Literal["client", "upload"] = "client"
    """upload counts for each upload that the client asked for."""
    min: Number | None = None
    """At least so many."""
    max: Number | None = None
    """At most so many."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        _check_bounds(self.min, self.max)
        if self.per == "client" and self.uploads is not None and not self.action.startswith("upload_"):
            refuse(f"expected no uploads: {self.action} is about none")
        return self


class CloseExpected(Expected):
    """How each client's connections end."""

    codes: Annotated[list[CloseNumber], Field(min_length=1)]
    """The close codes that are right. 1006 is an end without a close."""
    within: Duration | None = None
    """How long after its join a connection has ended."""
    between: DurationSpread | None = None
    """From when to when after its join a connection ends."""
    max_reconnects: Number | None = None
    """How often each client comes back at most."""


PERCENTILES = ("p50", "p90", "p95", "p99", "max")


class _Percentiles(Expected):
    """Upper bounds, in seconds, on shares of the samples."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in PERCENTILES]})

    p50: Latency | None = None
    """What half of the samples stay within."""
    p90: Latency | None = None
    """What 90 % of the samples stay within."""
    p95: Latency | None = None
    """What 95 % of the samples stay within."""
    p99: Latency | None = None
    """What 99 % of the samples stay within."""
    max: Latency | None = None
    """What all samples stay within."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if not self.bounds():
            refuse("expected at least one of p50, p90, p95, p99 and max")
        return self

    def bounds(self) -> dict[str, float]:
        """The bounds that were given, by their names."""
        found = {name: getattr(self, name) for name in PERCENTILES}
        return {name: bound for name, bound in found.items() if bound is not None}


class LatencyExpected(_Percentiles):
    """How long states take, from the moment at which their publishing was due to the moment at which a client has them."""

    uploads: Names = None
    """What it is about: all, an id, or a list of ids."""


class ConnectTimeExpected(_Percentiles):
    """How long a connection takes, from the first packet to ``auth_success``."""


class IndistinguishableExpected(Expected):
    """What these clients are told is the same to the letter but for upload ids, and comes as soon: nobody can tell a foreign
    upload from one that does not exist.
    """

    uploads: Names = None
    """What it is about: all, an id, or a list of ids."""


class DroppedExpected(Model):
    """How many published events the judge refuses with this verdict."""

    model_config = ConfigDict(json_schema_extra=MIN_OR_MAX)

    modes: Arms | None = None
    """The arms in which it is judged, by default all."""
    reason: Reason
    """The verdict."""
    uploads: Names = None
    """What it is about: all, an id, or a list of ids."""
    min: Number | None = None
    """At least so many."""
    max: Number | None = None
    """At most so many."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        _check_bounds(self.min, self.max)
        return self


class ServerExpected(Model):
    """A figure that the server gives of itself, at every moment at which it was asked."""

    model_config = ConfigDict(json_schema_extra=MIN_OR_MAX)

    modes: Arms | None = None
    """The arms in which it is judged, by default all."""
    metric: Annotated[str, BeforeValidator(read_metric), WithJsonSchema({"type": "string", "pattern": METRIC_PATTERN})]
    """Its name."""
    min: Bound | None = None
    """What it is at least once: a number, or a size, a duration, a rate or a share with its unit."""
    max: Bound | None = None
    """What it never exceeds."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        _check_bounds(self.min, self.max)
        return self


class HealthExpected(Model):
    """What a node says of its own health while a fault lasts, on the port where load balancers ask (`/readyz`)."""

    modes: Arms | None = None
    """The arms in which it is judged, by default all."""
    node: NodeName
    """Which node."""
    state: Literal["ready", "degraded", "draining"] = Field(alias="is")
    """What it says. Degraded is one that cannot reach Redis: it keeps its clients, and takes no events."""
    during: FaultNames
    """During which faults."""
    within: Duration | None = None
    """How long after the beginning of each at the latest, and until its end; by default at any time of it."""


class RateExpected(Expected):
    """How often something happens in every window of the run."""

    model_config = ConfigDict(json_schema_extra=MIN_OR_MAX)

    of: Literal["connects", "closes", "events", "deliveries"]
    """What is counted."""
    max: Rate | None = None
    """At most so often."""
    min: Rate | None = None
    """At least so often."""
    window: Duration = 1.0
    """The time over which it is counted."""
    except_: FaultNames | None = Field(alias="except", default=None)
    """Faults whose time does not count, nor the window after it."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        _check_bounds(self.min, self.max)
        if self.window <= 0:
            refuse("expected a window above 0s")
        return self


class SometimesExpected(Expected):
    """Something that this scenario is about did happen, at least once: else it proves nothing."""

    that: Annotated[str, BeforeValidator(_read_probe), WithJsonSchema({"enum": [*PROBES]})]
    """What happened."""


class ErrorsExpected(Expected):
    """How many ``error`` messages the clients get."""

    model_config = ConfigDict(json_schema_extra=MIN_OR_MAX)

    code: Annotated[str, Field(pattern="^[a-z_]{1,64}$")] | None = None
    """Those of this code alone."""
    min: Number | None = None
    """At least so many."""
    max: Number | None = None
    """At most so many."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        _check_bounds(self.min, self.max)
        return self


class Expectation(Model):
    """One thing that must come of it: exactly one of the keys."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    terminal: TerminalExpected | None = None
    """Every subscriber learns how the newest attempt ended."""
    received: ReceivedExpected | None = None
    """How many messages of a kind each client gets."""
    close: CloseExpected | None = None
    """How each client's connections end."""
    latency: LatencyExpected | None = None
    """How long states take from their publishing to a client."""
    connect_time: ConnectTimeExpected | None = None
    """How long connections take until auth_success."""
    indistinguishable: IndistinguishableExpected | None = None
    """These clients are told the same: nobody can tell a foreign upload from one that does not exist."""
    dropped: DroppedExpected | None = None
    """How many published events the judge refuses."""
    server: ServerExpected | None = None
    """A figure that the server gives of itself."""
    health: HealthExpected | None = None
    """What a node says of its own health."""
    rate: RateExpected | None = None
    """How often something happens in every window of the run."""
    sometimes: SometimesExpected | None = None
    """Something did happen, at least once."""
    errors: ErrorsExpected | None = None
    """How many error messages the clients get."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            refuse(f"expected exactly one of {', '.join(type(self).model_fields)}")
        return self
