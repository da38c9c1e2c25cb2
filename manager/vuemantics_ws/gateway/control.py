"""The control port: how publishers, tools and people speak to a node over HTTP.

The application may be mounted under any prefix of another one. It runs no task of its own, and asks the node for everything.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import BadEvent, BadQuery, EnvironmentUnfit, VuemanticsError
from vuemantics_ws.gateway.answers import (
    EVENT_EXAMPLES,
    Happening,
    Health,
    IssuedToken,
    Problem,
    PublishOptions,
    PublishReceipt,
    Ready,
    Statistics,
    TokenRequest,
    UploadId,
    UploadState,
    problem,
)
from vuemantics_ws.gateway.control_inspection import InspectedNode, add_inspection
from vuemantics_ws.gateway.guard import Guard, too_large
from vuemantics_ws.gateway.inspection_answers import KickOptions, KickUserOptions, PageOptions, WatchOptions
from vuemantics_ws.gateway.line_stream import LineStream
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import UploadMessage

API_VERSION = "1"


class ControlledNode(InspectedNode, Protocol):
    """What a node offers to whoever controls it."""

    @property
    def state(self) -> str:
        """``ready`` while new connections are taken."""
        ...

    @property
    def clock(self) -> Clock: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def mint(self) -> Callable[[str, float], str] | None:
        """``mint(user_id, ttl_s)`` makes a token; None where the node gives none away."""
        ...

    async def publish(self, event: Event) -> Receipt:
        """Judge an event, and deliver it if it is news."""
        ...

    async def head(self, upload_id: str) -> Head | None:
        """The newest accepted event."""
        ...

    def statistics(self) -> dict[str, Any]:
        """As :class:`vuemantics_ws.gateway.answers.Statistics`."""
        ...

    def happenings(self) -> AsyncIterator[dict[str, Any]]:
        """Everything that happens from the first step of the iterator on, each with the keys ``at`` and ``kind``.

        What waits for one reader is bounded: the oldest go, and an object of kind ``dropped`` with their ``count`` says so.
        It ends when the node stops, and must: a stream that goes on keeps the server of the control port from stopping.
        """
        ...


def create_control_application(node: ControlledNode, *, allowed_hosts: Iterable[str] = ()) -> FastAPI:
    """The control port of a node as an ASGI application. :mod:`vuemantics_ws.gateway.guard` says whom it answers.

    Args:
        allowed_hosts: names other than loopback's under which it may be called. Whoever can reach it there may publish, so
            let nobody reach it whom you would not let publish.
    """
    application = _ControlApplication(
        title="vuemantics-ws control port",
        version=API_VERSION,
        summary="Publish events, and see what a node knows and does.",
        docs_url=None,  # these pages would load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={403: _may_say("A page of another origin asked, or the Host is not known.")},
    )
    application.add_middleware(Guard, allowed_hosts=tuple(allowed_hosts), body_bytes_max=node.limits.event_bytes_max)
    _add_uploads(application, node)
    _add_observation(application, node)
    add_inspection(application, node)
    _add_tokens(application, node)
    _add_health(application, node)
    add_complaints(application, node.limits)
    return application


def _may_say(description: str) -> dict[str, Any]:
    return {"model": Problem, "description": description}


def _add_uploads(application: FastAPI, node: ControlledNode) -> None:
    @application.post(
        "/events",
        tags=["uploads"],
        summary="Publish an event",
        responses={
            413: _may_say("The event is too big."),
            415: _may_say("It came as a form sends things."),
            422: _may_say("Browsers would refuse the event, or an option is not known. Nothing was published."),
            503: _may_say("The broker cannot be reached. Whether the event was taken is not known: publish it again."),
        },
    )
    async def publish(request: Request, options: Annotated[PublishOptions, Query()]) -> PublishReceipt:
        """Judge the event in the body, keep it if it is news, and send it to whoever follows its upload.

        The body is what browsers get, byte for byte, except that an event without a version gets one. Publishing the same
        bytes again does no harm.
        """
        event = Event.read(await request.body(), owner=options.owner)
        receipt = await node.publish(event)
        attempt, seq = receipt.version or (None, None)
        return PublishReceipt(
            upload_id=event.upload_id, verdict=receipt.verdict, attempt=attempt, seq=seq, receivers=receipt.receivers
        )

    @application.get(
        "/uploads/{upload_id}",
        tags=["uploads"],
        summary="The newest state of an upload",
        response_model=UploadState,
        responses={
            404: _may_say("Nothing is known of it."),
            422: _may_say("This is no upload id."),
            503: _may_say("The broker cannot be reached."),
        },
    )
    async def upload(upload_id: UploadId) -> Response:
        head = await node.head(upload_id)
        if head is None:
            return problem(404, "unknown_upload", "nothing is known of this upload", "it may be too old, or not have begun")
        state = {
            "upload_id": upload_id,
            "attempt": head.version.attempt,
            "seq": head.version.seq,
            "terminal": head.terminal,
            "owner": head.owner,
            "age_s": round(max(0.0, node.clock.monotonic() - head.accepted_at), 3),
            "event": msgspec.Raw(head.frame.payload),  # as it was published, whatever else it holds
        }
        return Response(msgspec.json.encode(state), media_type="application/json")


def _add_observation(application: FastAPI, node: ControlledNode) -> None:
    @application.get("/statistics", tags=["observation"], summary="Tables and counters")
    async def statistics() -> Statistics:
        """How full every table is now, and what happened since the start."""
        return Statistics.model_validate(node.statistics())

    @application.get("/happenings", tags=["observation"], summary="What happens, as it happens", response_model=None)
    async def happenings() -> Response:
        """One JSON object a line, from now on, until the node stops."""
        return LineStream(node.happenings())


def _add_tokens(application: FastAPI, node: ControlledNode) -> None:
    @application.post(
        "/tokens",
        tags=["tokens"],
        summary="Get a token for any user",
        response_model=IssuedToken,
        responses={
            400: _may_say("The body cannot be read."),
            403: _may_say("The node is not in development mode, or a page of another origin asked."),
            413: _may_say("The body is too big."),
            415: _may_say("It came as a form sends things."),
            422: _may_say("Nobody may be called that, or the time is out of range."),
        },
    )
    async def tokens(request: TokenRequest) -> IssuedToken | Response:
        """In development mode only: with a secret, whoever has it makes the tokens."""
        if node.mint is None:
            hint = "this server was started with a secret: whoever has it makes the tokens, for one with token --secret"
            return problem(403, "no_development", "tokens are given away in development mode only", hint)
        expires_at = round(node.clock.wall() + request.ttl_s, 3)
        return IssuedToken(token=node.mint(request.user_id, request.ttl_s), user_id=request.user_id, expires_at=expires_at)


def _add_health(application: FastAPI, node: ControlledNode) -> None:
    @application.head("/healthz", include_in_schema=False)
    @application.get("/healthz", tags=["health"], summary="Whether the process lives")
    async def healthz() -> Health:
        return Health(state=node.state)

    @application.head("/readyz", include_in_schema=False, response_model=Ready)
    @application.get(
        "/readyz",
        tags=["health"],
        summary="Whether new connections are taken, and all that was promised is kept",
        response_model=Ready,
        responses={503: _may_say("Not yet, or not any more, or the broker is away: `broker_away` has the reason.")},
    )
    async def readyz() -> Ready | Response:
        if node.state != "ready":
            return problem(503, "not_ready", f"the node is {node.state}")
        broker = node.inspection.broker()
        if not broker["ready"]:
            reason = broker["reason"] or "the broker is away"
            return problem(503, "broker_away", reason, broker["hint"], since_s=broker["since_s"])
        return Ready(state=node.state, adopted=node.inspection.adopted())


_WORDS = {
    400: ("bad_request", "expected a request that can be read"),
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "expected another method"),
    408: ("too_slow", "expected the whole body sooner"),
}


def add_complaints(application: FastAPI, limits: Limits) -> None:
    """Every refusal has one shape, and none of them quotes what was sent."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 413:
            return too_large(limits.event_bytes_max)
        code, message = _WORDS.get(error.status_code, ("refused", "this cannot be done"))
        return problem(error.status_code, code, message, "openapi.json lists what there is", headers=error.headers)

    async def not_valid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(422, "bad_request", _explain(error, request.scope["route"].path))

    async def bad_event(request: Request, error: Exception) -> Response:
        assert isinstance(error, VuemanticsError)
        return problem(422, "bad_event", error.message, error.hint)

    async def bad_query(request: Request, error: Exception) -> Response:
        assert isinstance(error, VuemanticsError)
        return problem(422, "bad_query", error.message, error.hint)

    async def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, VuemanticsError)
        return problem(503, "unavailable", error.message, error.hint)

    async def left(request: Request, error: Exception) -> Response:
        return problem(400, "incomplete", "the request ended before it was whole")  # which nobody reads

    async def fault(request: Request, error: Exception) -> Response:
        return problem(500, "internal", "a fault of ours", "the server's log has the cause")

    application.add_exception_handler(HTTPException, refused)
    application.add_exception_handler(RequestValidationError, not_valid)
    application.add_exception_handler(BadEvent, bad_event)
    application.add_exception_handler(BadQuery, bad_query)
    application.add_exception_handler(EnvironmentUnfit, unfit)
    application.add_exception_handler(ClientDisconnect, left)
    application.add_exception_handler(Exception, fault)


_TAKEN: dict[str, type[BaseModel]] = {
    "/events": PublishOptions,
    "/tokens": TokenRequest,
    "/watch": WatchOptions,
    "/connections/{number}": KickOptions,
    "/users/{user_id:path}/connections": KickUserOptions,
}
"""What an operation takes, by its path; pages take theirs."""

_PARAMETERS = {"upload_id", "user_id", "number", *(name for model in _TAKEN.values() for name in model.model_fields)}
_WRONG = {
    "json_invalid": "expected JSON",
    "model_attributes_type": "expected a JSON object, sent as application/json",
    "string_pattern_mismatch": "expected 1 to 128 letters, digits, dots, underscores and hyphens",
}
"""What is wrong, in our words, by pydantic's name for it. Its own words serve for the rest, and quote no input either."""


def _explain(error: RequestValidationError, path: str) -> str:
    """The first thing that is wrong. Where a key was not expected, its name is the sender's, and is not repeated."""
    found = error.errors()[0]
    named = [str(part) for part in found["loc"] if part in _PARAMETERS]
    if found["type"] == "extra_forbidden":
        *others, last = _TAKEN.get(path, PageOptions).model_fields
        return f"expected nothing but {', '.join(others)} and {last}" if others else f"expected nothing but {last}"
    said = _WRONG.get(found["type"]) or str(found["msg"]).removeprefix("Value error, ")
    return ": ".join([*named, said[:1].lower() + said[1:]])


_SCHEMAS = "#/components/schemas/"


def _event_body() -> dict[str, Any]:
    examples = {name: {"value": example} for name, example in EVENT_EXAMPLES.items()}
    return {
        "required": True,
        "description": "One of the three messages about an upload. Its owner is given beside it, never in it.",
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + "UploadMessage"}, "examples": examples}},
    }


class _ControlApplication(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The document, with what FastAPI cannot know: msgspec's events, and answers that are endless or no JSON.

        Given to FastAPI itself, the examples of events would lose their nulls, and browsers refuse such events.
        """
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            schemas.update(_event_schemas())
            schemas["Happening"] = Happening.model_json_schema()
            schemas["UploadState"]["properties"]["event"] = {"$ref": _SCHEMAS + "UploadMessage"}
            document["paths"]["/events"]["post"]["requestBody"] = _event_body()
            schemas["Exposition"] = {"type": "string", "description": "Prometheus' text format."}
            told = document["paths"]["/metrics"]["get"]["responses"]["200"]
            told["content"] = {"text/plain": {"schema": {"$ref": _SCHEMAS + "Exposition"}}}
            for path, line in (("/happenings", "Happening"), ("/watch", "WatchFrame")):
                told = document["paths"][path]["get"]["responses"]["200"]
                told["content"] = {LineStream.media_type: {"schema": {"$ref": _SCHEMAS + line}}}
        assert self.openapi_schema is not None
        return self.openapi_schema


def _event_schemas() -> dict[str, Any]:
    (message,), schemas = msgspec.json.schema_components([UploadMessage], ref_template=_SCHEMAS + "{name}")
    for schema in schemas.values():
        schema.get("properties", {}).pop("owner", None)  # known only in order to be refused
        identifier = schema.get("properties", {}).get("upload_id")
        if identifier is not None:
            identifier["pattern"] = identifier["pattern"].replace(r"\Z", "$")  # as JavaScript writes it
    return {"UploadMessage": message, **schemas}
