"""Whom the control port answers, and how much it reads."""

import asyncio
import json

import httpx
import pytest

from tests.events import progress
from tests.gateway.controlled import (
    JSON,
    SMALL,
    Node,
    ask,
    called,
    complaint,
    exchange,
    publish,
)
from vuemantics_ws.gateway.control import create_control_application


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
