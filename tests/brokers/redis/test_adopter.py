"""Plain publishers: the application's own, which publishes JSON on ``upload:<id>`` and nothing else (PROTOCOL.md section 4)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.brokers.benches import HandClock, RedisBench, redis_bench, until
from tests.brokers.redis.opening import with_broker, with_brokers
from tests.brokers.redis.relay import Relay
from tests.events import completed, progress, read
from tests.redis_server import RedisCluster as ClusterOfThree
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.redis.adopter import BACKLOG_BYTES_MAX, Adopter
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.core.upload import Verdict, Version
from vuemantics_ws.errors import BrokerAway


@asynccontextmanager
async def application(server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis(port=server.port)
    try:
        yield client
    finally:
        await client.aclose()


def adopter_of(bench: RedisBench) -> Adopter:
    assert bench.broker.adopter is not None
    return bench.broker.adopter


async def adopting(*benches: RedisBench) -> None:
    await until(lambda: all(bench.broker.health.adopts for bench in benches))


def number_in(payload: bytes) -> int:
    return int(json.loads(payload)["payload"]["message"])


class TestAdopting:
    def test_the_applications_own_publisher_reaches_everybody_and_whoever_comes_late(
        self, redis_server: RedisServer, prefix: str
    ) -> None:
        async def opened() -> None:
            async with (
                redis_bench(redis_server.url, prefix=prefix, plain_prefix=prefix, adopt=True) as adopter,
                redis_bench(redis_server.url, prefix=prefix) as node,
                redis_bench(redis_server.url, prefix=prefix) as late,
                application(redis_server) as redis,
            ):
                await node.watch("u")
                await adopting(adopter)
                await redis.publish(f"{prefix}upload:u", progress(upload_id="u"))
                await until(lambda: node.versions("u") == [(1, 1)])
                await redis.publish(f"{prefix}upload:u", completed(upload_id="u"))
                await until(lambda: node.versions("u") == [(1, 1), (1, 2)])
                [head] = await late.watch("u")

                assert head is not None
                assert (head.version, head.terminal, head.owner, head.versioned) == ((1, 2), True, None, False)
                assert head.frame.payload == completed(upload_id="u").replace(b"{", b'{"attempt":1,"seq":2,', 1)
                assert adopter_of(adopter).counts == {"accepted": 2}
                assert not node.broker.health.adopts

        asyncio.run(opened())

    @pytest.mark.slow
    def test_it_hears_what_is_published_anywhere_in_a_redis_cluster(self, redis_cluster: ClusterOfThree, prefix: str) -> None:
        async def act(bench: RedisBench) -> None:
            await adopting(bench)
            await bench.watch("u")
            async with RedisCluster.from_url(redis_cluster.url.replace("+cluster", "").partition(",")[0]) as redis:
                for number, node in enumerate(redis.get_nodes()):
                    await redis.execute_command(
                        "PUBLISH", f"{prefix}upload:u", progress(upload_id="u", number=number), target_nodes=node
                    )
                    await until(lambda number=number: bench.versions("u")[-1:] == [(1, number + 1)])  # type: ignore[misc]

        with_broker(redis_cluster.url, act, adopt=True, plain_prefix=prefix)

    def test_a_prefix_is_no_pattern(self, redis_server: RedisServer) -> None:
        prefix = r"a*[b]?\:"

        async def act(bench: RedisBench) -> None:
            await adopting(bench)
            async with application(redis_server) as redis:
                await redis.publish("axb?:upload:u", progress(upload_id="u"))
                await redis.publish(f"{prefix}upload:v", progress(upload_id="v"))
            await until(lambda: adopter_of(bench).counts.total() > 0)

            assert adopter_of(bench).counts == {"accepted": 1}
            assert await bench.broker.head("v") is not None

        with_broker(redis_server.url, act, adopt=True, plain_prefix=prefix)


class TestRefusing:
    def test_what_is_no_event_of_its_channel_is_counted_and_said_once(
        self, redis_server: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def act(bench: RedisBench) -> None:
            await adopting(bench)
            async with application(redis_server) as redis:
                for upload_id, message in (
                    ("u", b"no json, and private"),
                    ("u", b"\xff\xfe"),
                    ("u", b"[" * 60_000),
                    ("u", progress(upload_id="u", owner="private")),
                    ("u", progress(upload_id="private")),
                    ("a b", progress(upload_id="a b")),
                    ("u:v", progress(upload_id="u")),
                    ("", progress(upload_id="u")),
                    ("u", progress(upload_id="u", text="private" * 10_000)),
                    ("u", progress(upload_id="u")),
                ):
                    await redis.publish(f"{prefix}upload:{upload_id}", message)
            await until(lambda: adopter_of(bench).counts["accepted"] == 1)

            assert adopter_of(bench).counts == {"bad_event": 5, "another_upload": 3, "too_big": 1, "accepted": 1}

        with_broker(redis_server.url, act, adopt=True, plain_prefix=prefix)

        said = [record.getMessage() for record in caplog.records if record.name.endswith("adopter")]
        begins, ends = "plain messages are not adopted: ", "; 1 so far"
        assert [line.removeprefix(begins).removesuffix(ends) for line in said] == [
            "bad_event, expected JSON",
            "another_upload, expected the channel of the upload that the event is about",
            "too_big, expected at most 65536 bytes, got 70229",
        ]
        assert "private" not in caplog.text

    def test_what_waits_is_bounded_and_the_oldest_makes_room(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(bench: RedisBench) -> None:
            await adopting(bench)
            adopter = adopter_of(bench)
            events = BACKLOG_BYTES_MAX // 60_000 + 10
            for number in range(events):
                adopter.on_message(
                    f"{prefix}upload:u".encode(), progress(upload_id="u", text=str(number) + " " * 60_000, number=number)
                )
            await until(lambda: adopter.counts.total() == events)

            head = await bench.broker.head("u")
            assert head is not None
            assert number_in(head.frame.payload) == events - 1
            assert 0 < adopter.counts["overflow"] < 15
            assert set(adopter.counts) == {"overflow", "accepted"}

        with_broker(redis_server.url, act, adopt=True, plain_prefix=prefix)


class TestManyAdopters:
    def test_each_event_gets_one_version_and_their_order_is_kept(self, redis_server: RedisServer, prefix: str) -> None:
        uploads = ["u", "v", "w"]
        events = 150

        async def act(benches: list[RedisBench]) -> None:
            await adopting(*benches)
            for bench in benches:
                for upload_id in uploads:
                    await bench.watch(upload_id)

            async def publish(redis: Redis, upload_id: str) -> None:
                for number in range(1, events + 1):
                    said = progress(upload_id=upload_id, number=number, text=str(number))
                    await redis.publish(f"{prefix}upload:{upload_id}", said)

            async with application(redis_server) as redis:
                await asyncio.gather(*(publish(redis, upload_id) for upload_id in uploads))
            counts = [adopter_of(bench).counts for bench in benches]
            await until(lambda: all(count.total() == len(uploads) * events for count in counts))
            for bench in benches:
                await bench.settle()

            assert sum(count["accepted"] for count in counts) == len(uploads) * events
            assert sum(count["duplicate"] for count in counts) == 2 * len(uploads) * events
            for bench in benches:
                for upload_id in uploads:
                    told = [head for told_of, head in bench.told if told_of == upload_id]
                    assert told[-1].version == (1, events)
                    assert [head.version for head in told] == [(1, number_in(head.frame.payload)) for head in told]
                    assert bench.versions(upload_id) == sorted(set(bench.versions(upload_id)))

        with_brokers([redis_server.url] * 3, act, prefix=prefix, adopt=True, plain_prefix=prefix)

    def test_one_that_lags_submits_what_the_others_have_and_changes_nothing(
        self, redis_server: RedisServer, prefix: str
    ) -> None:
        events = 100

        async def act(first: RedisBench, lagging: RedisBench, relay: Relay) -> None:
            await first.watch("u")
            async with application(redis_server) as redis:
                relay.hold()
                for number in range(events):
                    await redis.publish(f"{prefix}upload:u", progress(upload_id="u", number=number))
                await until(lambda: first.versions("u")[-1:] == [(1, events)])
                relay.release()
                await until(lambda: adopter_of(lagging).counts.total() == events)
                await first.settle()

                assert adopter_of(lagging).counts == {"duplicate": events}
                assert first.versions("u")[-1] == (1, events)

        asyncio.run(lag(redis_server, prefix, act))

    @pytest.mark.slow
    def test_one_that_lags_too_far_behind_leaves_it_to_the_others_and_goes_on(
        self, redis_server: RedisServer, prefix: str
    ) -> None:
        clock = HandClock()

        async def act(first: RedisBench, lagging: RedisBench, relay: Relay) -> None:
            await first.watch("u")
            adopter = adopter_of(lagging)
            async with application(redis_server) as redis:
                relay.hold()
                for number in range(10):
                    await redis.publish(f"{prefix}upload:u", progress(upload_id="u", number=number))
                await until(lambda: first.versions("u")[-1:] == [(1, 10)])
                clock.now += 31
                relay.release()
                await until(lambda: adopter.counts.total() == 10)
                assert adopter.counts == {"late": 10}

                async with asyncio.timeout(10):
                    while not adopter.counts["duplicate"]:
                        await redis.publish(f"{prefix}upload:u", progress(upload_id="u", number=11))
                        await first.settle()

        asyncio.run(lag(redis_server, prefix, act, clock=clock))


async def lag(
    server: RedisServer, prefix: str, act: Callable[[RedisBench, RedisBench, Relay], Awaitable[None]], **options: Any
) -> None:
    """Two adopters, of which the second is reached through a relay."""
    shared: dict[str, Any] = {"prefix": prefix, "plain_prefix": prefix, "adopt": True}
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        relay = await stack.enter_async_context(Relay(server.port))
        first = await stack.enter_async_context(redis_bench(server.url, **shared))
        lagging = await stack.enter_async_context(redis_bench(relay.url, **shared, **options))
        await adopting(first, lagging)
        await act(first, lagging, relay)


def test_what_a_later_event_of_its_upload_has_overtaken_is_not_submitted_again() -> None:
    adopter = RedisBroker("redis://127.0.0.1").adopter
    assert adopter is not None
    events = [(read(progress(upload_id=upload_id, number=number)), 0.0) for number, upload_id in enumerate("uvuv")]
    judged = Receipt(Verdict.ACCEPTED, Version(1, 1), 0, False)
    away = BrokerAway("redis is away")

    again = list(adopter._unanswered(events, [away, away, judged, away]))

    assert again == [events[1], events[3]]
    assert adopter.counts == {"accepted": 1, "overtaken": 1}


@pytest.mark.slow
class TestTrouble:
    def test_what_redis_could_not_take_is_submitted_again_in_order(self) -> None:
        async def act(bench: RedisBench, server: RedisServer) -> None:
            await adopting(bench)
            await bench.watch("u")
            await bench.publish(progress(upload_id="u"))
            async with application(server) as redis:
                server.cli("config", "set", "maxmemory", "1")
                for number in range(1, 6):
                    await redis.publish("upload:u", progress(upload_id="u", number=number, text=str(number)))
                await until(lambda: not bench.broker.health.ready)
                assert adopter_of(bench).counts.total() == 0
                server.cli("config", "set", "maxmemory", "0")
            await until(lambda: adopter_of(bench).counts == {"accepted": 5})
            await bench.settle()

            head = bench.newest("u")
            assert head is not None
            assert (head.version, number_in(head.frame.payload)) == ((1, 6), 5)

        with RedisServer() as server:
            with_broker(server.url, lambda bench: act(bench, server), adopt=True)

    def test_after_a_gap_of_its_own_it_goes_on(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(bench: RedisBench) -> None:
            adopter = adopter_of(bench)
            await adopting(bench)
            redis_server.cli("client", "kill", "type", "pubsub")
            await until(lambda: adopter.condition.gaps == 1 and adopter.condition.connected)
            async with application(redis_server) as redis:
                await redis.publish(f"{prefix}upload:u", progress(upload_id="u"))
            await until(lambda: adopter.counts == {"accepted": 1})

        with_broker(redis_server.url, act, adopt=True, plain_prefix=prefix)
