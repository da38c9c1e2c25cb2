"""A node that is controlled, and the ways in which tests speak to its control port."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.gateway.auth import Authenticator
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.histogram import Histogram
from vuemantics_ws.gateway.inspection import Inspection
from vuemantics_ws.gateway.journal import Journal
from vuemantics_ws.gateway.pulse import Pulse
from vuemantics_ws.gateway.sightings import Sightings
from vuemantics_ws.gateway.timers import Timers
from vuemantics_ws.limits import Limits

SECRET = "a secret of thirty-two bytes, or more"
CANARY = "canary-5f1d"
JSON = {"Content-Type": "application/json"}


class MovableClock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def wall(self) -> float:
        return 1_750_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


class Node:
    """A manager with a broker and a journal, and no public port. Must be made inside the loop."""

    def __init__(self, *, development: bool = True, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.clock = MovableClock()
        self.state = "ready"
        self.name = "node:0"
        self.neighbours = None
        self.journal = Journal(self.clock)
        self.authenticator = Authenticator(SECRET, clock=self.clock)
        self.mint = self.authenticator.mint if development else None
        self.broker = MemoryBroker(clock=self.clock, limits=self.limits)
        self.manager = ConnectionManager(broker=self.broker, limits=self.limits, clock=self.clock, happened=self._happened)
        self.sightings = Sightings(lives=self.broker.keeps, now=self.clock.monotonic)
        self.connections: dict[Connection, None] = {}
        self.unauthenticated = self.never_upgraded = 0
        self.displayed_age_s = Histogram([1.0])
        self.uptime_s = 1.5
        self.timers = Timers(asyncio.get_running_loop())
        self.pulse = Pulse(self.manager.counters, asyncio.get_running_loop())
        self.inspection = Inspection(self)
        self.fault: Exception | None = None

    def _happened(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "event":
            self.sightings.take(fields)
        self.journal.tell(kind, fields)

    def describe(self) -> dict[str, Any]:
        return {
            "name": "node:0", "state": self.state, "version": "0", "url": "ws://127.0.0.1:1/ws/uploads", "control": None,
            "pid": 1, "uptime_s": self.uptime_s, "access": "open", "development": self.mint is not None,
        }  # fmt: skip

    def report(self) -> dict[str, Any]:
        figures = {"connections": 0, "users": 0, "uploads": 0, "events_per_s": 0.0, "lag_s": 0.0, "seen_s": 0.0}
        broker = {"broker_ready": True, "adopts": None}
        return {"id": self.name, **self.describe(), "started_at": 0.0, **figures, **broker}

    def kick(self, number: int, *, for_good: bool) -> int:
        return 0

    def kick_user(self, user_id: str, *, for_good: bool) -> int:
        return 0

    async def publish(self, event: Event) -> Receipt:
        if self.fault is not None:
            raise self.fault
        return await self.manager.publish(event)

    async def head(self, upload_id: str) -> Head | None:
        if self.fault is not None:
            raise self.fault
        return await self.broker.head(upload_id)

    def statistics(self) -> dict[str, Any]:
        survey = self.inspection.survey_at_once()
        return {"state": self.state, "uptime_s": self.uptime_s, "tables": survey.tables, "counters": survey.counters, "new": 1}

    def happenings(self) -> AsyncIterator[dict[str, Any]]:
        return self.journal.listen()


def called(application: ASGIApp, *, base_url: str = "http://127.0.0.1:8766") -> httpx.AsyncClient:
    """A client that calls the application without a socket."""
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def ask(
    method: str, path: str, *, node: Callable[[], Node] = Node, before: tuple[bytes, ...] = (), **options: Any
) -> httpx.Response:
    """One request to a fresh node, after some events have been published."""

    async def scenario() -> httpx.Response:
        made = node()
        async with made.manager, called(create_control_application(made)) as client:
            for event in before:
                await made.publish(Event.read(event, owner="alice"))
            return await client.request(method, path, **options)

    return asyncio.run(scenario())


def publish(event: bytes, query: str = "", **options: Any) -> httpx.Response:
    return ask("POST", f"/events{query}", content=event, headers=JSON, **options)


def complaint(response: httpx.Response, status: int) -> dict[str, Any]:
    """The one shape of every refusal."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    said: dict[str, Any] = response.json()["error"]
    assert set(said) == {"code", "message", "hint"}
    assert re.fullmatch("[a-z_]+", said["code"])
    assert said["message"]
    assert not said["message"].endswith(".")
    assert CANARY not in response.text
    assert "Traceback" not in response.text
    return said


class _Server(uvicorn.Server):
    """Uvicorn as the gateway runs it: without its signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def served(application: ASGIApp) -> AsyncIterator[int]:
    """The TCP port on which the application is served in this loop, which ends with the block."""
    server = _Server(uvicorn.Config(application, port=0, log_config=None, access_log=False, lifespan="off", ws="none"))
    running = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0)


def listeners(node: Node) -> int:
    return len(node.journal._listeners)


SMALL = Limits(event_bytes_max=512)


async def exchange(request: bytes, limits: Limits = SMALL) -> tuple[int, bytes]:
    """Send this much and no more, and read what comes until the server hangs up."""
    node = Node(limits=limits)
    async with asyncio.timeout(5), served(create_control_application(node)) as port, raw(port) as (reader, writer):
        writer.write(request)
        said = await reader.read()
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    return int(head.split()[1]), body
