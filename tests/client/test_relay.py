"""What is asked of control ports for somebody else, against real sockets."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.client.peer import run
from tests.client.test_control import served
from tests.gateway.nodes import event, gateway
from vuemantics_ws.client.relay import Answer, Asked, Relay, Unreached
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.control import create_control_application
from vuemantics_ws.gateway.listening import listen

Scope = dict[str, Any]
Say = Callable[[int, bytes], Awaitable[None]]


@contextlib.asynccontextmanager
async def answering(answer: Callable[[Scope, Say], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that answers as it is told: ``say(status, body)``, more than once for a body in parts."""

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        begun = False

        async def say(status: int, body: bytes) -> None:
            nonlocal begun
            if not begun:
                await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
            begun = True
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await answer(scope, say)
        if begun:
            await send({"type": "http.response.body", "body": b""})

    async with served(application) as url:
        yield url


@contextlib.asynccontextmanager
async def leaving() -> AsyncIterator[tuple[str, list[bytes]]]:
    """The URL of a server that goes away as soon as it has been asked, and what it was asked."""
    asked = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def nobody() -> str:
    """A URL at which nothing listens."""
    with listen("127.0.0.1", 0, "--control-port") as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_what_a_node_says_is_passed_on_as_it_is() -> None:
    async def scenario() -> list[Answer]:
        async with gateway() as node, served(create_control_application(node)) as control:
            with Relay() as relay:
                asked = Asked("POST", "/events?owner=alice", "application/json", event("u1", 10))
                return [
                    await relay.ask(control, each) for each in (asked, Asked("GET", "/uploads/u1"), Asked("GET", "/u%2E%2E"))
                ]

    published, head, missing = run(scenario())

    assert (published.status, published.content_type) == (200, "application/json")
    assert b'"verdict":"accepted"' in published.body
    assert b'"owner":"alice"' in head.body
    assert missing.status == 404
    assert b'"code":"not_found"' in missing.body


def test_one_connection_serves_for_one_request_after_the_other() -> None:
    async def scenario() -> set[Any]:
        seen = set()

        async def answer(scope: Scope, say: Say) -> None:
            seen.add(scope["client"])
            await say(200, b"yes")

        async with answering(answer) as control:
            with Relay() as relay:
                for method in ("GET", "HEAD", "POST"):
                    await relay.ask(control, Asked(method, "/"))
        return seen

    assert len(run(scenario())) == 1


def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used() -> None:
    async def scenario() -> list[bytes]:
        async def answer(scope: Scope, say: Say) -> None:
            await say(200, b"yes")

        with Relay() as relay:
            said = []
            async with answering(answer) as control:
                said.append((await relay.ask(control, Asked("GET", "/"))).body)
            with pytest.raises(Unreached):
                await relay.ask(control, Asked("GET", "/"))
        return said

    assert run(scenario()) == [b"yes"]


def test_each_is_asked_in_turn() -> None:
    async def scenario() -> Counter[str]:
        asked: Counter[str] = Counter()

        def answer(name: str) -> Callable[[Scope, Say], Awaitable[None]]:
            async def say_it(scope: Scope, say: Say) -> None:
                asked[name] += 1
                await say(200, b"")

            return say_it

        async with answering(answer("one")) as one, answering(answer("two")) as two, answering(answer("three")) as three:
            with Relay() as relay:
                for _ in range(9):
                    await relay.ask_any([one, two, three], Asked("GET", "/"), harmless_twice=True)
        return asked

    assert run(scenario()) == {"one": 3, "two": 3, "three": 3}


@pytest.mark.parametrize("harmless_twice", [True, False])
def test_where_one_is_not_there_the_next_is_asked(harmless_twice: bool) -> None:
    async def scenario() -> set[bytes]:
        async def answer(scope: Scope, say: Say) -> None:
            await say(200, b"yes")

        async with answering(answer) as control:
            with Relay() as relay:
                return {
                    (await relay.ask_any([control, nobody()], Asked("DELETE", "/"), harmless_twice=harmless_twice)).body
                    for _ in range(4)
                }

    assert run(scenario()) == {b"yes"}


def test_what_may_have_been_done_is_asked_again_only_where_that_is_harmless() -> None:
    async def scenario() -> tuple[EnvironmentUnfit, int, bytes]:
        async def answer(scope: Scope, say: Say) -> None:
            await say(200, b"yes")

        async with leaving() as (gone, asked), answering(answer) as there:
            with Relay() as relay:
                with pytest.raises(EnvironmentUnfit) as caught:
                    await relay.ask_any([there, gone], Asked("DELETE", "/"), harmless_twice=False)
                times = len(asked)
                answered = await relay.ask_any([gone, there, gone], Asked("POST", "/"), harmless_twice=True)
                return caught.value, times, answered.body

    error, times, body = run(scenario())

    assert error.message == "a worker went away before it had answered"
    assert error.hint == "whether it did what it was asked is not known"
    assert (times, body) == (1, b"yes")


def test_where_none_is_there_that_is_said() -> None:
    async def scenario() -> None:
        with Relay() as relay:
            await relay.ask_any([nobody(), nobody()], Asked("GET", "/"), harmless_twice=True)

    with pytest.raises(EnvironmentUnfit) as caught:
        run(scenario())

    assert caught.value.message == "no worker answers"


def test_one_that_does_not_answer_is_given_up() -> None:
    async def scenario() -> None:
        never = asyncio.Event()

        async def answer(scope: Scope, say: Say) -> None:
            await never.wait()

        async with answering(answer) as control:
            with Relay(timeout_s=0.05) as relay:
                try:
                    await relay.ask(control, Asked("GET", "/"))
                finally:
                    never.set()

    with pytest.raises(EnvironmentUnfit) as caught:
        run(scenario())

    assert caught.value.message == "a worker does not answer within 0.05 s"


class TestStream:
    def test_lines_come_as_they_are_said_however_they_are_cut(self) -> None:
        async def scenario() -> list[bytes]:
            read = asyncio.Event()

            async def answer(scope: Scope, say: Say) -> None:
                await say(200, b"one\ntw")
                await read.wait()
                await say(200, b"o\nthree")

            found = []
            async with answering(answer) as control:
                with Relay() as relay:
                    async with relay.stream(control, "/") as lines:
                        assert not isinstance(lines, Answer)
                        async for line in lines:
                            found.append(line)
                            read.set()
            return found

        assert run(scenario()) == [b"one", b"two"]

    def test_what_is_no_stream_is_an_answer(self) -> None:
        async def scenario() -> Any:
            async def answer(scope: Scope, say: Say) -> None:
                await say(422, b"no")

            async with answering(answer) as control:
                with Relay() as relay:
                    async with relay.stream(control, "/") as answered:
                        return answered

        assert run(scenario()) == Answer(422, "text/plain", b"no")

    def test_a_server_that_goes_away_is_told_of(self) -> None:
        async def scenario() -> None:
            async with leaving() as (control, _):
                with Relay() as relay:
                    async with relay.stream(control, "/"):
                        pass

        with pytest.raises(EnvironmentUnfit) as caught:
            run(scenario())

        assert caught.value.message == "a worker went away"
