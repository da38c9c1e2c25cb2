"""The proxy between real sockets: what passes, what waits, and what ends."""

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.real.proxy import TcpProxy

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]

DIALED: list[Line] = []
"""The clients of a test, which are closed at its end."""


async def hang_up(lines: list[Line]) -> None:
    for _, writer in lines:
        writer.transport.abort()
    lines.clear()
    for _ in range(3):
        await asyncio.sleep(0)


class Server:
    """Answers what it is told with the same, until told otherwise; remembers its own ends of the lines."""

    def __init__(self) -> None:
        self.port = 0
        self.lines: list[Line] = []
        self.came = asyncio.Event()
        self.echoes = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append((reader, writer))
        self.came.set()
        try:
            while self.echoes and (data := await reader.read(65_536)):
                writer.write(data)
                await writer.drain()
            if self.echoes:
                writer.close()
        except OSError:
            pass


@asynccontextmanager
async def between() -> AsyncIterator[tuple[TcpProxy, Server]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with TcpProxy("127.0.0.1", server.port, dice=random.Random(1)) as proxy:
        yield proxy, server
    listening.close()
    await hang_up([*server.lines, *DIALED])
    DIALED.clear()


def played(body: Callable[[TcpProxy, Server], Awaitable[None]]) -> None:
    async def main() -> None:
        async with between() as (proxy, server):
            await asyncio.wait_for(body(proxy, server), 20)
        assert proxy.connections == 0
        await until(lambda: len(asyncio.all_tasks()) == 1)  # those of the server end by themselves
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def dial(proxy: TcpProxy) -> Line:
    line = await asyncio.open_connection("127.0.0.1", proxy.port)
    DIALED.append(line)
    return line


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.002)


def profile(**said: Any) -> NetworkProfile:
    return NetworkProfile.model_validate(said)


def test_what_is_said_passes_both_ways_and_so_does_the_end() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        reader, writer = await dial(proxy)

        writer.write(b"hello")
        writer.write_eof()

        assert await reader.read() == b"hello"
        await until(lambda: proxy.connections == 0)
        assert proxy.passed_bytes == 10

    played(body)


def test_a_large_stream_comes_through_whole_whatever_is_done_to_it() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        proxy.change(profile(latency="1ms..5ms", jitter="5ms", loss="1%"), slice_bytes_max=3_000)
        said = random.Random(2).randbytes(400_000)
        reader, writer = await dial(proxy)

        writer.write(said)

        assert await reader.readexactly(len(said)) == said

    played(body)


def test_latency_delays_and_does_not_throttle() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        proxy.change(profile(latency="50ms"), ways=["to the client"])
        reader, writer = await dial(proxy)
        loop = asyncio.get_running_loop()
        began_at = loop.time()

        writer.write(bytes(500_000))
        first = await reader.read(1)
        first_after_s = loop.time() - began_at
        await reader.readexactly(500_000 - len(first))

        assert first_after_s >= 0.05

    played(body)


def test_slices_come_one_by_one() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        proxy.change(profile(), ways=["to the server"], slice_bytes_max=1)
        server.echoes = False
        pieces: list[bytes] = []

        class Collects(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                pieces.append(data)

        collecting = await asyncio.get_running_loop().create_server(Collects, "127.0.0.1", 0)
        async with TcpProxy("127.0.0.1", collecting.sockets[0].getsockname()[1], dice=random.Random(1)) as sliced:
            sliced.change(profile(), slice_bytes_max=4)
            _, writer = await dial(sliced)
            writer.write(b"abcdefghijklmnopqrstuvwxyz" * 10)
            await until(lambda: sum(map(len, pieces)) == 260)
        collecting.close()

        assert b"".join(pieces) == b"abcdefghijklmnopqrstuvwxyz" * 10
        assert len(pieces) > 20

    played(body)


def test_bandwidth_is_a_bound() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        proxy.change(profile(bandwidth="400kB/s"), ways=["to the client"])
        reader, writer = await dial(proxy)
        loop = asyncio.get_running_loop()
        began_at = loop.time()

        writer.write(bytes(100_000))
        await reader.readexactly(100_000)

        assert loop.time() - began_at >= 0.2

    played(body)


def test_a_change_counts_for_what_is_connected_already() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        reader, writer = await dial(proxy)
        writer.write(b"1")
        await reader.readexactly(1)
        loop = asyncio.get_running_loop()

        proxy.change(profile(latency="60ms"))
        began_at = loop.time()
        writer.write(b"2")
        await reader.readexactly(1)

        assert loop.time() - began_at >= 0.12

    played(body)


def test_while_cut_off_nothing_passes_nobody_is_told_and_afterwards_all_of_it_comes() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        reader, writer = await dial(proxy)
        writer.write(b"1")
        await reader.readexactly(1)

        proxy.cut_off()
        writer.write(b"2")
        late_reader, late_writer = await dial(proxy)
        late_writer.write(b"3")
        await until(lambda: proxy.held_bytes == 2)
        nothing = asyncio.ensure_future(reader.read(1))
        await asyncio.sleep(0.05)
        assert not nothing.done()
        assert len(server.lines) == 1
        proxy.heal()

        assert await nothing == b"2"
        assert await late_reader.readexactly(1) == b"3"

    played(body)


def test_who_hangs_up_while_it_is_cut_off_is_heard_of_afterwards() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        _, writer = await dial(proxy)
        await server.came.wait()
        server_reader, _ = server.lines[0]

        proxy.cut_off()
        writer.close()
        await asyncio.sleep(0.05)
        assert not server_reader.at_eof()
        proxy.heal()

        await until(server_reader.at_eof)

    played(body)


def test_a_reset_reaches_both_sides_of_those_who_are_meant() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        reader, writer = await dial(proxy)
        await server.came.wait()
        other_reader, other_writer = await dial(proxy)
        other_writer.write(b"1")
        await other_reader.readexactly(1)
        server_reader, _ = server.lines[0]

        assert proxy.reset([writer.get_extra_info("sockname")[1]]) == 1

        with pytest.raises(ConnectionResetError) as reset:
            await reader.read()
        assert reset.value.errno == errno.ECONNRESET
        await until(lambda: isinstance(server_reader.exception(), ConnectionResetError))
        other_writer.write(b"2")
        assert await other_reader.readexactly(1) == b"2"

    played(body)


def test_who_is_refused_hears_of_it_and_gets_in_later_at_the_same_port() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        port = proxy.port
        reader, writer = await dial(proxy)

        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        await proxy.accept()

        assert proxy.port == port
        await dial(proxy)

    played(body)


def test_whoever_reads_nothing_stops_the_sender_as_without_a_proxy() -> None:
    async def body(proxy: TcpProxy, server: Server) -> None:
        server.echoes = False
        _, writer = await dial(proxy)
        await server.came.wait()
        _, server_writer = server.lines[0]
        whole = 64 * 1024 * 1024
        server_writer.transport.set_write_buffer_limits(high=0)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < whole:
                server_writer.write(bytes(256 * 1024))
                sent += 256 * 1024
                await server_writer.drain()

        sending = asyncio.ensure_future(send())
        done, _ = await asyncio.wait([sending], timeout=0.7)
        sending.cancel()
        await asyncio.wait([sending])

        assert not done
        assert proxy.held_bytes <= 2 * 1024 * 1024
        writer.transport.abort()

    played(body)


def test_where_the_server_is_gone_the_client_is_reset() -> None:
    async def main() -> None:
        listening = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        listening.close()
        await listening.wait_closed()
        async with TcpProxy("127.0.0.1", port, dice=random.Random(1)) as proxy:
            reader, _ = await dial(proxy)

            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
        await hang_up(DIALED)

    asyncio.run(main())
