"""The clients of a scenario file: when their tabs open, what they show and ask for, how they read, leave and come back."""

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.amounts import (
    ONE_KEY,
    Bandwidth,
    Duration,
    DurationDraw,
    Model,
    Rate,
    nearest,
    one_key_of,
    read_draw,
    refuse,
    show,
)
from vuemantics_ws.simulation.format.naming import COUNT_MAX, Count, Name, NodeName, Only, check_only

TokenKind = Literal[
    "valid", "none", "expired", "not_yet_valid", "wrong_signature", "alg_none", "refresh", "no_expiry", "no_user", "garbage"
]
"""What a client shows for a token. ``none`` shows nothing: it connects and keeps silent."""

TOKEN_KINDS: dict[TokenKind, str] = {
    "valid": "the server takes it",
    "none": "nothing is shown: the client connects and keeps silent",
    "expired": "its end has passed",
    "not_yet_valid": "its beginning has not come",
    "wrong_signature": "it is signed with another key",
    "alg_none": "it says that it needs no signature, and has none",
    "refresh": "it is a refresh token, which is good elsewhere",
    "no_expiry": "it has no end",
    "no_user": "it names nobody",
    "garbage": "it is no token at all",
}
"""What each of them means."""

STEPS_MAX = 1_000
"""Steps of one script."""

_AROUND = re.compile(r"[^.]+\.(start|terminal)")


class RampPoint(Model):
    """A stretch of a ramp."""

    to: Annotated[int, Field(ge=0, le=COUNT_MAX)]
    """How many have joined at its end. Less than before is an error: leave says when clients go."""
    over: Duration
    """How long the stretch is; joins are evenly spread over it."""


def _read_around(value: Any) -> Any:
    if isinstance(value, str) and not _AROUND.fullmatch(value):
        refuse(f"expected UPLOAD.start or UPLOAD.terminal, got {show(value)}")
    return value


class Join(Model):
    """When the members of a client entry open their tabs: exactly one of at, around, ramp and arrive."""

    model_config = ConfigDict(
        json_schema_extra={
            **one_key_of("at", "around", "ramp", "arrive"),
            "dependentRequired": {"arrive": ["for"], "for": ["arrive"], "spread": ["around"]},
        }
    )

    at: DurationDraw | None = None
    """The same as the short form: a time, or a range from which each member draws its own."""
    around: (
        Annotated[str, BeforeValidator(_read_around), WithJsonSchema({"type": "string", "pattern": r"\.(start|terminal)$"})]
        | None
    ) = None
    """UPLOAD.start, or UPLOAD.terminal: the newest end. Of a fleet, member i joins around upload i modulo the uploads."""
    spread: Duration = 0.0
    """Beside around: up to how long before and after that."""
    ramp: Annotated[list[RampPoint], Field(min_length=1)] | None = None
    """How many have joined when, stretch by stretch. It says how many come, so there is no count."""
    arrive: Rate | None = None
    """How many join a second, as strangers do. It says how many come, so there is no count."""
    for_s: Duration | None = Field(alias="for", default=None)
    """Beside arrive: for how long."""

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
        if self.ramp is not None and self.ramp[-1].to == 0:
            refuse("expected a ramp that leads to 1 at least")
        return self

    @property
    def count(self) -> int | None:
        """How many join, where the key itself says so."""
        if self.ramp is not None:
            return self.ramp[-1].to
        return max(1, round(self.arrive * self.for_s)) if self.arrive is not None and self.for_s is not None else None


def _read_join(value: Any) -> Join:
    return Join.model_validate(value) if isinstance(value, dict) else Join.model_construct(at=read_draw(value))


_SAYS_A_COUNT: dict[str, Any] = {"type": "object", "anyOf": [{"required": ["ramp"]}, {"required": ["arrive"]}]}


class Leave(Model):
    """A tab goes."""

    after: DurationDraw
    """How long after its join."""
    how: Literal["close", "abort", "vanish"] = "close"
    """With a goodbye, with a reset, or without a word."""


def _read_jitter(value: Any) -> Any:
    return None if value == "full" else value


class Reconnect(Model):
    """How a client comes back. The defaults are the application's (PROTOCOL.md section 4)."""

    initial: Duration = 1.0
    """The pause before the first try."""
    factor: Annotated[float, Field(ge=1, le=1000, strict=False)] = 2.0
    """What each pause is multiplied by for the next."""
    max: Duration = 30.0
    """The longest pause."""
    jitter: Annotated[Duration | None, BeforeValidator(_read_jitter, json_schema_input_type=Literal["full"] | Duration)] = 3.0
    """Up to how much is added to each pause; full draws the pause evenly from nothing to all of it."""
    attempts: Annotated[int, Field(ge=0, le=1000)] = 10
    """How many tries there are before it gives up."""


def _read_reconnect(value: Any) -> Reconnect:
    if value == "default":
        return Reconnect()
    if value == "none":
        return Reconnect(attempts=0)
    if not isinstance(value, dict):
        refuse(f"expected default, none, or keys and values, got {show(value)}{nearest(value, ('default', 'none'))}")
    return Reconnect.model_validate(value)


class Token(Model):
    """What a client shows for a token."""

    model_config = ConfigDict(json_schema_extra={"dependentSchemas": {"ttl": {"properties": {"kind": {"const": "valid"}}}}})

    kind: TokenKind = "valid"
    """The same as the short form."""
    ttl: Duration | None = None
    """Makes a valid one that ends so long after the join."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.ttl is not None and self.kind != "valid":
            refuse("expected ttl beside a valid token only")
        return self


def _read_token(value: Any) -> Token:
    if isinstance(value, dict):
        return Token.model_validate(value)
    if not isinstance(value, str) or value not in TOKEN_KINDS:
        kinds = ", ".join(TOKEN_KINDS)
        refuse(f"expected one of {kinds}, or {{ttl: DURATION}}, got {show(value)}{nearest(value, TOKEN_KINDS)}")
    return Token(kind=value)


class Reading(Model):
    """How a client takes what comes: exactly one of rate and stop."""

    model_config = ConfigDict(json_schema_extra={**one_key_of("rate", "stop"), "dependentRequired": {"for": ["stop"]}})

    rate: Bandwidth | None = None
    """How much it reads a second."""
    stop: Duration | None = None
    """From when on it reads nothing, counted from the join."""
    for_s: Duration | None = Field(alias="for", default=None)
    """Beside stop: for how long; by default for good."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.rate is None) is (self.stop is None):
            refuse("expected exactly one of rate and stop")
        if self.for_s is not None and self.stop is None:
            refuse("expected for beside stop only")
        return self


def _read_auth(value: Any) -> Any:
    return value if value is True else refuse(f"expected true, got {show(value)}")


class Step(Model):
    """One thing that a scripted client does: exactly one of the keys."""

    model_config = ConfigDict(json_schema_extra=ONE_KEY)

    auth: Annotated[Literal[True], BeforeValidator(_read_auth)] | None = None
    """Show the client's token; the short form is the word auth."""
    wait: Duration | None = None
    """Do nothing for so long."""
    send: dict[str, Any] | None = None
    """Send these keys and values as a JSON object. An upload_id that names an upload of the file stands for its id."""
    send_raw: str | None = None
    """Send this text as it stands."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            refuse("expected auth, or exactly one of wait, send and send_raw")
        return self


def _read_step(value: Any) -> Step:
    if value == "auth":
        return Step(auth=True)
    if not isinstance(value, dict):
        refuse(f"expected auth, or exactly one of wait, send and send_raw, got {show(value)}")
    return Step.model_validate(value)


def _read_subscribe(value: Any) -> Any:
    if value == "own":
        return None
    if value == "none":
        return []
    if not isinstance(value, list):
        refuse(
            f"expected own, none, or a list of uploads such as [holiday], got {show(value)}{nearest(value, ('own', 'none'))}"
        )
    return value


class Client(Model):
    """One browser tab, or a fleet of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "dependentSchemas": {
                "count": {"properties": {"join": {"not": _SAYS_A_COUNT}}},
                "only": {"anyOf": [{"required": ["count"]}, {"required": ["join"], "properties": {"join": _SAYS_A_COUNT}}]},
            }
        }
    )

    id: Name
    """What the file calls it. Members of a fleet are called ID:0, ID:1 and so on."""
    user: str
    """Who sits before it: a key of users. Of a fleet, member i belongs to user i modulo the users."""
    count: Count | None = None
    """Makes a fleet of so many."""
    only: Only | None = None
    """Of a fleet just these members exist, such as [0, 17]. Nobody's name, user or luck changes by it."""
    node: NodeName | None = None
    """The node to which it connects, and to no other; by default all are spread over the nodes that take them."""
    join: Annotated[Join, PlainValidator(_read_join, json_schema_input_type=DurationDraw | Join)] = Join(at=Spread(0.0, 0.0))
    """When it opens: a time, a range, or the keys below."""
    subscribe: Annotated[
        list[str] | None, BeforeValidator(_read_subscribe, json_schema_input_type=Literal["own", "none"] | list[str])
    ] = None
    """own: the user's uploads, as soon as it can know of each. none, or a list: those, at its join."""
    network: str | None = None
    """A profile of network, or lan, wifi or mobile; by default there is nothing in between but loopback."""
    reading: Reading | None = None
    """How it takes what comes; by default at once."""
    leave: Leave | None = None
    """When it goes; by default at the end of the run."""
    reconnect: Annotated[
        Reconnect, PlainValidator(_read_reconnect, json_schema_input_type=Literal["default", "none"] | Reconnect)
    ] = Reconnect()
    """How it comes back: default is as the application's browser does."""
    token: Annotated[Token, PlainValidator(_read_token, json_schema_input_type=TokenKind | Token)] = Token()
    """What it shows for a token."""
    script: (
        Annotated[
            list[Annotated[Step, PlainValidator(_read_step, json_schema_input_type=Literal["auth"] | Step)]],
            Field(min_length=1, max_length=STEPS_MAX),
        ]
        | None
    ) = None
    """What it does instead of authenticating by itself. Once it has, it asks for what subscribe says all the same."""

    @model_validator(mode="after")
    def _counts_once(self) -> Self:
        if self.count is not None and self.join.count is not None:
            refuse("expected a count, or a join that says how many come")
        check_only(self.only, self.members)
        return self

    @property
    def members(self) -> int | None:
        """How many a fleet has; None for one client."""
        return self.join.count if self.join.count is not None else self.count

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.only) if self.only is not None else self.members or 1


assert get_args(TokenKind) == tuple(TOKEN_KINDS)
