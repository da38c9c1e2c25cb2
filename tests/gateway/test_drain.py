"""Going away in order: who reads gets everything and 1012, who does not holds nobody up."""

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway.nodes import browser, client, completed, event, gateway
from tests.gateway.raw_client import RawClient, frame, raw_client
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.server import Gateway

WHAT_CAME = "a token, say"
"""An error may quote it; the log must not."""


async def _never_reads(node: Gateway, never: RawClient) -> None:
    """Authenticate, follow a hundred uploads, and read nothing from then on."""
    never.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    token = node.authenticator.mint("never", 60.0)
    await never.upgrade(then=frame(b'{"type": "auth", "token": "%s"}' % token.encode()))
    for number in range(100):
        never.send(frame(b'{"action": "subscribe_upload", "upload_id": "big-%d"}' % number))
    while node.manager.get_upload_subscriber_ids("big-99") == set():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    never.writer.transport.pause_reading()  # type: ignore[attr-defined]


async def _fill(node: Gateway) -> None:
    for turn in range(40):
        for number in range(100):
            await node.manager.publish(event(f"big-{number}", 1, message=f"{turn}" + "x" * 900))


def test_everybody_gets_what_is_pending_and_then_1012() -> None:
    async def scenario() -> list[tuple[str, int | None, str | None]]:
        async with gateway(drain_s=0.3) as node:
            async with browser(node, "alice") as one, browser(node, "bob") as two:
                await one.subscribe("u1")
                await two.subscribe("u1")
                publishing = asyncio.create_task(node.manager.publish(completed("u1")))
                stopping = asyncio.create_task(node.stop())
                said = [await tab.rest() for tab in (one, two)]
                await publishing
                await stopping
                return [
                    (messages[-1]["action"], tab.socket.close_code, tab.socket.close_reason)
                    for messages, tab in zip(said, (one, two), strict=True)
                ]

    assert asyncio.run(scenario()) == [("upload_completed", 1012, "Server reloading")] * 2


def test_while_it_drains_nobody_new_is_let_in() -> None:
    async def scenario() -> tuple[int, str, str]:
        async with gateway(drain_s=0.5) as node:
            async with browser(node, "alice"), browser(node, "bob"), browser(node, "carol"):
                stopping = asyncio.create_task(node.stop())
                await asyncio.sleep(0)
                state = node.state
                with pytest.raises(InvalidStatus) as refused:
                    async with client(node):
                        pass
                await stopping
                response = refused.value.response
                return response.status_code, response.headers["Retry-After"], state

    status, retry_after, state = asyncio.run(scenario())

    assert (status, state) == (503, "draining")
    assert int(retry_after) > 0


def test_goodbyes_are_spread_over_the_drain() -> None:
    async def scenario() -> tuple[list[float], float]:
        loop = asyncio.get_running_loop()
        async with gateway(drain_s=0.6) as node:
            async with asyncio.TaskGroup() as group, asyncio.timeout(10):
                ready = asyncio.Semaphore(0)
                ended_at: list[float] = []

                async def tab(number: int) -> None:
                    async with browser(node, f"user-{number}") as joined:
                        ready.release()
                        assert await joined.close_code() == 1012
                        ended_at.append(loop.time())

                for number in range(30):
                    group.create_task(tab(number))
                for _ in range(30):
                    await ready.acquire()
                started_at = loop.time()
                await node.stop()
                took_s = loop.time() - started_at
            return [at - started_at for at in sorted(ended_at)], took_s

    ended_at, took_s = asyncio.run(scenario())

    assert len(ended_at) == 30
    for window in range(6):  # a tenth of the drain and a little
        assert sum(window * 0.1 <= at < (window + 1) * 0.1 for at in ended_at) <= 9
    assert 0.4 < took_s < 2


def test_nobody_to_say_goodbye_to_takes_no_time() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with gateway(drain_s=60.0) as node:
            started_at = loop.time()
            await node.stop()
            return loop.time() - started_at

    assert asyncio.run(scenario()) < 0.5


@pytest.mark.slow
def test_a_peer_that_never_reads_holds_nobody_up() -> None:
    async def scenario() -> tuple[float, int | None, str, int]:
        loop = asyncio.get_running_loop()
        async with gateway(drain_s=1.0, close_timeout_s=0.3) as node:
            async with raw_client(node.address[1]) as never, browser(node, "alice") as tab:
                await _never_reads(node, never)
                await tab.subscribe("u1")
                await _fill(node)
                pending = node.statistics()["tables"]["outbox_bytes"]
                await node.manager.publish(completed("u1"))
                started_at = loop.time()
                stopping = asyncio.create_task(node.stop())
                said = await tab.rest()
                await stopping
                return loop.time() - started_at, tab.socket.close_code, said[-1]["action"], pending

    took_s, code, last, pending = asyncio.run(scenario())

    assert pending > 10_000, "the peer must really have had something pending"
    assert (code, last) == (1012, "upload_completed")
    assert took_s < 1.0 + 0.3 + 2


@pytest.mark.slow
def test_a_second_wish_to_stop_ends_it_at_once() -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with gateway(drain_s=30.0) as node:
            async with raw_client(node.address[1]) as never:
                await _never_reads(node, never)
                await _fill(node)
                at_once = asyncio.Event()
                stopping = asyncio.create_task(node.stop(at_once=at_once))
                await asyncio.sleep(0.2)
                assert not stopping.done()
                started_at = loop.time()
                at_once.set()
                await stopping
                return loop.time() - started_at

    assert asyncio.run(scenario()) < 1


def test_a_fault_of_ours_in_the_drain_is_logged_and_the_stop_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(connection: Connection, flushed: Callable[[], None]) -> None:
        raise RuntimeError(WHAT_CAME)

    async def scenario() -> tuple[str, int | None, int]:
        async with gateway(drain_s=30.0) as node:
            async with browser(node, "alice") as tab:
                await tab.subscribe("u1")
                monkeypatch.setattr(Connection, "when_flushed", broken)
                await node.stop()
                await tab.rest()
                return node.state, tab.socket.close_code, len(node.connections)

    stopped = asyncio.run(scenario())

    assert stopped == ("stopped", 1006, 0)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("the drain: a fault of ours: RuntimeError")
    assert WHAT_CAME not in record.getMessage()
