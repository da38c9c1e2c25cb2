"""Redis goes and comes back in every way that it can: nobody sees an older state after a newer one, and all end with the same.

Each test publishes all the time. What a broker was told of an upload must only grow, and in the end everybody who watches has
been told the newest state that Redis has, with the same bytes.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.brokers.benches import RedisBench, redis_bench, until
from tests.brokers.redis.emptying import empty
from tests.brokers.redis.opening import with_brokers
from tests.brokers.redis.relay import Relay
from tests.events import completed, progress
from tests.redis_server import RedisCluster, RedisServer, SentinelSet
from vuemantics_ws.errors import BrokerAway

UPLOADS = [f"u{number}" for number in range(20)]


class Stream:
    """Publishes about all uploads in turn, through brokers in turn, until it is told to end. Every event differs."""

    def __init__(self, benches: list[RedisBench]) -> None:
        self._benches = benches
        self._over = False
        self._number = 0
        self.refused = 0
        self.accepted = 0

    async def flow(self) -> None:
        while not self._over:
            self._number += 1
            bench = self._benches[self._number % len(self._benches)]
            await self._publish(bench, progress(upload_id=UPLOADS[self._number % len(UPLOADS)], number=self._number))
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Ends each upload, as workers do that try until they are heard."""
        self._over = True
        for upload_id in UPLOADS:
            while not await self._publish(self._benches[0], completed(upload_id=upload_id)):  # noqa: ASYNC110 - as a worker does
                await asyncio.sleep(0.05)

    async def _publish(self, bench: RedisBench, published: bytes) -> bool:
        try:
            receipt = await bench.publish(published)
        except BrokerAway:
            self.refused += 1
            return False
        self.accepted += receipt.verdict.is_success
        return True


async def during(benches: list[RedisBench], trouble: Callable[[], Awaitable[None]], *, publishers: int = 1) -> Stream:
    """Watch everything on every broker, make trouble in the midst of a stream, and see that all is well in the end."""
    for bench in benches:
        await asyncio.gather(*map(bench.watch, UPLOADS))
    stream = Stream(benches[:publishers])
    flowing = asyncio.create_task(stream.flow())
    await until(lambda: stream.accepted > 100)
    await trouble()
    accepted = stream.accepted
    await until(lambda: stream.accepted > accepted + 100)
    await until(lambda: all(bench.broker.health.ready for bench in benches))
    await stream.end()
    await flowing
    await see_that_all_is_well(benches)
    return stream


async def see_that_all_is_well(benches: list[RedisBench], within_s: float = 3.0) -> None:
    def all_have_the_end() -> bool:
        newest = [bench.newest(upload_id) for bench in benches for upload_id in UPLOADS]
        return all(head is not None and head.terminal for head in newest)

    await until(all_have_the_end, within_s)
    for upload_id in UPLOADS:
        stored = await benches[0].broker.head(upload_id)
        assert stored is not None
        for bench in benches:
            newest = bench.newest(upload_id)
            assert newest is not None
            assert (newest.version, newest.frame.payload) == (stored.version, stored.frame.payload)
            versions = bench.versions(upload_id)
            assert versions == sorted(set(versions)), "an older state came after a newer one"
            ends = [head for told_of, head in bench.told if told_of == upload_id and head.terminal]
            assert len(ends) == 1, "an end came twice"


@pytest.mark.slow
class TestOneServer:
    def test_connections_that_are_killed_are_made_good_within_a_second(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                for times in (1, 2):
                    redis_server.cli("client", "kill", "type", "pubsub")
                    await until(lambda times=times: all(bench.broker.health.gaps == times for bench in benches))  # type: ignore[misc]
                    await until(lambda: all(bench.broker.health.ready for bench in benches), within_s=1.0)

            stream = await during(benches, trouble)
            assert stream.refused == 0
            assert [bench.broker.health.gaps for bench in benches] == [2, 2]

        with_brokers([redis_server.url] * 2, act, prefix=prefix)

    def test_redis_comes_back_empty(self) -> None:
        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                await asyncio.to_thread(server.restart, lose_data=True)

            await during(benches, trouble, publishers=2)

        with RedisServer() as server:
            with_brokers([server.url] * 3, act)

    def test_redis_is_emptied_while_everybody_is_connected(self) -> None:
        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                for _ in range(3):
                    server.cli("flushall")
                    await asyncio.sleep(0.1)

            await during(benches, trouble, publishers=2)

        with RedisServer() as server:
            with_brokers([server.url] * 3, act)

    def test_what_nobody_publishes_any_more_is_given_back_to_a_redis_that_was_emptied(self) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await asyncio.gather(*map(first.watch, UPLOADS))
            await asyncio.gather(*(second.publish(completed(upload_id=upload_id)) for upload_id in UPLOADS))
            await until(lambda: first.newest(UPLOADS[-1]) is not None)
            await first.settle()
            server.cli("flushall")

            async with asyncio.timeout(5):
                while await second.broker.head(UPLOADS[-1]) is None:
                    await second.settle()
            [head] = await second.watch(UPLOADS[0])

            assert head is not None
            assert head.terminal
            assert first.versions(UPLOADS[0]) == [(1, 1)]

        with RedisServer() as server:
            with_brokers([server.url] * 2, act)

    def test_redis_hangs(self) -> None:
        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                server.pause()
                await until(lambda: not any(bench.broker.health.ready for bench in benches), within_s=6.0)
                reasons = [bench.broker.health.reason for bench in benches]
                server.resume()
                assert all(reason is not None and "does not answer" in reason for reason in reasons)

            await during(benches, trouble)

        with RedisServer() as server:
            with_brokers([server.url] * 2, act)


@pytest.mark.slow
class TestManyServers:
    def test_a_replica_takes_the_place_of_a_master_that_died(self) -> None:
        """What the master had accepted and not yet replicated, the nodes give back."""

        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                servers.master.kill()
                await until(lambda: not any(bench.broker.health.ready for bench in benches))
                await until(lambda: all(bench.broker.health.ready for bench in benches), within_s=20.0)

            await during(benches, trouble, publishers=2)

        with SentinelSet() as servers:
            with_brokers([servers.url] * 2, act)

    def test_one_master_of_a_redis_cluster_comes_back_empty(self) -> None:
        async def act(benches: list[RedisBench]) -> None:
            async def trouble() -> None:
                await asyncio.to_thread(servers.servers[1].restart, lose_data=True)

            await during(benches, trouble, publishers=2)

        with RedisCluster() as servers:
            with_brokers([servers.url] * 2, act)


@pytest.mark.slow
class TestTheyLoseItAtDifferentTimes:
    @pytest.mark.parametrize("seed", range(3))
    def test_they_agree_in_the_end(self, redis_server: RedisServer, prefix: str, seed: int) -> None:
        """Redis is emptied besides, once while the one is cut off and once while the other is."""
        dice = random.Random(seed)

        async def opened() -> None:
            async with asyncio.timeout(60), AsyncExitStack() as stack:
                relays = [await stack.enter_async_context(Relay(redis_server.port)) for _ in range(2)]
                urls = [*(relay.url for relay in relays), redis_server.url]
                benches = [await stack.enter_async_context(redis_bench(url, prefix=prefix)) for url in urls]

                async def trouble() -> None:
                    for relay in [*relays, *relays]:
                        await relay.cut()
                        await asyncio.sleep(dice.uniform(0, 0.3))
                        empty(redis_server, prefix)
                        await asyncio.sleep(dice.uniform(0, 0.3))
                        relay.mend()

                await during(benches, trouble, publishers=3)

        asyncio.run(opened())
