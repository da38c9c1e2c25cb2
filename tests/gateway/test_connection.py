"""One connection on real sockets, with an echo for a conversation: what the library leaves to us."""

import asyncio
import contextlib
import socket

import pytest
from websockets.frames import Close, Opcode

from tests.gateway.echo import EchoPort, echo_server
from tests.gateway.raw_client import REQUEST, RawClient, frame, raw_client
from vuemantics_ws.limits import Limits


def test_a_message_in_the_same_segment_as_the_request_is_not_lost() -> None:
    async def scenario() -> bytes:
        async with echo_server() as (_, port), raw_client(port) as client:
            await client.upgrade(then=frame(b"early"))
            return bytes((await client.frame()).data)

    assert asyncio.run(scenario()) == b"early"


def test_a_request_may_come_byte_by_byte() -> None:
    async def scenario() -> bytes:
        async with echo_server() as (_, port), raw_client(port) as client:
            for byte in REQUEST[:-1]:
                client.send(bytes([byte]))
                await asyncio.sleep(0)
            client.send(REQUEST[-1:])
            return await client.reader.readuntil(b"\r\n\r\n")

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 101")


def test_a_socket_that_never_finishes_its_request_is_dropped_in_time() -> None:
    async def scenario() -> tuple[bytes, list[int | None]]:
        async with echo_server(Limits(handshake_timeout_s=0.1)) as (port, number), raw_client(number) as client:
            client.send(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionResetError):
                return await client.reader.read(), port.codes
            return b"", port.codes

    said, codes = asyncio.run(scenario())

    assert said == b""
    assert codes == [None]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello there\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /ws/uploads HTTP/1.1\r\n" + b"X-Filler: " + b"x" * 9_000 + b"\r\n\r\n", b"431"),
        (b"GET /ws/uploads HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /ws/uploads HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 1_000) for i in range(60)) + b"\r\n", b"431"),
        (b"GET /ws/uploads HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
)
def test_what_is_no_upgrade_gets_a_status_and_the_end_of_the_stream(sent: bytes, status: bytes) -> None:
    async def scenario() -> tuple[bytes, EchoPort]:
        async with echo_server() as (port, number), raw_client(number) as client:
            client.send(sent)
            return await client.reader.read(), port

    answer, port = asyncio.run(scenario())

    assert answer.startswith(b"HTTP/1.1 " + status), answer[:80]
    assert port.echoes == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([frame(b"\xff")], 1007),
        ([frame(b"\xe2\x82", fin=False), frame(b"x", Opcode.CONT)], 1007),
        ([frame(b"\xed\xa0\x80", fin=False)], 1007),
        ([frame(b"x" * 8_193)], 1009),
        ([frame(b"x" * 8_000, fin=False), frame(b"x" * 193, Opcode.CONT)], 1009),
        ([frame(b"", fin=False)] + [frame(b"", Opcode.CONT, fin=False)] * 16, 1009),
        ([b"\x81\x01x"], 1002),
        ([b"\xc1\x81\0\0\0\0x"], 1002),
        ([frame(b"x", Opcode.CONT)], 1002),
        ([frame(b"x", fin=False), frame(b"x")], 1002),
        ([frame(b"", Opcode.PING)] * 1_300, 4029),
        ([frame(b"", Opcode.PONG)] * 20_000, 4029),
        ([frame(b"x", fin=False), *[frame(b"", Opcode.PING)] * 1_300], 4029),
        ([frame(Close(1000, "").serialize(), Opcode.CLOSE)], 1000),
        ([frame(Close(4999, "mine").serialize(), Opcode.CLOSE)], 4999),
    ],
)
def test_each_way_to_break_a_rule_has_its_close_code(sent: list[bytes], code: int) -> None:
    async def scenario() -> tuple[int, list[int | None], int]:
        async with echo_server(Limits(fragments_max=16)) as (port, number), raw_client(number) as client:
            await client.upgrade(then=b"".join(sent))
            said = await client.close_code()
            client.writer.transport.abort()
            await port.one_ended.wait()
            return said, port.codes, port.echoes[0].closed

    said, codes, closed = asyncio.run(scenario())

    assert said == code
    assert codes == [code]
    assert closed == 1


def test_a_message_of_the_largest_size_is_taken() -> None:
    async def scenario() -> int:
        async with echo_server() as (_, port), raw_client(port) as client:
            await client.upgrade(then=frame(b"x" * 8_192))
            return len((await client.frame()).data)

    assert asyncio.run(scenario()) == 8_192


def test_as_many_fragments_as_allowed_make_one_message() -> None:
    async def scenario() -> bytes:
        async with echo_server(Limits(fragments_max=4)) as (_, port), raw_client(port) as client:
            await client.upgrade(then=frame("€".encode()[:1], fin=False))
            client.send(frame("€".encode()[1:], Opcode.CONT, fin=False))
            client.send(frame(b"", Opcode.PING))
            client.send(frame(b"", Opcode.CONT, fin=False) + frame(b"!", Opcode.CONT))
            assert (await client.frame()).opcode is Opcode.PONG
            return bytes((await client.frame()).data)

    assert asyncio.run(scenario()).decode() == "€!"


def test_a_flood_is_not_answered_to_its_end() -> None:
    async def scenario() -> int:
        async with echo_server() as (_, port), raw_client(port) as client:
            await client.upgrade(then=frame(b"x", Opcode.PING) * 40_000)
            pongs = 0
            while (await client.frame()).opcode is Opcode.PONG:
                pongs += 1
            return pongs

    assert asyncio.run(scenario()) <= 1_200 + 700  # the burst, and what one piece of 4 KiB holds beyond it


def _small_window(client: RawClient) -> None:
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)


def test_a_peer_that_asks_and_never_reads_is_read_no_further() -> None:
    async def scenario() -> tuple[int, int]:
        limits = Limits(messages_burst_max=10**6, stall_timeout_s=5)
        async with echo_server(limits) as (port, number), raw_client(number) as client:
            await client.upgrade()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            request = frame(b"x" * 4_000)
            for _ in range(20_000):
                client.send(request)
                if client.writer.transport.get_write_buffer_size() > 2**20:
                    break
                await asyncio.sleep(0)
            return port.connections[0].pending_bytes, client.writer.transport.get_write_buffer_size()

    pending, unsent = asyncio.run(scenario())

    assert unsent > 2**20, "the server must have stopped reading"
    assert pending <= 64 * 1024 + 2 * 256 * 1024  # the limit, and what one read of the loop brings


@pytest.mark.slow
def test_a_peer_that_takes_nothing_is_dropped_after_the_stall_timeout() -> None:
    async def scenario() -> tuple[float, list[int | None], int]:
        loop = asyncio.get_running_loop()
        limits = Limits(stall_timeout_s=1.0, close_timeout_s=0.2)
        async with echo_server(limits) as (port, number), raw_client(number) as client:
            await client.upgrade()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            connection = port.connections[0]
            largest = 0
            started_at = 0.0
            while not port.codes:
                for upload in range(20):
                    connection._outbox.put_state(f"upload-{upload}", b"x" * 4_000)
                connection._touch()
                await asyncio.sleep(0.01)
                if connection._outbox.pending_bytes and not started_at:
                    started_at = loop.time()
                largest = max(largest, connection._outbox.pending_bytes)
            return loop.time() - started_at, port.codes, largest

    took_s, codes, largest = asyncio.run(scenario())

    assert codes == [4008]
    assert 1.0 <= took_s <= 3.0
    assert largest <= 20 * 4_000


@pytest.mark.slow
def test_a_slow_reader_is_no_stalled_one() -> None:
    async def scenario() -> tuple[list[int | None], int]:
        limits = Limits(stall_timeout_s=1.0, close_timeout_s=0.2)
        async with echo_server(limits) as (port, number), raw_client(number) as client:
            await client.upgrade()
            _small_window(client)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer = client.writer.get_extra_info("socket")
            connection, read = port.connections[0], 0
            for turn in range(120):  # about three seconds at some 100 kB/s
                for upload in range(20):
                    connection._outbox.put_state(f"upload-{upload}", b"%3d" % turn + b"x" * 4_000)
                connection._touch()
                await asyncio.sleep(0.025)
                with contextlib.suppress(BlockingIOError):
                    read += len(peer.recv(2_500)) if hasattr(peer, "recv") else len(peer._sock.recv(2_500))
            return list(port.codes), read

    codes, read = asyncio.run(scenario())

    assert codes == []
    assert read > 50_000


def test_silence_gets_a_ping_and_then_the_end() -> None:
    async def scenario() -> tuple[Opcode, int]:
        limits = Limits(silence_timeout_s=0.1, silence_grace_s=0.1, close_timeout_s=0.1)
        async with echo_server(limits) as (_, port), raw_client(port) as client:
            await client.upgrade()
            return (await client.frame()).opcode, await client.close_code()

    assert asyncio.run(scenario()) == (Opcode.PING, 4009)


def test_any_frame_is_a_sign_of_life() -> None:
    async def scenario() -> list[int | None]:
        limits = Limits(silence_timeout_s=0.15, silence_grace_s=0.15)
        async with echo_server(limits) as (port, number), raw_client(number) as client:
            await client.upgrade()
            for _ in range(12):
                client.send(frame(b"", Opcode.PONG))
                await asyncio.sleep(0.05)
            return list(port.codes)

    assert asyncio.run(scenario()) == []


def test_a_peer_that_never_answers_a_close_is_dropped() -> None:
    async def scenario() -> list[int | None]:
        async with echo_server(Limits(close_timeout_s=0.1)) as (port, number), raw_client(number) as client:
            await client.upgrade(then=frame(b"\xff"))
            assert await client.close_code() == 1007
            await port.one_ended.wait()
            return port.codes

    assert asyncio.run(scenario()) == [1007]


def test_a_socket_that_is_reset_ends_as_1006() -> None:
    async def scenario() -> tuple[list[int | None], int]:
        async with echo_server() as (port, number), raw_client(number) as client:
            await client.upgrade()
            client.writer.transport.abort()
            await port.one_ended.wait()
            return port.codes, port.echoes[0].closed

    assert asyncio.run(scenario()) == ([1006], 1)


@pytest.mark.slow
def test_one_connection_lives_through_many_messages() -> None:
    async def scenario() -> int:
        limits = Limits(messages_burst_max=10**9)
        async with echo_server(limits) as (_, port), raw_client(port) as client:
            await client.upgrade()
            answered = 0
            message = b"".join([frame(b"x", fin=False), frame(b"y", Opcode.CONT)]) * 500
            for _ in range(300):
                client.send(message)
                for _ in range(500):
                    assert (await client.frame()).data == b"xy"
                    answered += 1
            return answered

    assert asyncio.run(scenario()) == 150_000
