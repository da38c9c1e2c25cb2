"""What a node around Redis hears, and how it passes it on."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from redis import Redis

from tests.events import read
from tests.gateway.clustered import clustered, member, until
from tests.gateway.nodes import event
from tests.gateway.outages.browsing import open_tab
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.messages import with_version
from vuemantics_ws.simulation.real.proxy import TcpProxy

EVENTS = 500
UPLOADS = [f"u{number}" for number in range(8)]
TURNS = 20


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await act()

    asyncio.run(bounded())


def test_a_node_that_adopts_nothing_hears_what_its_users_follow_and_nothing_else(redis: RedisServer, prefix: str) -> None:
    """Of everything else that is published not a byte, whoever it is about: two hours of it would be one minute of it."""

    async def act() -> None:
        async with (
            TcpProxy("127.0.0.1", redis.port, dice=random.Random(1)) as way,
            clustered(redis.url, prefix, "a", access="open") as [busy],
            member(f"redis://127.0.0.1:{way.port}", prefix, "b", access="open", adopt=False) as quiet,
            open_tab(quiet.node, "alice") as tab,
        ):
            await tab.follow("mine")
            await until(lambda: "mine" in tab.known)

            async def passed_bytes(upload_ids: list[str]) -> int:
                before = way.passed_bytes
                for number in range(EVENTS):
                    receipt = await busy.node.publish(read(event(upload_ids[number % len(upload_ids)], number=number)))
                    assert receipt.verdict == "accepted"
                return way.passed_bytes - before

            others = await passed_bytes([f"other-{number}" for number in range(50)])
            mine = await passed_bytes(["mine"])

            assert len(tab.heard["mine"]) > 0
            assert mine > EVENTS * 200
            assert others < mine / 20  # its own canaries and presence

    run(act)


class Counting:
    """A transport that remembers what was written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_what_one_read_brings_leaves_in_one_write_for_each_connection(redis: RedisServer, prefix: str) -> None:
    """While the node does something else much is published; then it reads all of it at once."""
    keys = Keys(prefix)

    def publish_all() -> None:
        with Redis(port=redis.port) as client, client.pipeline(transaction=False) as pipeline:
            for seq in range(1, TURNS + 1):
                for upload_id in UPLOADS:
                    header = b"1 %d - 0123456789abcdef 0 %032x - \n" % (seq, seq)
                    pipeline.publish(
                        keys.state_channel(upload_id).decode(), header + with_version(event(upload_id, number=seq), 1, seq)
                    )
            pipeline.execute()

    async def act() -> None:
        async with (
            clustered(redis.url, prefix, "a", access="open") as [one],
            open_tab(one.node, "alice") as alice,
            open_tab(one.node, "bob") as bob,
        ):
            for tab in (alice, bob):
                await tab.follow(*UPLOADS)
                await until(lambda tab=tab: len(tab.known) == len(UPLOADS))  # type: ignore[misc]
            transports = []
            for connection in one.node.connections:
                assert connection.transport is not None
                transports.append(Counting(connection.transport))
                connection.transport = transports[-1]  # type: ignore[assignment]

            publish_all()
            await until(lambda: all(len(tab.heard) == len(UPLOADS) for tab in (alice, bob)))

            for transport in transports:
                assert [data.count(b'"upload_progress"') for data in transport.written] == [len(UPLOADS)]
            for tab in (alice, bob):
                assert {upload_id: [news.version for news in heard] for upload_id, heard in tab.heard.items()} == {
                    upload_id: [(1, TURNS)] for upload_id in UPLOADS
                }

    run(act)
