"""What the control port takes and says, as models: they check what comes in, and are the OpenAPI document's schemas."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vuemantics_ws.gateway.auth import USER_ID_CHARACTERS_MAX, is_user_id

TTL_S_MAX = 366 * 86_400

EVENT_EXAMPLES: dict[str, dict[str, Any]] = {
    "upload_progress": {
        "action": "upload_progress",
        "payload": {
            "upload_id": "7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11",
            "status": "analyzing",
            "stage": "vision_analysis",
            "progress_percent": 20,
            "message": "Looking at the picture",
            "error_message": None,
            "description_audit_score": None,
        },
        "timestamp": "2025-01-31T12:00:00.250Z",
        "attempt": 1,
        "seq": 2,
    },
    "upload_completed": {
        "action": "upload_completed",
        "upload_id": "7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11",
        "description": "A red bicycle leans against a wall",
        "audit_score": 92,
        "timestamp": "2025-01-31T12:00:08Z",
        "attempt": 1,
        "seq": 6,
    },
    "upload_failed": {
        "action": "upload_failed",
        "upload_id": "7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11",
        "error_message": "The file is no picture",
        "timestamp": "2025-01-31T12:00:08Z",
    },
}


def _check_user_id(text: str) -> str:
    if not is_user_id(text):
        raise ValueError("expected no control characters")
    return text


UserId = Annotated[
    str,
    Field(min_length=1, max_length=USER_ID_CHARACTERS_MAX, description="As in `sub` of a token.", examples=["alice"]),
    AfterValidator(_check_user_id),
]
UploadId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9._-]{1,128}$", examples=["7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11"]),
]


class _Answer(BaseModel):
    """May grow; who reads it passes over what is new."""

    model_config = ConfigDict(extra="allow")


class _Question(BaseModel):
    """A key that is not known is refused: it is one that was mistyped."""

    model_config = ConfigDict(extra="forbid")


class Complaint(_Answer):
    code: str = Field(description="For programs; does not change.", examples=["bad_event"])
    message: str = Field(description="For people. Quotes nothing of what was sent.", examples=["expected JSON"])
    hint: str | None = Field(description="What to do next, where there is something to say.", examples=[None])
    since_s: float | None = Field(None, description="For how long it has been so; of `broker_away` alone.", examples=[12.5])


class Problem(_Answer):
    """Every answer of 400 and above."""

    error: Complaint


class PublishOptions(_Question):
    owner: UserId | None = Field(
        None,
        description="Whose upload it is. None leaves the owner as it was; another takes it away from the former one.",
        examples=["alice"],
    )


class PublishReceipt(_Answer):
    """What became of an event that could be read. That it was refused as old is an answer, too."""

    upload_id: str = Field(examples=["7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11"])
    verdict: str = Field(
        description="`accepted`, `duplicate` (known already, which is fine), `stale` or `after_terminal`.",
        examples=["accepted"],
    )
    attempt: int | None = Field(
        description="With `seq` the version: the event's where it was accepted, else the newest.", examples=[1]
    )
    seq: int | None = Field(examples=[2])
    receivers: int | None = Field(description="How many processes were told; null where nobody knows.", examples=[1])


class UploadState(_Answer):
    """The newest accepted event of an upload."""

    upload_id: str = Field(examples=["7b6dfa0e-6f3f-4a83-9d3c-0c7a3a4f9f11"])
    attempt: int = Field(examples=[1])
    seq: int = Field(examples=[2])
    terminal: bool = Field(description="Whether this attempt has ended.", examples=[False])
    owner: str | None = Field(description="As named by a publisher; never part of the event.", examples=["alice"])
    age_s: float = Field(description="Seconds since the event was accepted.", examples=[1.25])
    event: dict[str, Any] = Field(description="What browsers get.", examples=[EVENT_EXAMPLES["upload_progress"]])


class Tables(_Answer):
    """How full the tables of the process are, now."""

    connections: int = Field(description="Open sockets of the public port.", examples=[12])
    unauthenticated: int = Field(description="Those of them that have not shown yet who they are.", examples=[0])
    users: int = Field(description="Users with a connection, or in their grace time.", examples=[10])
    uploads: int = Field(description="Uploads that somebody follows.", examples=[31])
    follows: int = Field(description="Pairs of user and upload.", examples=[31])
    watches: int = Field(description="Uploads of which the broker tells this process.", examples=[31])
    outbox_bytes: int = Field(description="What waits for connections that do not keep up.", examples=[0])
    outbox_bytes_max: int = Field(description="Of that, the most that waits for one connection.", examples=[0])
    heads: int | None = Field(None, description="Newest states that are kept; null where that is elsewhere.", examples=[40])


class Counters(_Answer):
    """What happened since the start. They only grow."""

    events: dict[str, int] = Field(description="Published events by verdict.", examples=[{"accepted": 120, "stale": 1}])
    deliveries: int = Field(description="Frames about uploads that were handed to connections.", examples=[410])
    conflated: int = Field(description="Those that a newer frame replaced before they left.", examples=[7])
    connects: int = Field(description="Connections that authenticated.", examples=[15])
    closes: dict[str, int] = Field(description="Connections that ended, by close code.", examples=[{"1000": 3}])
    limits: dict[str, int] = Field(description="Refusals by the name of the limit.", examples=[{"uploads_per_user_max": 1}])
    unowned_events: int = Field(description="Events that nobody may get, because nobody owns their upload.", examples=[0])


class Statistics(_Answer):
    state: str = Field(description="`ready`, `draining`, or what comes before and after.", examples=["ready"])
    uptime_s: float = Field(examples=[3600.5])
    tables: Tables
    counters: Counters


class TokenRequest(_Question):
    user_id: UserId
    ttl_s: float = Field(
        3_600.0, gt=0, le=TTL_S_MAX, allow_inf_nan=False, description="For how many seconds it is good.", examples=[3600]
    )


class IssuedToken(_Answer):
    token: str = Field(description="A JWT for the auth message.", examples=["eyJhbGciOi…"])
    user_id: str = Field(examples=["alice"])
    expires_at: float = Field(description="In seconds since 1970-01-01 UTC.", examples=[1738328400.0])


class Happening(_Answer):
    """One line of what happens. The other keys depend on its kind."""

    at: float = Field(description="In seconds since 1970-01-01 UTC.", examples=[1738324800.25])
    kind: str = Field(
        description="Such as `connected`, `followed`, `event` or `closed`; `dropped` has the `count` of those that this "
        "listener was too slow for.",
        examples=["event"],
    )


class Health(_Answer):
    state: str = Field(examples=["ready"])


class Ready(Health):
    """Whoever is ready may still have nobody who hears plain publishers: that is another's to cure, and said here."""

    adopted: bool | None = Field(
        description="Whether some node hears what plain publishers say; null where there are none. Else it reaches nobody.",
        examples=[True],
    )


def problem(
    status: int, code: str, message: str, hint: str | None = None, *, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The one shape of every refusal."""
    said = {"code": code, "message": message, "hint": hint, **more}
    return JSONResponse({"error": said}, status_code=status, headers=headers)
