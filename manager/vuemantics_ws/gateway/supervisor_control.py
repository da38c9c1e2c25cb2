"""The control port of a supervisor: it asks its workers, and says what it is told.

What every worker knows, any of them answers. What each knows of itself alone is asked of all and put together.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from vuemantics_ws.client.relay import Answer, Asked, Relay
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.answers import problem
from vuemantics_ws.gateway.control import add_complaints
from vuemantics_ws.gateway.crew import Crew
from vuemantics_ws.gateway.guard import Guard
from vuemantics_ws.gateway.line_stream import LineStream
from vuemantics_ws.gateway.worker import Worker
from vuemantics_ws.gateway.worker_metrics import join
from vuemantics_ws.gateway.worker_streams import frames_of_any, happenings
from vuemantics_ws.limits import Limits

T = TypeVar("T")


def create_supervisor_application(crew: Crew, relay: Relay, limits: Limits) -> FastAPI:
    """It answers as a node's does, and :mod:`vuemantics_ws.gateway.guard` says whom."""
    application = FastAPI(openapi_url=None, redirect_slashes=False)
    application.add_middleware(Guard, body_bytes_max=limits.event_bytes_max)
    _add_health(application, crew, relay)
    _add_metrics(application, crew, relay)
    _add_streams(application, crew, relay)
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
        told = await _of_each(crew, relay, "/readyz")
        ready = [number for number, answer in told.items() if answer.status == 200]
        workers = [
            {"worker": worker.number, "pid": worker.pid, "control": worker.control, "ready": worker.number in ready}
            for worker in crew.workers
        ]
        if ready:
            return JSONResponse({"state": "ready", "workers": workers})
        why = next(iter(told.values())) if told else problem(503, "not_ready", "no worker answers")
        return JSONResponse({**msgspec.json.decode(why.body), "workers": workers}, status_code=503)


def _add_metrics(application: FastAPI, crew: Crew, relay: Relay) -> None:
    @application.get("/metrics")
    async def metrics() -> Response:
        told = await _of_each(crew, relay, "/metrics")
        expositions = {number: answer.body.decode() for number, answer in told.items() if answer.status == 200}
        text, kind = join(expositions, restarts=crew.restarts)
        return Response(text, headers={"Content-Type": kind})


def _add_streams(application: FastAPI, crew: Crew, relay: Relay) -> None:
    @application.get("/watch")
    async def watch(request: Request) -> Response:
        frames = frames_of_any(crew, relay, _target(request))
        first = await anext(frames, None)
        if first is None:
            return problem(503, "unavailable", "no worker answers")
        return _response(first) if isinstance(first, Answer) else LineStream(_behind(first, frames))

    @application.get("/happenings")
    async def happening() -> Response:
        lines = happenings(crew, relay)
        await anext(lines)
        return LineStream(lines)


def _add_rest(application: FastAPI, crew: Crew, relay: Relay) -> None:
    @application.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "DELETE"])
    async def rest(request: Request) -> Response:
        """Whatever every worker knows, or can do."""
        asked = Asked(request.method, _target(request), request.headers.get("content-type"), await request.body())
        return _response(await relay.ask_any(crew.controls, asked, harmless_twice=request.method != "DELETE"))


def _target(request: Request) -> str:
    """The path and the query, as they came."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type=answer.content_type or None)


async def _of_each(crew: Crew, relay: Relay, target: str) -> dict[int, Answer]:
    """What each worker that answers says, by its number."""

    async def ask(worker: Worker) -> Answer | None:
        if worker.control is None:
            return None
        with suppress(EnvironmentUnfit):
            return await relay.ask(worker.control, Asked("GET", target))
        return None

    answers = await asyncio.gather(*map(ask, crew.workers))
    return {worker.number: answer for worker, answer in zip(crew.workers, answers, strict=True) if answer is not None}


async def _behind(first: T, following: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    async with aclosing(following):
        yield first
        async for one in following:
            yield one
