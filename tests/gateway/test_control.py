"""The control port: called as an application, and over real HTTP wherever bytes and sockets matter."""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message

from tests.events import UPLOAD_ID, completed, failed, progress
from tests.gateway.nodes import browser, gateway
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.client.control import Control
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.answers import (
    EVENT_EXAMPLES,
    Happening,
    Health,
    IssuedToken,
    PublishReceipt,
    Statistics,
    UploadState,
)
from vuemantics_ws.gateway.auth import Authenticator
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.journal import Journal
from vuemantics_ws.gateway.line_stream import LineStream
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
    """A manager with a broker and a journal, and no public port."""

    def __init__(self, *, development: bool = True, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.clock = MovableClock()
        self.state = "ready"
        self.journal = Journal(self.clock)
        self.authenticator = Authenticator(SECRET, clock=self.clock)
        self.mint = self.authenticator.mint if development else None
        self.broker = MemoryBroker(clock=self.clock, limits=self.limits)
        self.manager = ConnectionManager(broker=self.broker, limits=self.limits, clock=self.clock, happened=self.journal.tell)
        self.fault: Exception | None = None

    async def publish(self, event: Event) -> Receipt:
        if self.fault is not None:
            raise self.fault
        return await self.manager.publish(event)

    async def head(self, upload_id: str) -> Head | None:
        if self.fault is not None:
            raise self.fault
        return await self.broker.head(upload_id)

    def statistics(self) -> dict[str, Any]:
        registry = self.manager.registry
        follows = sum(len(user.follows) for user in registry.users.values())
        tables = {
            "connections": 0, "unauthenticated": 0, "users": len(registry.users), "uploads": len(registry.uploads),
            "follows": follows, "outbox_bytes": 0, "heads": 0,
        }  # fmt: skip
        return {"state": self.state, "uptime_s": 1.5, "tables": tables, "counters": self.manager.counters.as_json(), "new": 1}

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


# Publishing.


def test_an_event_is_published_and_its_receipt_comes_back() -> None:
    response = publish(progress(), "?owner=alice")

    assert response.status_code == 200
    assert response.json() == {"upload_id": UPLOAD_ID, "verdict": "accepted", "attempt": 1, "seq": 1, "receivers": 0}
    PublishReceipt.model_validate(response.json())


@pytest.mark.parametrize(
    ("event", "verdict", "version"),
    [
        (progress(version=(1, 5)), "duplicate", (1, 5)),
        (progress(version=(1, 4)), "stale", (1, 5)),
        (progress(version=(1, 5), text="another"), "stale", (1, 5)),
        (progress(version=(1, 6)), "accepted", (1, 6)),
        (progress(number=1), "accepted", (1, 6)),
        (completed(version=(3, 1)), "accepted", (3, 1)),
    ],
)
def test_every_verdict_is_an_answer(event: bytes, verdict: str, version: tuple[int, int]) -> None:
    response = publish(event, before=(progress(version=(1, 5)),))

    assert response.status_code == 200
    assert response.json()["verdict"] == verdict
    assert (response.json()["attempt"], response.json()["seq"]) == version


def test_an_event_after_the_end_is_answered_too() -> None:
    response = publish(progress(version=(1, 6)), before=(completed(version=(1, 5)),))

    assert response.status_code == 200
    assert response.json()["verdict"] == "after_terminal"


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"action":"' + CANARY.encode() + b'"}',
        progress(percent=101),
        progress(upload_id=f"{CANARY}/"),
        progress(stage=CANARY),
        progress(owner=CANARY),
        progress(attempt=1),
        b"[" * 30_000,
    ],
)
def test_an_event_that_browsers_would_refuse_is_refused(event: bytes) -> None:
    assert complaint(publish(event), 422)["code"] == "bad_event"


@pytest.mark.parametrize(
    "query",
    [
        "?owner=",
        "?owner=" + "a" * 257,
        f"?owner={CANARY}%0a",
        f"?owner={CANARY}%00",
        f"?owner={CANARY}%E2%80%A8",
        f"?ower={CANARY}",
        f"?{CANARY}=alice",
        f"?owner=alice&{CANARY}",
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_is_published(query: str) -> None:
    async def scenario() -> tuple[httpx.Response, Head | None]:
        node = Node()
        async with node.manager, called(create_control_application(node)) as client:
            return await client.post(f"/events{query}", content=progress(), headers=JSON), await node.head(UPLOAD_ID)

    response, head = asyncio.run(scenario())

    assert complaint(response, 422)["code"] == "bad_request"
    assert head is None


def test_the_owner_is_kept_beside_the_event_and_never_in_it() -> None:
    async def scenario() -> dict[str, Any]:
        node = Node()
        async with node.manager, called(create_control_application(node)) as client:
            await client.post("/events", params={"owner": "Ünïcode & co"}, content=progress(), headers=JSON)
            state: dict[str, Any] = (await client.get(f"/uploads/{UPLOAD_ID}")).json()
            return state

    state = asyncio.run(scenario())

    assert state["owner"] == "Ünïcode & co"
    assert "owner" not in json.dumps(state["event"])


def test_a_broker_that_cannot_be_reached_is_said_to_be() -> None:
    def broken() -> Node:
        node = Node()
        node.fault = EnvironmentUnfit("no Redis answers", hint="start one")
        return node

    said = complaint(publish(progress(), node=broken), 503)

    assert said == {"code": "unavailable", "message": "no Redis answers", "hint": "start one"}


def test_a_fault_of_ours_says_nothing_but_that_it_is_one() -> None:
    def broken() -> Node:
        node = Node()
        node.fault = ZeroDivisionError(CANARY)
        return node

    said = complaint(ask("GET", f"/uploads/{UPLOAD_ID}", node=broken), 500)

    assert said["code"] == "internal"


# Reading.


def test_the_newest_state_of_an_upload_is_what_browsers_get() -> None:
    async def scenario() -> httpx.Response:
        node = Node()
        async with node.manager, called(create_control_application(node)) as client:
            await node.publish(Event.read(progress(), owner="alice"))
            await node.publish(Event.read(progress(percent=50, number=1, more={"x": 1e300})))
            node.clock.now += 2.5
            return await client.get(f"/uploads/{UPLOAD_ID}")

    response = asyncio.run(scenario())

    state = response.json()
    event = state.pop("event")
    assert state == {
        "upload_id": UPLOAD_ID, "attempt": 1, "seq": 2, "terminal": False, "owner": "alice", "age_s": 2.5,
    }  # fmt: skip
    assert event["payload"]["progress_percent"] == 50
    assert (event["attempt"], event["seq"]) == (1, 2)
    assert event["more"] == {"x": 1e300}, "what the protocol does not know is passed on"
    UploadState.model_validate(response.json())


@pytest.mark.parametrize(("event", "terminal"), [(progress(), False), (completed(), True), (failed(), True)])
def test_an_end_is_told_from_progress(event: bytes, terminal: bool) -> None:
    assert ask("GET", f"/uploads/{UPLOAD_ID}", before=(event,)).json()["terminal"] is terminal


def test_an_upload_that_nobody_published_is_not_known() -> None:
    assert complaint(ask("GET", "/uploads/nobody-published-this"), 404)["code"] == "unknown_upload"


@pytest.mark.parametrize("upload_id", [f"{CANARY}!", "a" * 129, "a%0a", "%00", "a%20b", "ä", "a*"])
def test_what_is_no_upload_id_is_refused(upload_id: str) -> None:
    assert "1 to 128 letters" in complaint(ask("GET", f"/uploads/{upload_id}"), 422)["message"]


def test_statistics_have_all_that_was_promised_and_pass_on_what_is_new() -> None:
    response = ask("GET", "/statistics", before=(progress(),))

    said = response.json()
    assert said["tables"] == {
        "connections": 0, "unauthenticated": 0, "users": 0, "uploads": 0, "follows": 0, "outbox_bytes": 0, "heads": 0,
    }  # fmt: skip
    assert said["counters"] == {
        "events": {"accepted": 1}, "deliveries": 0, "conflated": 0, "connects": 0, "closes": {}, "limits": {},
        "unowned_events": 0,
    }  # fmt: skip
    assert (said["state"], said["uptime_s"], said["new"]) == ("ready", 1.5, 1)
    Statistics.model_validate(said)


# Tokens.


def test_in_development_mode_anybody_gets_a_token_for_anybody() -> None:
    async def scenario() -> None:
        node = Node()
        async with called(create_control_application(node)) as client:
            response = await client.post("/tokens", json={"user_id": "alice", "ttl_s": 90})

            said = IssuedToken.model_validate(response.json())
            identity = node.authenticator.verify(said.token)
            assert response.status_code == 200
            assert (said.user_id, said.expires_at) == ("alice", node.clock.wall() + 90)
            assert (identity.user_id, identity.expires_at) == (said.user_id, said.expires_at)
            assert response.headers["Cache-Control"] == "no-store"

    asyncio.run(scenario())


def test_a_token_is_good_for_an_hour_where_nobody_says_how_long() -> None:
    assert ask("POST", "/tokens", json={"user_id": "alice"}).json()["expires_at"] == MovableClock().wall() + 3_600


def test_with_a_secret_no_tokens_are_given_away() -> None:
    response = ask("POST", "/tokens", json={"user_id": "alice"}, node=lambda: Node(development=False))

    said = complaint(response, 403)
    assert said["code"] == "no_development"
    assert said["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"user_id":7}',
        b'{"user_id":""}',
        b'{"user_id":"' + CANARY.encode() + b'\\n"}',
        b'{"user_id":"\\ud800"}',
        b'{"user_id":"' + b"a" * 257 + b'"}',
        b'{"user_id":"alice","ttl_s":0}',
        b'{"user_id":"alice","ttl_s":-1}',
        b'{"user_id":"alice","ttl_s":NaN}',
        b'{"user_id":"alice","ttl_s":Infinity}',
        b'{"user_id":"alice","ttl_s":1e9}',
        b'{"user_id":"alice","ttl_s":"' + CANARY.encode() + b'"}',
        b'{"user_id":"alice","ttl":1}',
        b'{"user_id":"alice","' + CANARY.encode() + b'":1}',
        b"[" * 30_000,
    ],
)
def test_what_is_no_request_for_a_token_is_refused(body: bytes) -> None:
    response = ask("POST", "/tokens", content=body, headers=JSON)

    assert complaint(response, 400 if response.status_code == 400 else 422)["code"] == "bad_request"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "expected JSON"),
        (b"[]", "expected a JSON object, sent as application/json"),
        (b"{}", "user_id: field required"),
        (b'{"user_id":"a\\n"}', "user_id: expected no control characters"),
        (b'{"user_id":"a","ttl_s":0}', "ttl_s: input should be greater than 0"),
        (b'{"user_id":"a","ttl":5}', "expected nothing but user_id and ttl_s"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_where(body: bytes, message: str) -> None:
    assert complaint(ask("POST", "/tokens", content=body, headers=JSON), 422)["message"] == message


# Health.


@pytest.mark.parametrize(("state", "ready"), [("ready", 200), ("starting", 503), ("draining", 503), ("stopped", 503)])
def test_health_says_whether_it_lives_and_readiness_whether_it_takes_connections(state: str, ready: int) -> None:
    def node() -> Node:
        made = Node()
        made.state = state
        return made

    lives, takes = ask("GET", "/healthz", node=node), ask("GET", "/readyz", node=node)

    assert (lives.status_code, takes.status_code) == (200, ready)
    assert Health.model_validate(lives.json()).state == state
    if ready == 503:
        assert complaint(takes, 503)["code"] == "not_ready"
    assert ask("HEAD", "/healthz", node=node).status_code == 200
    assert ask("HEAD", "/readyz", node=node).status_code == ready


# Refusals.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{CANARY}", 404),
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/events/", 404),
        ("GET", f"/uploads/{CANARY}/x", 404),
        ("GET", "/events", 405),
        ("PUT", "/events", 405),
        ("DELETE", f"/uploads/{CANARY}", 405),
        ("OPTIONS", "/events", 405),
        (CANARY.upper(), "/statistics", 405),
    ],
)
def test_a_path_or_method_that_is_not_there_is_refused_in_the_one_shape(method: str, path: str, status: int) -> None:
    response = ask(method, path)

    complaint(response, status)
    assert ("Allow" in response.headers) is (status == 405)


# Whom it answers.


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8766", True),
        ("127.0.0.1", True),
        ("localhost:1", True),
        ("LOCALHOST:8766", True),
        ("[::1]:8766", True),
        ("127.9.9.9:8766", True),
        ("control.internal", True),
        ("control.internal:80", True),
        ("evil.example", False),
        ("evil.example:8766", False),
        ("127.0.0.1.evil.example:8766", False),
        ("localhost.evil.example", False),
        ("evil-control.internal", False),
        ("control.internal.evil.example", False),
        ("192.168.1.2:8766", False),
        ("0.0.0.0:8766", False),
        ("localhost:8766@evil.example", False),
        ("", False),
    ],
)
def test_a_page_that_came_under_its_own_name_is_refused(host: str, ours: bool) -> None:
    async def scenario() -> httpx.Response:
        application = create_control_application(Node(), allowed_hosts=["Control.Internal"])
        async with called(application) as client:
            return await client.get("/healthz", headers={"Host": host})

    response = asyncio.run(scenario())

    if ours:
        assert response.status_code == 200
    else:
        assert complaint(response, 403)["code"] == "host_refused"


OURS = "http://127.0.0.1:8766"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": OURS}, 200),
        ({"Origin": "https://127.0.0.1:8766"}, 200),
        ({"Origin": OURS, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://localhost:8766"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://127.0.0.1:8766/"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8766.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "HTTP://127.0.0.1:8766"}, 403),
        ({"Origin": "ws://127.0.0.1:8766"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "anything"}, 403),
        ({"Origin": OURS, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/statistics"), ("POST", "/events"), ("POST", "/tokens")])
def test_a_page_of_another_origin_is_refused(headers: dict[str, str], status: int, method: str, path: str) -> None:
    body = b'{"user_id":"alice"}' if path == "/tokens" else progress()

    response = ask(method, path, headers={**headers, **JSON}, content=body if method == "POST" else None)

    if status == 403:
        assert complaint(response, 403)["code"] == "origin_refused"
    else:
        assert response.status_code == 200


def test_nobody_may_read_answers_across_origins() -> None:
    preflight = ask("OPTIONS", "/events", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    answered = ask("GET", "/statistics", headers={"Origin": OURS})

    complaint(preflight, 403)
    for response in (preflight, answered):
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("kind", "origin", "status"),
    [
        ("application/json", None, 200),
        ("application/octet-stream", None, 200),
        (None, None, 200),
        ("text/plain", None, 415),
        ("Text/Plain; charset=utf-8", None, 415),
        ("application/x-www-form-urlencoded", None, 415),
        ("multipart/form-data; boundary=x", None, 415),
        ("text/plain", OURS, 200),
        ("application/x-www-form-urlencoded", OURS, 200),
    ],
)
def test_what_a_form_could_have_sent_must_say_where_it_comes_from(kind: str | None, origin: str | None, status: int) -> None:
    headers = {name: value for name, value in (("Content-Type", kind), ("Origin", origin)) if value is not None}

    response = ask("POST", "/events", content=progress(), headers=headers)

    if status == 415:
        assert "curl" in complaint(response, 415)["hint"]
    else:
        assert response.status_code == 200


@pytest.mark.parametrize("name", [b"host", b"origin"])
def test_two_of_a_header_that_should_be_one_are_refused(name: bytes) -> None:
    async def scenario() -> httpx.Response:
        values = [(name, b"127.0.0.1:8766"), (name, b"127.0.0.1:8766")]
        async with called(create_control_application(Node())) as client:
            return await client.get("/healthz", headers=values)

    complaint(asyncio.run(scenario()), 400)


# As a part of another application.


def test_it_can_be_mounted_under_a_prefix() -> None:
    async def scenario() -> tuple[list[httpx.Response], dict[str, Any]]:
        node, parent = Node(), FastAPI()
        parent.mount("/ops/control", create_control_application(node, allowed_hosts=["app.example"]))
        async with node.manager, called(parent, base_url="https://app.example") as client:
            answers = [
                await client.post("/ops/control/events", content=progress(), headers={**JSON, "Origin": "https://app.example"}),
                await client.get(f"/ops/control/uploads/{UPLOAD_ID}"),
                await client.get("/ops/control/healthz"),
            ]
            foreign = await client.get("/ops/control/statistics", headers={"Origin": "https://evil.example"})
            complaint(foreign, 403)
            complaint(await client.get("/ops/control/nowhere"), 404)
            return answers, (await client.get("/ops/control/openapi.json")).json()

    answers, document = asyncio.run(scenario())

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert document["servers"] == [{"url": "/ops/control"}]
    assert "/events" in document["paths"]


# The document.


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    said: dict[str, Any] = ask("GET", "/openapi.json").json()
    return said


def _every(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _every(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _every(inner)


def test_the_document_has_every_endpoint_and_nothing_dangles(document: dict[str, Any]) -> None:
    operations = {(method, path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        ("post", "/events"), ("get", "/uploads/{upload_id}"), ("get", "/statistics"), ("get", "/happenings"),
        ("post", "/tokens"), ("get", "/healthz"), ("get", "/readyz"),
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    references = {found["$ref"] for found in _every(document) if isinstance(found.get("$ref"), str)}
    names = {reference.removeprefix("#/components/schemas/") for reference in references}
    assert names == set(schemas), "each is defined, and each is used"
    assert "HTTPValidationError" not in schemas


def test_the_document_explains_every_operation_answer_and_field(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"], path
            assert operation["tags"], path
            assert {"200", "403"} <= set(operation["responses"]), path
            for status, response in operation["responses"].items():
                assert response["description"], (path, status)
                (content,) = response["content"].items()
                assert content[1]["schema"]["$ref"], (path, status)
                assert int(status) < 400 or content[1]["schema"]["$ref"].endswith("/Problem")
    happenings = document["paths"]["/happenings"]["get"]["responses"]["200"]["content"]
    assert list(happenings) == ["application/x-ndjson"]
    for model in ("PublishReceipt", "UploadState", "Statistics", "Tables", "Counters", "IssuedToken", "Health", "Happening"):
        for name, field in document["components"]["schemas"][model]["properties"].items():
            assert field.get("examples") or "$ref" in field, (model, name)


def test_the_document_describes_events_as_the_judge_reads_them(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    body = document["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]

    assert body["schema"] == {"$ref": "#/components/schemas/UploadMessage"}
    assert set(body["examples"]) == set(schemas["UploadMessage"]["discriminator"]["mapping"]) == set(EVENT_EXAMPLES)
    for name, example in body["examples"].items():
        assert example["value"] == EVENT_EXAMPLES[name]
        event = Event.read(json.dumps(example["value"]).encode())
        assert event.terminal is (name != "upload_progress")
    assert not any("owner" in schemas[name]["properties"] for name in ("UploadProgress", "ProgressPayload", "UploadFailed"))
    assert re.fullmatch(schemas["UploadFailed"]["properties"]["upload_id"]["pattern"], UPLOAD_ID)
    assert schemas["UploadState"]["properties"]["event"] == body["schema"]


# Over real HTTP.


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


def test_what_happens_is_told_from_the_moment_the_headers_are_there() -> None:
    async def scenario() -> list[dict[str, Any]]:
        node = Node()
        async with served(create_control_application(node)) as port, httpx.AsyncClient(trust_env=False) as client:
            async with client.stream("GET", f"http://127.0.0.1:{port}/happenings") as response:
                node.journal.tell("connected", {"user_id": "alice"})
                node.journal.tell("event", {"upload_id": UPLOAD_ID})
                node.journal.close()
                assert response.headers["Content-Type"] == "application/x-ndjson"
                return [json.loads(line) async for line in response.aiter_lines()]

    said = asyncio.run(scenario())

    at = MovableClock().wall()
    assert said == [{"at": at, "kind": "connected", "user_id": "alice"}, {"at": at, "kind": "event", "upload_id": UPLOAD_ID}]
    for line in said:
        Happening.model_validate(line)


def test_nothing_is_missed_between_the_headers_and_the_first_line() -> None:
    async def scenario() -> list[bytes]:
        node, sent = Node(), list[bytes]()
        stay = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                node.journal.tell("event", {"number": 1})  # before anybody else has had a turn
                node.journal.close()
            sent.append(message.get("body", b""))

        async def receive() -> Message:
            await stay.wait()
            return {"type": "http.disconnect"}

        await LineStream(node.happenings())({"type": "http"}, receive, send)
        return sent

    assert json.loads(b"".join(asyncio.run(scenario())))["number"] == 1


def test_a_listener_that_is_too_slow_is_told_how_much_it_missed() -> None:
    async def scenario() -> list[dict[str, Any]]:
        node = Node()
        async with served(create_control_application(node)) as port, httpx.AsyncClient(trust_env=False) as client:
            async with client.stream("GET", f"http://127.0.0.1:{port}/happenings") as response:
                for number in range(1_500):
                    node.journal.tell("event", {"number": number})
                node.journal.close()
                return [json.loads(line) async for line in response.aiter_lines()]

    said = asyncio.run(scenario())

    numbers = [line["number"] for line in said if line["kind"] == "event"]
    (dropped,) = [line["count"] for line in said if line["kind"] == "dropped"]
    assert numbers[-1] == 1_499
    assert len(numbers) + dropped == 1_500


def test_a_listener_that_leaves_a_quiet_stream_is_forgotten() -> None:
    async def scenario() -> None:
        node = Node()
        async with served(create_control_application(node)) as port:
            for _ in range(3):
                async with raw(port) as (reader, writer):
                    writer.write(b"GET /happenings HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    await reader.readuntil(b"\r\n\r\n")
                    assert listeners(node) == 1
                await until(lambda: listeners(node) == 0)

    asyncio.run(scenario())


def test_an_open_stream_ends_with_the_node_and_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes:
        node = Node()
        async with asyncio.timeout(5), contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(served(create_control_application(node)))
            reader, writer = await stack.enter_async_context(raw(port))
            writer.write(b"GET /happenings HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            node.journal.close()
            return await reader.readuntil(b"0\r\n\r\n")

    assert asyncio.run(scenario()) == b"0\r\n\r\n"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_stream_that_fails_is_a_fault_of_ours_and_the_next_one_works() -> None:
    class Broken(Node):
        async def happenings(self) -> AsyncIterator[dict[str, Any]]:
            yield {"at": 1.0, "kind": "event"}
            raise ZeroDivisionError(CANARY)

    async def scenario() -> bytes:
        async with served(create_control_application(Broken())) as port, raw(port) as (reader, writer):
            writer.write(b"GET /happenings HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = await reader.read()
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            return said

    said = asyncio.run(scenario())

    assert b'"kind":"event"' in said
    assert not said.endswith(b"0\r\n\r\n"), "whoever reads must see that this is not the end"
    assert CANARY.encode() not in said


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


@pytest.mark.parametrize("path", [b"/events", b"/tokens"])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 513\r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: 513\r\nExpect: 100-continue\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n201\r\n" + b"x" * 513 + b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n" + b"101\r\n" + b"x" * 257 + b"\r\n",
    ],
)
def test_a_body_that_is_too_big_is_refused_before_it_is_whole(path: bytes, body: bytes) -> None:
    request = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" + body

    status, said = asyncio.run(exchange(request))

    assert status == 413
    assert json.loads(said)["error"]["code"] == "too_large"


def test_a_body_of_just_the_size_is_taken() -> None:
    event = progress(text="x" * (512 - len(progress())))
    assert len(event) == 512

    assert publish(event, node=lambda: Node(limits=SMALL)).status_code == 200
    assert publish(event + b" ", node=lambda: Node(limits=SMALL)).status_code == 413


def test_a_publisher_that_leaves_in_the_middle_of_an_event_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> Head | None:
        node = Node()
        async with served(create_control_application(node)) as port:
            async with raw(port) as (_, writer):
                writer.write(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + progress())
                await writer.drain()
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        return await node.head(UPLOAD_ID)

    assert asyncio.run(scenario()) is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_no_event_and_no_token_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> str:
        node = Node()
        with caplog.at_level(logging.DEBUG):
            async with node.manager, served(create_control_application(node)) as port:
                async with Control(f"http://127.0.0.1:{port}") as control:
                    await control.publish(progress(text=CANARY))
                    with contextlib.suppress(Exception):
                        await control.publish(progress(text=CANARY, percent=101))
                    node.fault = ZeroDivisionError()
                    with contextlib.suppress(Exception):
                        await control.publish(progress(text=CANARY))
                    return (await control.token("alice", ttl_s=60)).token

    token = asyncio.run(scenario())

    ours = [record.getMessage() + str(record.exc_text) for record in caplog.records if not record.name.startswith("http")]
    assert any("Exception in ASGI application" in line for line in ours), "the fault is logged"
    assert not any(CANARY in line or token in line for line in ours)


def test_a_head_over_http_has_no_body() -> None:
    request = b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    assert asyncio.run(exchange(request)) == (200, b"")


def test_a_whole_gateway_is_controlled_by_the_client_of_ours() -> None:
    async def scenario() -> dict[str, Any]:
        async with (
            gateway(access="owner") as node,
            served(create_control_application(node)) as port,
            Control(f"http://127.0.0.1:{port}") as control,
            browser(node, "alice") as tab,
        ):
            assert await control.ready()
            await tab.subscribe(UPLOAD_ID)
            receipt = await control.publish(completed(), owner="alice")
            assert (receipt.verdict, receipt.attempt, receipt.receivers) == ("accepted", 1, 1)
            state, statistics = await control.head(UPLOAD_ID), Statistics.model_validate(await control.statistics())
            assert state is not None
            assert (statistics.tables.users, statistics.tables.follows) == (1, 1)
            said = await tab.next()
            assert said == state["event"]
            return said

    assert asyncio.run(scenario())["action"] == "upload_completed"
