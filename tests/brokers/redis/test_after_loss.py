"""Redis has lost a head and begun it anew before those who know it could say so."""

import asyncio

import pytest

from tests.brokers.benches import RedisBench, until
from tests.brokers.redis.opening import with_brokers
from tests.events import completed, progress, read
from tests.redis_server import RedisServer
from vuemantics_ws.core.upload import Head


async def lose(bench: RedisBench, *published: bytes) -> None:
    """Lose the head of u, and judge these before anybody else is heard: they travel together."""
    broker = bench.broker
    await broker.commands.execute("DEL", broker.keys.head("u"), broker.keys.digests("u"))
    await broker._heads.publish_all([read(event) for event in published])


async def stored(bench: RedisBench) -> Head:
    head = await bench.broker.head("u")
    assert head is not None
    return head


class TestAnEnd:
    @pytest.mark.parametrize("stragglers", [1, 4])
    def test_nothing_follows_it_and_redis_is_given_it_back(
        self, redis_server: RedisServer, prefix: str, stragglers: int
    ) -> None:
        """Four stragglers have versions above the end's: the end gets another one, and is told once all the same."""

        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await asyncio.gather(first.watch("u"), second.watch("u"))
            await second.publish(progress(upload_id="u", number=1))
            await second.publish(completed(upload_id="u", number=2))
            await asyncio.gather(first.settle(), second.settle())

            await lose(second, *(progress(upload_id="u", number=number) for number in range(3, 3 + stragglers)))
            async with asyncio.timeout(5):
                while not (await stored(second)).terminal:
                    await second.settle()
            await first.settle()

            assert [bench.versions("u") for bench in benches] == [[(1, 1), (1, 2)]] * 2
            assert all(bench.told[-1][1].terminal for bench in benches)

        with_brokers([redis_server.url] * 2, act, prefix=prefix)

    def test_whoever_did_not_know_it_is_told_it(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await first.watch("u")
            await second.publish(completed(upload_id="u"))
            await first.settle()

            await lose(second, *(progress(upload_id="u", number=number) for number in range(4)))
            [found] = await second.watch("u")
            await until(lambda: (newest := second.newest("u") or found) is not None and newest.terminal)

            newest = second.newest("u") or found
            assert newest is not None
            assert newest.version == (await stored(second)).version
            assert first.versions("u") == [(1, 1)]

        with_brokers([redis_server.url] * 2, act, prefix=prefix)


class TestAnOwner:
    def test_whoever_knows_one_says_so_to_redis_and_all_that_watch(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await first.watch("u")
            await second.publish(progress(upload_id="u", version=(1, 1)), "alice")
            await first.settle()
            await lose(second, progress(upload_id="u", version=(1, 2)))
            [found] = await second.watch("u")
            await until(lambda: (newest := second.newest("u") or found) is not None and newest.owner == "alice")

            assert (await stored(second)).owner == "alice"
            assert [(head.version, head.owner) for _, head in first.told] == [((1, 1), "alice"), ((1, 2), "alice")]

        with_brokers([redis_server.url] * 2, act, prefix=prefix)
