"""Whatever happens in whatever order: each watch sees versions that grow, and in the end all see the same.

A run is made of a seed; one that fails says which.
"""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from tests.brokers.benches import RedisBench, redis_bench, until
from tests.brokers.redis.emptying import empty
from tests.brokers.redis.relay import Relay
from tests.events import completed, failed, progress
from tests.redis_server import RedisServer
from vuemantics_ws.core.upload import Head
from vuemantics_ws.errors import BrokerAway

UPLOADS = [f"u{number}" for number in range(8)]
STEPS = 300


class Watching:
    """One watch, all that it has seen, and what was wrong with that: whoever is told raises nothing."""

    def __init__(self, bench: RedisBench, upload_id: str) -> None:
        self.upload_id = upload_id
        self.answers = 0
        self.over = False
        self.seen: list[Head] = []
        self.faults: list[str] = []
        self._bench = bench
        bench.broker.watch(upload_id, self._found)

    @property
    def newest(self) -> Head | None:
        return self.seen[-1] if self.seen else None

    def end(self) -> None:
        self.over = True
        self._bench.broker.unwatch(self.upload_id)

    def _found(self, head: Head | None) -> None:
        self.answers += 1
        if head is not None:
            self.see(head)

    def see(self, head: Head) -> None:
        if self.over:
            self.faults.append("told after its end")
        if self.answers != 1:
            self.faults.append(f"told after {self.answers} answers")
        if self.newest is not None and head.version <= self.newest.version:
            self.faults.append(f"told {head.version} after {self.newest.version}")
        self.seen.append(head)


class Node:
    """A broker with what watches there."""

    def __init__(self, bench: RedisBench) -> None:
        self.bench = bench
        self.watches: dict[str, Watching] = {}
        self.all: list[Watching] = []
        self.strangers = 0
        bench.told_besides = self._told

    def turn(self, upload_id: str) -> None:
        """Watch it, or end that."""
        if upload_id in self.watches:
            self.watches.pop(upload_id).end()
        else:
            self.watches[upload_id] = Watching(self.bench, upload_id)
            self.all.append(self.watches[upload_id])

    def _told(self, upload_id: str, head: Head) -> None:
        if upload_id in self.watches:
            self.watches[upload_id].see(head)
        else:
            self.strangers += 1

    async def publish(self, published: bytes) -> bool:
        try:
            await self.bench.publish(published)
        except BrokerAway:
            return False
        return True


async def live(nodes: list[Node], dice: random.Random, trouble: list[Relay], server: RedisServer | None, prefix: str) -> None:
    publishing: list[asyncio.Task[bool]] = []
    for number in range(STEPS):
        node, upload_id = dice.choice(nodes), dice.choice(UPLOADS)
        match dice.randrange(12):
            case 0 | 1 | 2:
                node.turn(upload_id)
            case 3 if trouble:
                relay = dice.choice(trouble)
                if relay.is_open:
                    await relay.cut()
                else:
                    relay.mend()
            case 4 if server is not None and dice.random() < 0.2:
                empty(server, prefix)
            case 5:
                await asyncio.sleep(dice.uniform(0, 0.02))
            case 6:
                publishing.append(asyncio.create_task(node.publish(failed(upload_id=upload_id, number=number))))
            case 7:
                version = (dice.randint(1, 3), dice.randint(1, STEPS))
                said = progress(upload_id=upload_id, number=number, version=version)
                publishing.append(asyncio.create_task(node.publish(said)))
            case _:
                stage = dice.choice(["queued", "vision_analysis"])
                publishing.append(asyncio.create_task(node.publish(progress(stage, upload_id=upload_id, number=number))))
    await asyncio.gather(*publishing)


async def heal(nodes: list[Node], trouble: list[Relay]) -> None:
    for relay in trouble:
        relay.mend()
    await until(lambda: all(node.bench.broker.health.ready for node in nodes))
    for upload_id in UPLOADS:
        await until_published(nodes[0], completed(upload_id=upload_id, version=(9, 9)))


async def until_published(node: Node, published: bytes) -> None:
    async with asyncio.timeout(10):
        while not await node.publish(published):  # noqa: ASYNC110 - as a worker does
            await asyncio.sleep(0.01)


async def see_that_all_agree(nodes: list[Node]) -> None:
    watches = [watching for node in nodes for watching in node.watches.values()]
    await until(lambda: all(watching.newest is not None and watching.newest.version == (9, 9) for watching in watches))
    assert all(watching.answers == 1 for watching in watches)
    assert [fault for node in nodes for watching in node.all for fault in watching.faults] == []
    assert [node.strangers for node in nodes] == [0] * len(nodes)


class TestRandomHistories:
    @pytest.mark.parametrize("seed", range(20))
    def test_all_agree_where_redis_stays(self, redis_server: RedisServer, prefix: str, seed: int) -> None:
        async def opened() -> None:
            async with asyncio.timeout(60), AsyncExitStack() as stack:
                benches = [await stack.enter_async_context(redis_bench(redis_server.url, prefix=prefix)) for _ in range(3)]
                nodes = [Node(bench) for bench in benches]
                await live(nodes, random.Random(seed), [], None, prefix)
                await heal(nodes, [])
                await see_that_all_agree(nodes)

        asyncio.run(opened())

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(10))
    def test_all_agree_where_nodes_lose_redis_and_redis_loses_everything(
        self, redis_server: RedisServer, prefix: str, seed: int
    ) -> None:
        async def opened() -> None:
            async with asyncio.timeout(60), AsyncExitStack() as stack:
                relays = [await stack.enter_async_context(Relay(redis_server.port)) for _ in range(3)]
                nodes = [Node(await stack.enter_async_context(redis_bench(relay.url, prefix=prefix))) for relay in relays]
                await live(nodes, random.Random(seed), relays, redis_server, prefix)
                await heal(nodes, relays)
                await see_that_all_agree(nodes)

        asyncio.run(opened())
