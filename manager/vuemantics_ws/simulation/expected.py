"""What a scenario file expects of its run: ``expect:``, key by key."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from vuemantics_ws.simulation.amounts import Action, Bound, Duration, DurationSpread, Model, Names, Rate, not_built, refuse
from vuemantics_ws.simulation.probes import PROBES

Arm = Literal["real", "virtual"]
Reason = Literal["duplicate", "stale", "after_terminal"]


def _read_after(value: Any) -> Any:
    if value == "faults":
        not_built("after: faults")
    return value


def _read_probe(value: Any) -> Any:
    if value == "subscribed between state write and publish":
        not_built("a probe of Redis")
    if value not in PROBES:
        refuse(f"expected one of: {', '.join(PROBES)}; got {str(value)[:60]!r}")
    return value


class Expected(Model):
    """What all of them have. ``modes`` are the arms in which it is judged, None for all of them: numbers of real time mean
    nothing in virtual time.
    """

    modes: list[Arm] | None = None
    clients: Names = None


class TerminalExpected(Expected):
    """Every subscriber learns how the newest attempt ended."""

    uploads: Names = None
    outcome: Literal["completed", "failed"] | None = Field(alias="is", default=None)
    within: Duration | None = None
    after: Annotated[Literal["reconnect"] | None, BeforeValidator(_read_after)] = None


class ReceivedExpected(Expected):
    """How many messages of a kind each client gets, or each client of each upload that it asked for."""

    uploads: Names = None
    action: Action
    per: Literal["client", "upload"] = "client"
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        if self.per == "client" and self.uploads is not None and not self.action.startswith("upload_"):
            refuse(f"expected no uploads: {self.action} is about none")
        return self


class CloseExpected(Expected):
    """How each client's connections end. ``within`` and ``between`` count from the connection's join."""

    codes: Annotated[list[Annotated[int, Field(ge=1000, le=4999)]], Field(min_length=1)]
    within: Duration | None = None
    between: DurationSpread | None = None
    max_reconnects: Annotated[int, Field(ge=0)] | None = None


class _Percentiles(Expected):
    """Upper bounds, in seconds, on shares of the samples."""

    p50: Duration | None = None
    p90: Duration | None = None
    p95: Duration | None = None
    p99: Duration | None = None
    max: Duration | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if not self.bounds():
            refuse("expected at least one of p50, p90, p95, p99 and max")
        return self

    def bounds(self) -> dict[str, float]:
        """The bounds that were given, by their names."""
        found = {name: getattr(self, name) for name in ("p50", "p90", "p95", "p99", "max")}
        return {name: bound for name, bound in found.items() if bound is not None}


class LatencyExpected(_Percentiles):
    """How long states take, from the moment at which their publishing was due to the moment at which a client has them."""

    uploads: Names = None


class ConnectTimeExpected(_Percentiles):
    """How long a connection takes, from the first packet to ``auth_success``."""


class IndistinguishableExpected(Expected):
    """What these clients are told is the same to the letter but for upload ids, and comes as soon: nobody can tell a foreign
    upload from one that does not exist.
    """

    uploads: Names = None


class DroppedExpected(Model):
    """How many published events the judge refuses with this verdict."""

    modes: list[Arm] | None = None
    reason: Reason
    uploads: Names = None
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        return self


class ServerExpected(Model):
    """A figure that the server gives of itself, at every moment at which it was asked."""

    modes: list[Arm] | None = None
    metric: str
    min: Bound | None = None
    max: Bound | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        return self


class RateExpected(Expected):
    """How often something happens at most, and at least, in every ``window`` of the run."""

    unbuilt = frozenset({"except"})
    of: Literal["connects", "closes", "events", "deliveries"]
    max: Rate | None = None
    min: Rate | None = None
    window: Duration = 1.0

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        if self.window <= 0:
            refuse("expected a window above 0s")
        return self


class SometimesExpected(Expected):
    """Something that this scenario is about did happen, at least once: else it proves nothing."""

    that: Annotated[str, BeforeValidator(_read_probe)]


class ErrorsExpected(Expected):
    """How many ``error`` messages clients get, of one code or of any."""

    code: str | None = None
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            refuse("expected min, max or both")
        return self


class Expectation(Model):
    """One thing that must come of it: exactly one of the keys."""

    unbuilt = frozenset({"health"})
    terminal: TerminalExpected | None = None
    received: ReceivedExpected | None = None
    close: CloseExpected | None = None
    latency: LatencyExpected | None = None
    connect_time: ConnectTimeExpected | None = None
    indistinguishable: IndistinguishableExpected | None = None
    dropped: DroppedExpected | None = None
    server: ServerExpected | None = None
    rate: RateExpected | None = None
    sometimes: SometimesExpected | None = None
    errors: ErrorsExpected | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            refuse(f"expected exactly one of {', '.join(type(self).model_fields)}")
        return self
