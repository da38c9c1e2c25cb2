"""Workers publish over few kept connections, and say what came of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.client.peer import run
from vuemantics_ws.client.control import Receipt
from vuemantics_ws.errors import BadEvent, EnvironmentUnfit, Refused
from vuemantics_ws.simulation.real import worker as worker_module
from vuemantics_ws.simulation.real.worker import LINES_MAX, Workers

Answer = Callable[["Asked"], Awaitable[bytes]]
ACCEPTED = {"upload_id": "up", "verdict": "accepted", "attempt": 1, "seq": 2, "receivers": 1, "more": "fields"}


class Asked:
    """One request, and over which connection it came."""

    def __init__(self, connection: int, head: str, body: bytes) -> None:
        self.connection = connection
        self.head = head
        self.body = body


def response(status: int, said: object, *, close: bool = False) -> bytes:
    body = json.dumps(said).encode()
    more = "Connection: close\r\n" if close else ""
    return f"HTTP/1.1 {status} X\r\nServer: x\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body


async def accept(asked: Asked) -> bytes:
    return response(200, ACCEPTED)


@contextlib.asynccontextmanager
async def control(answer: Answer = accept) -> AsyncIterator[tuple[Workers, list[Asked]]]:
    """Workers at a control port that answers so. One that is no object, or that says so, is followed by the end."""
    asked: list[Asked] = []
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        number = len(connections)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
                asked.append(Asked(number, head, await reader.readexactly(length)))
                said = await answer(asked[-1])
                writer.write(said)
                await writer.drain()
                if b"\r\n\r\n{" not in said or b"Connection: close" in said:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with Workers(f"http://127.0.0.1:{port}") as workers:
            yield workers, asked
    finally:
        server.close()
        for writer in connections:
            with contextlib.suppress(ConnectionError):
                writer.close()
                await writer.wait_closed()


def test_an_event_is_sent_as_it_is_and_its_receipt_comes_back() -> None:
    async def main() -> None:
        async with control() as (workers, asked):
            receipt = await workers.publish(b'{"x":1}', owner="a b&c/é")
            await workers.publish(b"{}")

            assert receipt == Receipt("up", "accepted", 1, 2, 1)
            assert [one.body for one in asked] == [b'{"x":1}', b"{}"]
            assert asked[0].head.startswith("POST /events?owner=a%20b%26c%2F%C3%A9 HTTP/1.1\r\nHost: 127.0.0.1:")
            assert asked[1].head.startswith("POST /events HTTP/1.1\r\n")
            assert "Content-Type: application/json" in asked[0].head
            assert [one.connection for one in asked] == [1, 1]

    run(main())


def test_many_workers_share_few_connections() -> None:
    async def main() -> None:
        async with control() as (workers, asked):
            await asyncio.gather(*(workers.publish(b"%d" % number) for number in range(100)))

            assert sorted(int(one.body) for one in asked) == list(range(100))
            assert {one.connection for one in asked} == set(range(1, LINES_MAX + 1))

    run(main())


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def close_the_first_after_one(asked: Asked) -> bytes:
        return b"" if asked.connection == 1 and asked.body == b"2" else response(200, ACCEPTED)

    async def main() -> None:
        async with control(close_the_first_after_one) as (workers, asked):
            await workers.publish(b"1")
            receipt = await workers.publish(b"2")

            assert receipt.verdict == "accepted"
            assert [(one.connection, one.body) for one in asked] == [(1, b"1"), (1, b"2"), (2, b"2")]

    run(main())


def test_a_server_that_closes_after_each_answer_is_called_again() -> None:
    async def answer_and_close(asked: Asked) -> bytes:
        return response(200, ACCEPTED, close=True)

    async def main() -> None:
        async with control(answer_and_close) as (workers, asked):
            for _ in range(3):
                await workers.publish(b"1")

            assert [one.connection for one in asked] == [1, 2, 3]

    run(main())


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (response(422, {"error": {"code": "bad_event", "message": "expected a stage"}}), BadEvent, "expected a stage"),
        (response(403, {"error": {"code": "x", "message": "not you", "hint": None}}), Refused, "not you"),
        (response(500, "Internal Server Error"), EnvironmentUnfit, "answered 500 with something else"),
        (response(200, {"verdict": "accepted"}), EnvironmentUnfit, "answered 200 with something else"),
        (response(200, None)[:-2], EnvironmentUnfit, "was lost"),
        (b"HTTP/1.1 200 OK\r\n\r\n", EnvironmentUnfit, "was lost"),
        (b"hello\r\n\r\n", EnvironmentUnfit, "was lost"),
        (b"x" * 100_000, EnvironmentUnfit, "was lost"),
        (b"", EnvironmentUnfit, "was lost"),
    ],
)
def test_what_is_no_receipt_is_an_error(answer: bytes, error: type[Exception], said: str) -> None:
    async def once(asked: Asked) -> bytes:
        return answer if asked.body == b"1" else response(200, ACCEPTED)

    async def main() -> None:
        async with control(once) as (workers, _):
            with pytest.raises(error, match=said):
                await workers.publish(b"1")
            assert (await workers.publish(b"2")).verdict == "accepted"

    run(main())


def test_nobody_there_is_an_unfit_environment() -> None:
    async def main() -> None:
        async with control() as (_, asked):
            pass
        async with Workers("http://127.0.0.1:1") as workers:
            with pytest.raises(EnvironmentUnfit, match="was lost"):
                await workers.publish(b"1")
        assert asked == []

    run(main())


def test_an_answer_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "TIMEOUT_S", 0.02)
    never = asyncio.Event()

    async def wait(asked: Asked) -> bytes:
        await never.wait()
        return b""

    async def main() -> None:
        async with control(wait) as (workers, _):
            with pytest.raises(EnvironmentUnfit, match=r"no answer to an event within 0\.02 s"):
                await workers.publish(b"1")
            never.set()

    run(main())
