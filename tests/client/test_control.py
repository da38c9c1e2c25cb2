"""The client of the control port, against the control port of a real node."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from tests.client.peer import run, stranger
from tests.gateway.nodes import completed, event, gateway
from vuemantics_ws.client.control import Control, Receipt
from vuemantics_ws.errors import BadEvent, BadSetting, EnvironmentUnfit, Refused
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.listening import listen
from vuemantics_ws.gateway.server import Gateway


@contextlib.asynccontextmanager
async def controlled(**settings: Any) -> AsyncIterator[tuple[Control, Gateway]]:
    """A node, and a client that speaks to it over a socket."""
    async with gateway(**settings) as node, served(create_control_application(node)) as url, Control(url) as control:
        yield control, node


@contextlib.asynccontextmanager
async def served(application: Any) -> AsyncIterator[str]:
    """The URL at which an ASGI application is served."""
    socket = listen("127.0.0.1", 0, "--control-port")
    config = uvicorn.Config(application, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.ensure_future(server.serve(sockets=[socket]))
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await serving


def with_node(scene: Callable[[Control, Gateway], Awaitable[Any]], **settings: Any) -> Any:
    async def play() -> Any:
        async with controlled(**settings) as (control, node):
            return await scene(control, node)

    return run(play())


def with_stranger(status: int, body: bytes, ask: Callable[[Control], Awaitable[Any]]) -> Any:
    """Ask a server that answers everything in the same way."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def play() -> Any:
        async with served(application) as url, Control(url) as control:
            return await ask(control)

    return run(play())


class TestPublishing:
    def test_an_event_gets_its_verdict_and_version(self) -> None:
        async def scene(control: Control, node: Gateway) -> list[Receipt]:
            return [
                await control.publish(event("u1", 10)),
                await control.publish(event("u1", 10)),
                await control.publish(event("u1", 20, attempt=1, seq=1)),
                await control.publish(completed("u1")),
                await control.publish(event("u1", 30)),
            ]

        receipts = with_node(scene)

        assert receipts == [
            Receipt("u1", "accepted", 1, 1, 0),
            Receipt("u1", "duplicate", 1, 1, receipts[1].receivers),
            Receipt("u1", "stale", 1, 1, receipts[2].receivers),
            Receipt("u1", "accepted", 1, 2, 0),
            Receipt("u1", "after_terminal", 1, 2, receipts[4].receivers),
        ]

    def test_the_owner_stands_beside_the_event(self) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            await control.publish(event("u1", 10), owner="alice & bob")
            return await control.head("u1")

        head = with_node(scene)

        assert head["owner"] == "alice & bob"
        assert "owner" not in json.dumps(head["event"])

    def test_a_bad_event_is_told_in_the_server_s_words(self) -> None:
        async def scene(control: Control, node: Gateway) -> None:
            await control.publish(b'{"action": "upload_failed", "upload_id": "u1"}')

        with pytest.raises(BadEvent, match="error_message"):
            with_node(scene)

    def test_an_event_that_is_too_big_is_refused(self) -> None:
        async def scene(control: Control, node: Gateway) -> None:
            await control.publish(b"x" * 300)

        with pytest.raises(Refused):
            with_node(scene, event_bytes_max=256)


class TestAsking:
    def test_the_head_of_an_upload_is_its_newest_event(self) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            await control.publish(event("u1", 10))
            await control.publish(event("u1", 20))
            return await control.head("u1")

        head = with_node(scene)

        assert (head["attempt"], head["seq"], head["terminal"]) == (1, 2, False)
        assert head["event"]["payload"]["progress_percent"] == 20

    @pytest.mark.parametrize("upload_id", ["nobody-knows", "..", "."])
    def test_an_upload_that_nobody_knows_has_no_head(self, upload_id: str) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            return await control.head(upload_id)

        assert with_node(scene) is None

    def test_statistics_count_what_happened(self) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            await control.publish(event("u1", 10))
            return await control.statistics()

        statistics = with_node(scene)

        assert statistics["state"] == "ready"
        assert statistics["tables"]["connections"] == 0
        assert statistics["counters"]["events"] == {"accepted": 1}

    def test_a_node_that_drains_is_not_ready(self) -> None:
        async def scene(control: Control, node: Gateway) -> list[bool]:
            before = await control.ready()
            await node.stop()
            return [before, await control.ready()]

        assert with_node(scene) == [True, False]

    def test_happenings_come_one_by_one(self) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            async with contextlib.aclosing(control.happenings()) as happenings:
                first = asyncio.ensure_future(anext(happenings))
                while not first.done():  # the stream begins when the server has it, which nobody is told
                    await control.publish(event("u1", 10))
                    await asyncio.wait([first], timeout=0.01)
                return first.result()

        assert "kind" in with_node(scene)

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
    def test_a_frame_is_one_frame_whatever_was_asked_for(self, separator: str) -> None:
        async def scene(control: Control, node: Gateway) -> dict[str, Any]:
            async with contextlib.aclosing(control.frames(["connections"], filter=f"user='a{separator}b'")) as frames:
                return await anext(frames)

        assert with_node(scene)["views"][0]["filter"] == f"user='a{separator}b'"


class TestTokens:
    def test_development_mode_gives_a_token_that_the_node_takes(self) -> None:
        async def scene(control: Control, node: Gateway) -> Any:
            issued = await control.token("alice", ttl_s=60)
            return issued, node.authenticator.verify(issued.token)

        issued, identity = with_node(scene, secret=None, access=None, origins=())

        assert identity.user_id == issued.user_id == "alice"
        assert issued.expires_at == pytest.approx(identity.expires_at, abs=1)

    def test_with_a_secret_the_server_gives_none(self) -> None:
        async def scene(control: Control, node: Gateway) -> None:
            await control.token("alice", ttl_s=60)

        with pytest.raises(Refused) as caught:
            with_node(scene)

        assert "secret" in str(caught.value.hint)


class TestStrangers:
    def test_a_line_without_an_end_is_not_read_to_its_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vuemantics_ws.client.control.LINE_BYTES_MAX", 100_000)

        async def first(control: Control) -> dict[str, Any]:
            async with contextlib.aclosing(control.happenings()) as happenings:
                return await anext(happenings)

        with pytest.raises(EnvironmentUnfit, match="no control port of ours: it answered something else"):
            with_stranger(200, b'{"kind": "' + b"x" * 10_000_000 + b'"}', first)

    def test_where_nothing_listens_the_hint_starts_a_server(self) -> None:
        async def scene() -> None:
            async with Control("http://127.0.0.1:1") as control:
                await control.statistics()

        with pytest.raises(EnvironmentUnfit, match=r"no server answers at http://127\.0\.0\.1:1") as caught:
            run(scene())

        assert caught.value.hint == "start one with: vuemantics-ws serve"

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (200, b"<html>", "it answered something else"),
            (200, b'{"upload_id": 7}', "it answered something else"),
            (404, b"Not Found", "it answered HTTP 404"),
            (302, b"", "it answered HTTP 302"),
            (500, b'{"error": "text"}', "it answered HTTP 500"),
        ],
    )
    def test_whoever_else_answers_is_told_apart(self, status: int, body: bytes, expected: str) -> None:
        with pytest.raises(EnvironmentUnfit, match=f"is no control port of ours: {expected}"):
            with_stranger(status, body, lambda control: control.publish(b"{}"))

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (403, "no", Refused),
            (413, "no", Refused),
            (422, "no", Refused),
            (422, "bad_event", BadEvent),
            (500, "no", EnvironmentUnfit),
            (503, "no", EnvironmentUnfit),
        ],
    )
    def test_a_complaint_keeps_its_words_and_its_hint(self, status: int, code: str, kind: type[Exception]) -> None:
        body = json.dumps({"error": {"code": code, "message": "not today", "hint": "try tomorrow"}}).encode()

        with pytest.raises(kind, match="not today") as caught:
            with_stranger(status, body, lambda control: control.publish(b"{}"))

        assert caught.value.hint == "try tomorrow"  # type: ignore[attr-defined]

    def test_a_server_that_never_answers_is_given_up(self) -> None:
        async def scene() -> None:
            async with stranger() as port, Control(f"http://127.0.0.1:{port}", timeout_s=0.05) as control:
                await control.ready()

        with pytest.raises(EnvironmentUnfit, match=r"no answer from .* within 0\.05 s"):
            run(scene())

    def test_a_websocket_s_url_is_a_bad_setting(self) -> None:
        with pytest.raises(BadSetting) as caught:
            Control("ws://127.0.0.1:8765")

        assert caught.value.hint == "did you mean http://127.0.0.1:8765?"
