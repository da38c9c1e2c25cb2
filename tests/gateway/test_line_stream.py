"""What happens, over real sockets: told at once, bounded, and ended in time."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from tests.events import UPLOAD_ID
from tests.gateway.controlled import (
    CANARY,
    MovableClock,
    Node,
    listeners,
    raw,
    served,
    until,
)
from vuemantics_ws.gateway.answers import (
    Happening,
)
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.line_stream import LineStream


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
