"""What a simulated browser takes is what the application's takes."""

import json
from typing import Any

import pytest

from tests.browser_validator import problems
from tests.events import UPLOAD_ID, completed, failed, progress
from vuemantics_ws.errors import BadMessage
from vuemantics_ws.simulation.browser.validator import read
from vuemantics_ws.simulation.log import Received


def said(**message: Any) -> bytes:
    return json.dumps(message).encode()


def taken(data: bytes) -> Received:
    return read(data, at=1.5, connection=3)


TAKEN = {
    "auth_success": (said(action="auth_success", user_id="alice"), Received(1.5, 3, "auth_success")),
    "auth_error": (said(action="auth_error", message="no"), Received(1.5, 3, "auth_error", words="no")),
    "ping": (said(action="ping"), Received(1.5, 3, "ping")),
    "ping with more": (said(action="ping", when="now"), Received(1.5, 3, "ping")),
    "subscribed": (said(action="subscribed", upload_id="x", known=True), Received(1.5, 3, "subscribed", "x", known=True)),
    "unsubscribed": (said(action="unsubscribed", upload_id="x"), Received(1.5, 3, "unsubscribed", "x")),
    "error": (
        said(action="error", code="upload_limit", message="m", upload_id="x"),
        Received(1.5, 3, "error", "x", code="upload_limit", words="m"),
    ),
    "error of nothing": (
        said(action="error", code="bad_message", message="m"),
        Received(1.5, 3, "error", code="bad_message", words="m"),
    ),
    "token_expiring": (said(action="token_expiring", in_s=60), Received(1.5, 3, "token_expiring")),
    "progress": (
        progress(percent=30, version=(2, 5)),
        Received(1.5, 3, "upload_progress", UPLOAD_ID, attempt=2, seq=5, stage="vision_analysis", percent=30),
    ),
    "progress without version": (
        progress(),
        Received(1.5, 3, "upload_progress", UPLOAD_ID, stage="vision_analysis", percent=20),
    ),
    "completed": (
        completed(version=(1, 9)),
        Received(1.5, 3, "upload_completed", UPLOAD_ID, attempt=1, seq=9, terminal=True),
    ),
    "failed": (failed(), Received(1.5, 3, "upload_failed", UPLOAD_ID, terminal=True)),
    "an id in capitals": (
        failed(upload_id=UPLOAD_ID.upper()),
        Received(1.5, 3, "upload_failed", UPLOAD_ID.upper(), terminal=True),
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_the_browser_takes_is_read(name: str) -> None:
    data, expected = TAKEN[name]

    assert taken(data) == expected
    assert problems(data) == []


def without(data: bytes, *keys: str) -> bytes:
    message = json.loads(data)
    for key in keys:
        (message["payload"] if key in message.get("payload", {}) else message).pop(key)
    return json.dumps(message).encode()


REFUSED = {
    "no JSON": b"{",
    "no text": b'{"action":"ping","x":"\xff"}',
    "no object": b"[]",
    "no action": b"{}",
    "an action that is no text": b'{"action":1}',
    "an unknown action": said(action="hello"),
    "progress without its payload": said(action="upload_progress", timestamp="2026-01-01T00:00:00Z"),
    "progress without error_message": without(progress(), "error_message"),
    "progress without a score": without(progress(), "description_audit_score"),
    "a percent too high": progress(percent=101),
    "a percent that is no integer": progress(percent=1.5),  # type: ignore[arg-type]
    "an unknown stage": progress("thinking"),
    "an unknown status": progress(status="done"),
    "no timestamp": without(completed(), "timestamp"),
    "a timestamp that is none": progress(timestamp="yesterday"),
    "an id that is no UUID": completed(upload_id="holiday"),
    "an id without hyphens": completed(upload_id=UPLOAD_ID.replace("-", "")),
    "an id in braces": completed(upload_id="{" + UPLOAD_ID + "}"),
    "half a version": without(completed(version=(1, 2)), "seq"),
    "a version of nothing": completed(version=(0, 1)),
    "a subscribed without known": said(action="subscribed", upload_id="x"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_browser_refuses_is_refused(name: str) -> None:
    with pytest.raises(BadMessage):
        taken(REFUSED[name])


@pytest.mark.parametrize("data", [completed(owner="alice"), progress(owner="alice")])
def test_a_message_that_tells_the_owner_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage, match="that tells the owner"):
        taken(data)


def test_a_refusal_quotes_nothing_but_the_action() -> None:
    for name, data in REFUSED.items():
        with pytest.raises(BadMessage) as refused:
            taken(data)
        assert "holiday" not in refused.value.message, name
        assert len(refused.value.message) < 120, name
