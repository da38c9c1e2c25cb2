"""The control port of a supervisor: it asks its workers, and says what it is told.

What every worker knows, any of them answers. What each knows of itself alone is asked of all and put together.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from vuemantics_ws.client.relay import Answer, Asked, Relay
from vuemantics_ws.gateway.answers import problem
from vuemantics_ws.gateway.control import add_complaints
from vuemantics_ws.gateway.crew import Crew
from vuemantics_ws.gateway.guard import Guard
from vuemantics_ws.gateway.inspection_answers import PAGES, KickOptions, PageOptions, WatchOptions
from vuemantics_ws.gateway.line_stream import LineStream
from vuemantics_ws.gateway.merging import merge_numbers
from vuemantics_ws.gateway.worker_metrics import join
from vuemantics_ws.gateway.worker_streams import frames_of_any, happenings
from vuemantics_ws.gateway.worker_views import ask_each, frames_of_all, page_of_all
from vuemantics_ws.limits import Limits

T = TypeVar("T")

Describe = Callable[[], dict[str, Any]]
"""What of ``node`` in a frame is the supervisor's own."""


def create_supervisor_application(crew: Crew, relay: Relay, limits: Limits, describe: Describe) -> FastAPI:
    """It answers as a node's does, and :mod:`vuemantics_ws.gateway.guard` says whom."""
    application = FastAPI(openapi_url=None, redirect_slashes=False)
    application.add_middleware(Guard, body_bytes_max=limits.event_bytes_max)
    _add_health(application, crew, relay)
    _add_observation(application, crew, relay, describe)
    for view in PAGES:
        _add_page(application, crew, relay, view)
    _add_watch(application, crew, relay, describe)
    _add_rest(application, crew, relay)
    add_complaints(application, limits)
    return application


def _add_health(application: FastAPI, crew: Crew, relay: Relay) -> None:
    @application.api_route("/healthz", methods=["GET", "HEAD"])
    async def healthz() -> dict[str, Any]:
        """Whether the supervisor lives, whatever its workers do."""
        return {"state": crew.state}

    @application.api_route("/readyz", methods=["GET", "HEAD"])
    async def readyz() -> Response:
        """Whether one of the workers takes new connections: the kernel gives them to those that listen."""
        told = await ask_each(crew, relay, "/readyz")
        ready = [number for number, answer in told.items() if answer.status == 200]
        workers = [
            {"worker": worker.number, "pid": worker.pid, "control": worker.control, "ready": worker.number in ready}
            for worker in crew.workers
        ]
        if ready:
            return JSONResponse({**msgspec.json.decode(told[ready[0]].body), "workers": workers})
        why = next(iter(told.values())) if told else problem(503, "not_ready", "no worker answers")
        return JSONResponse({**msgspec.json.decode(why.body), "workers": workers}, status_code=503)


def _add_observation(application: FastAPI, crew: Crew, relay: Relay, describe: Describe) -> None:
    @application.get("/statistics")
    async def statistics() -> dict[str, Any]:
        told = await ask_each(crew, relay, "/statistics")
        said = [msgspec.json.decode(answer.body) for answer in told.values() if answer.status == 200]
        sums = {name: merge_numbers([one[name] for one in said]) for name in ("tables", "counters")}
        return {"state": crew.state, "uptime_s": describe()["uptime_s"], **sums}

    @application.get("/metrics")
    async def metrics() -> Response:
        told = await ask_each(crew, relay, "/metrics")
        expositions = {number: answer.body.decode() for number, answer in told.items() if answer.status == 200}
        text, kind = join(expositions, restarts=crew.restarts)
        return Response(text, headers={"Content-Type": kind})

    @application.get("/happenings")
    async def happening() -> Response:
        lines = happenings(crew, relay)
        await anext(lines)
        return LineStream(lines)


def _add_page(application: FastAPI, crew: Crew, relay: Relay, view: str) -> None:
    @application.get(f"/{view}")
    async def page(request: Request, options: Annotated[PageOptions, Query()]) -> Response:
        if options.scope != "node":
            return await _pass_on(crew, relay, request)
        found = await page_of_all(crew, relay, view, options)
        return _response(found) if isinstance(found, Answer) else JSONResponse(found)


def _add_watch(application: FastAPI, crew: Crew, relay: Relay, describe: Describe) -> None:
    @application.get("/watch")
    async def watch(request: Request, options: Annotated[WatchOptions, Query()]) -> Response:
        """The workers of this machine where ``scope=node``; else all nodes that there are, as one of the workers tells it."""
        if options.scope == "node":
            frames: AsyncGenerator[Any, None] = _as_one(frames_of_all(crew, relay, options), describe)
        else:
            frames = frames_of_any(crew, relay, _target(request))
        first = await anext(frames, None)
        if first is None:
            return problem(503, "unavailable", "no worker answers")
        return _response(first) if isinstance(first, Answer) else LineStream(_behind(first, frames))


def _add_rest(application: FastAPI, crew: Crew, relay: Relay) -> None:
    @application.delete("/connections/{number}")
    async def kick(request: Request, number: Annotated[int, Path(ge=1)], options: Annotated[KickOptions, Query()]) -> Response:
        if options.node is None:
            hint = "name it with node= (kick --node): /nodes and the rows of /connections have the names"
            return problem(422, "bad_request", "node: expected the connection's, since each worker counts for itself", hint)
        return await _pass_on(crew, relay, request)

    @application.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "DELETE"])
    async def rest(request: Request) -> Response:
        """Whatever every worker knows, or can do."""
        return await _pass_on(crew, relay, request)


async def _pass_on(crew: Crew, relay: Relay, request: Request) -> Response:
    asked = Asked(request.method, _target(request), request.headers.get("content-type"), await request.body())
    return _response(await relay.ask_any(crew.controls, asked, harmless_twice=request.method != "DELETE"))


def _target(request: Request) -> str:
    """The path and the query, as they came."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.content_type or None)


async def _as_one(frames: AsyncGenerator[dict[str, Any] | Answer, None], describe: Describe) -> AsyncGenerator[Any, None]:
    """The frames as those of the supervisor, which is one to whoever watches it."""
    async with aclosing(frames):
        async for frame in frames:
            yield frame if isinstance(frame, Answer) else {**frame, "node": frame["node"] | describe()}


async def _behind(first: T, following: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    async with aclosing(following):
        yield first
        async for one in following:
            yield one
