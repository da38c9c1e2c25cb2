"""The control port: what it takes, says and refuses."""

import asyncio
import contextlib
import json
import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.events import UPLOAD_ID, completed, failed, progress
from tests.gateway.controlled import (
    CANARY,
    JSON,
    MovableClock,
    Node,
    ask,
    called,
    complaint,
    exchange,
    publish,
    raw,
    served,
)
from tests.gateway.nodes import browser, gateway
from vuemantics_ws.client.control import Control
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.answers import (
    Health,
    IssuedToken,
    PublishReceipt,
    Statistics,
    UploadState,
)
from vuemantics_ws.gateway.control import create_control_application

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
        "connections": 0, "unauthenticated": 0, "users": 0, "uploads": 0, "follows": 0, "watches": 0,
        "outbox_bytes": 0, "outbox_bytes_max": 0, "heads": 1,
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


# Over real HTTP.


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
