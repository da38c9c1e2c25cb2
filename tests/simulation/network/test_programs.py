"""Programs that nobody wrote for it run over a network in memory unchanged."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisAway
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from tests.simulation.network.worlds import port_of, run_virtually
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.link import Link
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.network.virtual import VirtualNetwork

BETWEEN = Spread(0.000_05, 0.002)


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


def test_a_websockets_client_speaks_to_a_websockets_server_for_an_hour() -> None:
    async def main(network: VirtualNetwork) -> tuple[float, Any]:
        async with serve(echo, "127.0.0.1", 0) as server, connect(url_of(server), proxy=None) as socket:
            await socket.send("x" * 500_000)
            assert await socket.recv() == "x" * 500_000
            await asyncio.sleep(3600)
            await socket.send(b"still here")
            return asyncio.get_running_loop().time(), await socket.recv()

    at, answer = run_virtually(main, latency=BETWEEN, slices=True)

    assert answer == b"still here"
    assert 3600 < at < 3601
    assert run_virtually(main, latency=BETWEEN, slices=True) == (at, answer)


def test_a_server_that_shuts_down_says_so_to_its_clients() -> None:
    async def main(network: VirtualNetwork) -> None:
        async with serve(echo, "localhost", 0) as server:
            socket = await connect(url_of(server), proxy=None)
            server.close()
            await server.wait_closed()
            with pytest.raises(ConnectionClosedOK) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            with pytest.raises(ConnectionRefusedError):
                await connect(url_of(server), proxy=None)

    run_virtually(main, latency=BETWEEN)


def test_a_request_may_be_refused() -> None:
    async def main(network: VirtualNetwork) -> None:
        refusing = serve(echo, "localhost", 0, process_request=lambda connection, request: connection.respond(503, "full\n"))
        async with refusing as server:
            with pytest.raises(InvalidStatus, match="503"):
                await connect(url_of(server), proxy=None)

    run_virtually(main)


def test_a_client_behind_a_broken_network_finds_out_by_its_own_pings() -> None:
    async def main(network: VirtualNetwork) -> None:
        process = Process("client")
        async with serve(echo, "localhost", 0, ping_interval=None) as server:
            socket: Any = await process.start(_connected(url_of(server)))
            barrier = network.part("client", "world")
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
            assert 20 < asyncio.get_running_loop().time() < 60
            barrier.heal()

    run_virtually(main)


def test_many_websockets_clients_over_mobile_networks() -> None:
    async def main(network: VirtualNetwork) -> None:
        async with serve(echo, "localhost", 0) as server:
            loop = asyncio.get_running_loop()

            async def talk(number: int) -> None:
                by = Network(BUILT_IN_NETWORKS["mobile"], seed=1, client=f"tab:{number}")
                dial = network.dial("127.0.0.1", port_of(server.server), origin=f"tab:{number}", by=by)
                reader = asyncio.StreamReader()
                transport, _ = await dial(lambda: asyncio.StreamReaderProtocol(reader))
                transport.write(UPGRADE)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
                transport.close()

            began_at = loop.time()
            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    group.create_task(talk(number))
            assert 0.1 < loop.time() - began_at < 5

    run_virtually(main, slices=True)


def test_redis_py_speaks_to_a_server_in_memory() -> None:
    async def main(network: VirtualNetwork) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                words = [(await reader.readline(), await reader.readline())[1] for _ in range(int(line[1:]))]
                writer.write(b"+PONG\r\n" if words == [b"PING\r\n"] else b"+OK\r\n")
            writer.close()

        await asyncio.start_server(answer, "redis", 6379)
        node = Process("node:0")

        async def ask() -> None:
            redis = Redis(host="redis", protocol=2, socket_timeout=2, retry=Retry(NoBackoff(), 0))
            assert await redis.ping()
            network.reset("redis")
            with pytest.raises(RedisAway):
                await redis.ping()
            await redis.aclose()

        await node.start(ask())

    run_virtually(main, latency=BETWEEN, slices=True)


def test_our_own_link_to_redis_needs_no_socket() -> None:
    async def main(network: VirtualNetwork) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readline():
                await reader.readuntil(b"vuemantics-ws\r\n")
                writer.write(b"+OK\r\n")
            writer.close()

        await asyncio.start_server(answer, "redis", 6379)
        address = RedisAddress.read("redis://redis:6379")
        link = await Link.open(address, address.endpoints[0])
        network.reset("redis")

        assert await link.lost == "the connection to redis at redis:6379 broke"

    run_virtually(main, latency=BETWEEN)


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def _connected(url: str) -> Any:
    return await connect(url, proxy=None)


def url_of(server: Any) -> str:
    return f"ws://localhost:{port_of(server.server)}"
