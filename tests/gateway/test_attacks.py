"""What hostile clients, careless publishers and our own faults may not do to everybody else."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any, cast

import pytest
from websockets.frames import Opcode

from tests.gateway.nodes import browser, client, completed, event, gateway
from tests.gateway.raw_client import RawClient, frame, raw_client
from tests.gateway.test_timers import Alarm, Loop
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.timers import LATE_S, RESOLUTION_S, Timers
from vuemantics_ws.limits import Limits

AUTH = b'{"type": "auth", "token": "%s"}'
UNSENT_MAX = 2**20


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0)


def _never_reads(guest: RawClient) -> Any:
    guest.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    transport = cast(Any, guest.writer.transport)
    transport.pause_reading()
    return transport


# Floods.


@pytest.mark.parametrize(
    "flood",
    [frame(b"x" * 122, Opcode.PING), frame(b"x" * 122, Opcode.PONG), frame(b"x"), b"\xff"],
    ids=["pings", "pongs", "texts", "garbage"],
)
def test_whoever_floods_after_the_end_is_neither_answered_nor_read(flood: bytes) -> None:
    async def scenario() -> tuple[int, int]:
        async with gateway(close_timeout_s=5.0) as node, raw_client(node.address[1]) as guest:
            await guest.upgrade()
            transport = _never_reads(guest)
            (connection,) = node.connections
            guest.send(frame(b"{"))
            for _ in range(1_000):
                guest.send(flood * (65_536 // len(flood)))
                if transport.get_write_buffer_size() > UNSENT_MAX:
                    break
                await asyncio.sleep(0)
            assert connection.transport is not None
            return transport.get_write_buffer_size(), connection.transport.get_write_buffer_size()

    unsent, answers = asyncio.run(scenario())

    assert unsent > UNSENT_MAX, "the server must have stopped reading"
    assert answers <= 128 * 1024


@pytest.mark.parametrize(
    ("said", "then", "code", "answer"),
    [
        (b"{", b"\xff\xff", 1002, None),
        (b"{", frame(b"\x03\xe8", Opcode.CLOSE), 1000, None),
        (b"[]", frame(b"\x03\xe8", Opcode.CLOSE), 1000, "Authentication required"),
        (AUTH % b"forged", frame(b"\x03\xe8", Opcode.CLOSE), 1000, "Invalid token"),
        (b"\xff", b"\xff\xff", 1002, None),
    ],
    ids=["no JSON, no frame", "no JSON, close", "no auth, close", "bad token, close", "no UTF-8, no frame"],
)
def test_what_ends_a_connection_twice_in_one_segment_is_no_fault_of_ours(
    said: bytes, then: bytes, code: int, answer: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[list[str], int, dict[int, int]]:
        async with gateway() as node, raw_client(node.address[1]) as guest:
            await guest.upgrade(then=frame(said) + then)
            answers = []
            while (received := await guest.frame()).opcode is not Opcode.CLOSE:
                answers.append(json.loads(bytes(received.data))["message"])
            guest.writer.close()
            await until(lambda: bool(node.manager.counters.closes))
            return answers, int.from_bytes(received.data[:2], "big"), dict(node.manager.counters.closes)

    answers, closed_with, closes = asyncio.run(scenario())

    assert answers == ([] if answer is None else [answer])
    assert (closed_with, closes) == (code, {code: 1})
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_a_reset_in_the_middle_of_many_writes_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> dict[int, int]:
        async with gateway() as node, raw_client(node.address[1]) as guest:
            await guest.upgrade(then=frame(AUTH % node.authenticator.mint("alice", 60.0).encode()))
            for number in range(60):
                guest.send(frame(b'{"action": "subscribe_upload", "upload_id": "u%d"}' % number))
            await until(lambda: len(node.manager.registry.uploads) == 60)
            (connection,) = node.connections
            guest.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            guest.writer.transport.abort()
            await asyncio.sleep(0)
            for number in range(60):
                connection.put_state(f"u{number}", Frame(b"x" * 60_000))
            await until(lambda: bool(node.manager.counters.closes))
            return dict(node.manager.counters.closes)

    assert asyncio.run(scenario()) == {1006: 1}
    assert caplog.records == []


def test_a_subscribe_over_the_maximum_costs_little_whatever_waits_for_other_tabs() -> None:
    class Waiting:
        """A tab that reads nothing."""

        looks = 0

        def put_state(self, upload_id: str, frame: Frame) -> None: ...
        def put_direct(self, frame: Frame) -> None: ...
        def discard(self, upload_id: str) -> None: ...
        def holds(self, upload_id: str) -> bool:
            Waiting.looks += 1
            return True

    async def scenario() -> tuple[int, int]:
        limits = Limits(uploads_per_user_max=500)
        answers: list[bool] = []
        broker = MemoryBroker(clock=SystemClock(), limits=limits)
        async with ConnectionManager(broker=broker, access=lambda user_id, owner: True, limits=limits) as manager:
            tab = Waiting()
            manager.join("alice", tab)
            for number in range(500):
                await manager.publish(completed(f"u{number}"))
                manager.follow("alice", f"u{number}", tab, answers.append)
            Waiting.looks = 0
            with pytest.raises(Exception, match="expected at most 500 unfinished uploads"):
                manager.follow("alice", "another", tab, answers.append)
            return len(answers), Waiting.looks

    answered, looks = asyncio.run(scenario())

    assert answered == 500
    assert 0 < looks <= 50


# Places.


def test_those_who_had_to_make_room_do_not_fill_the_server() -> None:
    async def scenario() -> tuple[int, dict[str, int]]:
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(gateway(connections_max=3, unauthenticated_max=2, close_timeout_s=5.0))
            for _ in range(8):  # upgraded, silent, and deaf to every close
                guest = await stack.enter_async_context(raw_client(node.address[1]))
                await guest.upgrade()
            lingering = len(node.connections)
            async with browser(node, "alice"):
                return lingering, dict(node.manager.counters.limits)

    lingering, limits = asyncio.run(scenario())

    assert 3 <= lingering <= 2 + 2 + 1, "some must still be going, and not all of them"
    assert limits == {"unauthenticated_max": 7}


def test_a_proxy_is_not_limited_as_if_it_were_one_client() -> None:
    async def scenario() -> tuple[dict[str, int], dict[str, int]]:
        async with gateway(trusted_proxies=(ip_network("10.0.0.0/8"),)) as node:
            counted = []
            for address in ("10.0.0.7", "203.0.113.9"):
                node.manager.counters.limits.clear()
                opened = [Connection(node, number) for number in range(128)]  # as many as are accepted at once
                for connection in opened:
                    connection.peer_address = address
                    node.opened(connection)
                counted.append(dict(node.manager.counters.limits))
                for connection in opened:
                    node.ended(connection, None)
            return counted[0], counted[1]

    of_the_proxy, of_a_client = asyncio.run(scenario())

    assert of_the_proxy == {}
    assert of_a_client == {"unauthenticated_per_address_max": 108}


# Deadlines.


def test_what_came_while_the_loop_was_blocked_is_read_before_anybody_is_judged() -> None:
    loop = Loop()
    timers, alarm = Timers(cast(asyncio.AbstractEventLoop, loop)), Alarm()
    timers.schedule(alarm, loop.now + 5.0)
    assert loop.armed is not None

    blocked_until = loop.now + 65.0
    loop.now = blocked_until
    loop.armed[1]()
    at_first = list(alarm.called_at)
    assert loop.armed is not None
    loop.now += 2 * LATE_S  # the loop is late again
    loop.armed[1]()

    assert at_first == []
    assert alarm.called_at == [blocked_until + 2 * LATE_S], "put off once, or nobody would ever be judged"


def test_a_loop_that_is_a_little_late_judges_at_once() -> None:
    loop = Loop()
    timers, alarm = Timers(cast(asyncio.AbstractEventLoop, loop)), Alarm()
    timers.schedule(alarm, loop.now + 5.0)
    assert loop.armed is not None

    loop.now += 5.0 + LATE_S - RESOLUTION_S
    loop.armed[1]()

    assert alarm.called_at == [loop.now]


@pytest.mark.slow
def test_a_slow_reader_whose_pongs_wait_unread_is_not_called_silent() -> None:
    async def scenario() -> tuple[bool, dict[int, int]]:
        limits: dict[str, Any] = {"silence_timeout_s": 0.4, "silence_grace_s": 0.2, "messages_burst_max": 10**6}
        async with gateway(stall_timeout_s=5.0, uploads_per_user_max=10**6, **limits) as node:
            async with raw_client(node.address[1]) as slow:
                await slow.upgrade(then=frame(AUTH % node.authenticator.mint("alice", 60.0).encode()))
                transport = _never_reads(slow)
                (connection,) = node.connections
                for number in range(40_000):
                    slow.send(frame(b'{"action": "subscribe_upload", "upload_id": "%s-%d"}' % (b"u" * 100, number)))
                await until(lambda: not connection._reading)
                for _ in range(30):
                    slow.send(frame(b'{"action": "pong"}'))
                    transport.resume_reading()
                    await asyncio.sleep(0.01)
                    transport.pause_reading()
                    await asyncio.sleep(0.04)
                return connection._reading, dict(node.manager.counters.closes)

    reading, closes = asyncio.run(scenario())

    assert not reading, "what it says must really have been left unread"
    assert closes == {}


# Faults of ours.


QUOTED = "-".join(("ca", "nary"))  # so that the line of code that raises it is not taken for it


class _Broken:
    """A conversation with a fault in it."""

    deadline = float("inf")
    user_id: str | None = None

    def on_text(self, data: bytes) -> None: ...
    def on_binary(self, data: bytes) -> None: ...
    def on_deadline(self, now: float) -> None: ...
    def on_closed(self) -> None: ...
    def on_liveness_due(self) -> None:
        raise ZeroDivisionError(QUOTED)


def test_a_fault_at_one_deadline_leaves_the_deadlines_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> tuple[int | None, list[str]]:
        async with gateway(ping_interval_s=0.1) as node, browser(node, "alice") as broken, browser(node, "bob") as other:
            next(iter(node.connections))._conversation = _Broken()
            code = await broken.close_code()
            return code, [json.loads(await other.socket.recv())["action"] for _ in range(3)]

    code, heard = asyncio.run(scenario())

    assert (code, heard) == (1011, ["ping"] * 3)
    assert "ZeroDivisionError" in caplog.text
    assert QUOTED not in caplog.text


def test_a_fault_in_one_write_leaves_the_frames_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def __init__(self, transport: asyncio.Transport) -> None:
            self.abort = transport.abort
            self.is_closing = transport.is_closing
            self.get_write_buffer_size = transport.get_write_buffer_size

        def write(self, data: bytes) -> None:
            raise ZeroDivisionError(QUOTED)

    async def scenario() -> tuple[int | None, list[int]]:
        async with gateway() as node, browser(node, "alice") as broken, browser(node, "bob") as other:
            await broken.subscribe("u")
            await other.subscribe("u")
            connection = next(iter(node.connections))
            assert connection.transport is not None
            connection.transport = cast(asyncio.Transport, Broken(connection.transport))
            for percent in (1, 2):
                await node.manager.publish(event("u", percent))
            return await broken.close_code(), [(await other.next())["seq"] for _ in range(2)]

    code, heard = asyncio.run(scenario())

    assert (code, heard) == (1006, [1, 2])
    assert QUOTED not in caplog.text


# Stopping, and starting.


@pytest.mark.parametrize("turns", range(16))
def test_a_socket_that_is_accepted_at_the_last_moment_does_not_keep_a_node_from_stopping(turns: int) -> None:
    async def scenario() -> tuple[str, int, bytes]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)

        async def accept_late(node: Gateway) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await loop.connect_accepted_socket(node._new_connection, ours)

        with theirs:
            async with asyncio.timeout(5), gateway(close_timeout_s=0.2) as node, client(node):
                at_once = asyncio.Event()
                at_once.set()
                accepting = asyncio.ensure_future(accept_late(node))
                await node.stop(at_once=at_once)
                await accepting
                return node.state, len(node.connections), await loop.sock_recv(theirs, 1)

    assert asyncio.run(scenario()) == ("stopped", 0, b"")


@pytest.mark.slow
def test_a_process_with_too_few_files_does_not_start() -> None:
    resource = pytest.importorskip("resource")

    ended = subprocess.run(
        [sys.executable, "-m", "vuemantics_ws.gateway"],
        env={**os.environ, "VUEMANTICS_WS_PORT": "0", "VUEMANTICS_WS_CONTROL_PORT": "0", "VUEMANTICS_WS_SECRET": "x" * 32,
             "VUEMANTICS_WS_ACCESS": "open"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (3, "")
    assert "error: this process may open 80 files" in ended.stderr
    assert "hint: raise the limit (ulimit -n)" in ended.stderr
