"""The broker around a real Redis, beyond what every broker promises."""

import asyncio
import logging
import random

import pytest

from tests.brokers.benches import RedisBench, redis_bench, until
from tests.brokers.redis.opening import with_broker, with_brokers
from tests.events import completed, progress, read
from tests.redis_server import RedisServer, free_port
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.brokers.redis.faults import PERMISSION_HINT
from vuemantics_ws.core.upload import Head
from vuemantics_ws.errors import BadSetting, BrokerAway
from vuemantics_ws.limits import Limits


class TestManyNodes:
    def test_what_one_publishes_all_that_watch_are_told(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second, third = benches
            await first.watch("u")
            await second.watch("u")
            receipt = await third.publish(progress(upload_id="u"), "alice")
            await first.settle()
            await second.settle()

            assert receipt.receivers == 2
            assert [bench.versions("u") for bench in benches] == [[(1, 1)], [(1, 1)], []]
            assert first.told[0][1].owner == "alice"

        with_brokers([redis_server.url] * 3, act, prefix=prefix)

    def test_a_late_one_finds_what_another_published(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await first.publish(completed(upload_id="u"))

            [head] = await second.watch("u")

            assert head is not None
            assert (head.version, head.terminal) == ((1, 1), True)

        with_brokers([redis_server.url] * 2, act, prefix=prefix)

    def test_a_head_that_redis_has_lost_and_begun_anew_is_lifted_above_what_is_known(
        self, redis_server: RedisServer, prefix: str
    ) -> None:
        async def act(benches: list[RedisBench]) -> None:
            first, second = benches
            await first.watch("u")
            for number in range(3):
                await second.publish(progress(upload_id="u", number=number), "alice")
            await first.settle()
            await first.broker.commands.execute("DEL", first.broker.keys.head("u"))
            receipt = await second.publish(progress(upload_id="u", number=3))
            await until(lambda: first.versions("u")[-1] == (1, 4))

            assert receipt.version == (1, 1)
            head = await second.broker.head("u")
            assert head is not None
            assert (head.version, head.owner) == ((1, 4), "alice")
            assert first.told[-1][1].frame.payload == head.frame.payload

        with_brokers([redis_server.url] * 2, act, prefix=prefix)

    def test_each_has_an_id_of_its_own_dice(self) -> None:
        ids = {RedisBroker("redis://127.0.0.1", dice=random.Random(seed)).node_id for seed in (1, 2, 1)}

        assert len(ids) == 2
        assert all(len(node_id) == 8 and int(node_id, 16) >= 0 for node_id in ids)

    def test_a_prefix_that_a_plain_publisher_uses_is_refused(self) -> None:
        with pytest.raises(BadSetting, match="plain publisher"):
            RedisBroker("redis://127.0.0.1", prefix="app:upload:mine:", plain_prefix="app:")


class TestDirectMessages:
    def test_what_is_no_state_is_said_and_not_delivered(self, redis_server: RedisServer) -> None:
        async def act(bench: RedisBench) -> None:
            said: list[tuple[str, bytes]] = []
            bench.broker.said = lambda upload_id, message: said.append((upload_id, message))
            await bench.watch("u")
            await bench.broker.commands.publish(bench.broker.keys.state_channel("u"), b"!other\nhello")
            await bench.settle()

            assert said == [("u", b"!other\nhello")]
            assert bench.told == []

        with_broker(redis_server.url, act)


class TestFaults:
    def test_a_message_that_is_none_of_ours_hurts_no_other(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def act(bench: RedisBench) -> None:
            await bench.watch("u")
            await bench.watch("v")
            for message in (b"not ours", b"", b"1 2\n", b"\xff\n"):
                await bench.broker.commands.publish(bench.broker.keys.state_channel("u"), message)
            await bench.publish(progress(upload_id="v"))
            await bench.settle()
            await bench.publish(progress(upload_id="u"))
            await bench.settle()

            assert (bench.versions("u"), bench.versions("v")) == ([(1, 1)], [(1, 1)])

        with_broker(redis_server.url, act)

        assert "not ours" not in caplog.text

    def test_a_receiver_that_fails_hurts_no_other(self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
        async def act(bench: RedisBench) -> None:
            def fail(upload_id: str, head: Head) -> None:
                if upload_id == "u":
                    raise ValueError(head.frame.text)

            bench.told_besides = fail
            await bench.watch("u")
            await bench.watch("v")
            for number in range(3):
                await asyncio.gather(*(bench.publish(progress(upload_id=each, number=number)) for each in ("u", "v")))
                await bench.settle()

            assert (bench.versions("u")[-1], bench.versions("v")[-1]) == ((1, 3), (1, 3))

        with_broker(redis_server.url, act)

        assert "payload" not in caplog.text
        assert "ValueError" in caplog.text


class TestResidue:
    def test_nothing_is_subscribed_to_and_no_task_runs_when_all_is_over(self, redis_server: RedisServer, prefix: str) -> None:
        async def act(bench: RedisBench) -> None:
            for number in range(20):
                await bench.watch(f"u{number}")
            for number in range(20):
                bench.broker.unwatch(f"u{number}")
            await until(lambda: "state:" not in redis_server.cli("pubsub", "channels", f"{prefix}*"))

        async def opened() -> None:
            async with redis_bench(redis_server.url, prefix=prefix, adopt=True) as bench:
                await act(bench)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(opened())

    def test_heads_of_what_is_watched_live_on_and_others_do_not(self, redis_server: RedisServer) -> None:
        async def act(bench: RedisBench) -> None:
            await bench.publish(progress(upload_id="watched"))
            await bench.publish(progress(upload_id="unwatched"))
            await bench.watch("watched")

            async with asyncio.timeout(10):
                while await bench.broker.head("unwatched") is not None:
                    await bench.settle()
            assert await bench.broker.head("watched") is not None

        with_broker(redis_server.url, act, limits=Limits(head_ttl_s=1.0))


class TestAway:
    def test_it_starts_without_redis_and_is_ready_once_that_is_there(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        port = free_port()

        async def act(bench: RedisBench) -> None:
            await until(lambda: bench.broker.health.reason is not None and "reached" in bench.broker.health.reason)
            at_once: list[Head | None] = []
            bench.broker.watch("u", at_once.append)
            assert at_once == [None]
            assert not bench.broker.health.ready
            with pytest.raises(BrokerAway):
                await bench.publish(progress(upload_id="u"))
            with pytest.raises(BrokerAway):
                await bench.broker.head("u")

            with RedisServer(port=port) as server:
                async with redis_bench(server.url, prefix="one:") as other:
                    await other.publish(progress(upload_id="u"))
                await until(lambda: bench.broker.health.ready)
                await until(lambda: bench.versions("u") == [(1, 1)])
                await bench.publish(progress(upload_id="u", number=1))
                await until(lambda: bench.versions("u") == [(1, 1), (1, 2)])

        with_broker(f"redis://127.0.0.1:{port}", act, prefix="one:")

        first, second, *_ = [record.message for record in caplog.records if record.name.endswith("readiness")]
        assert "cannot be reached" in first
        assert "answers" in second

    @pytest.mark.parametrize("lacks", ["+evalsha", "+subscribe"])
    def test_a_permission_that_is_missing_is_said_with_the_whole_cure(
        self, own_redis: RedisServer, caplog: pytest.LogCaptureFixture, lacks: str
    ) -> None:
        rules = PERMISSION_HINT.replace("prefix", "one:").removeprefix("ACL SETUSER name ").split()
        own_redis.cli("acl", "setuser", "node", "on", *(rule for rule in rules if rule != lacks))

        async def act(bench: RedisBench) -> None:
            await until(lambda: PERMISSION_HINT in caplog.text)

        with_broker(own_redis.url.replace("//", "//node:password@"), act, prefix="one:")

    def test_a_single_server_that_is_asked_as_a_sentinel_is_said_to_be_none(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def act(bench: RedisBench) -> None:
            await until(lambda: "is no Sentinel" in caplog.text)

        with_broker(redis_server.url.replace("redis:", "redis+sentinel:") + "/main", act, prefix="one:")

        assert "write redis:// for a single server" in caplog.text

    def test_why_nothing_of_plain_publishers_is_heard_is_said_where_all_else_is_well(
        self, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        rules = PERMISSION_HINT.replace("prefix", "one:").removeprefix("ACL SETUSER name ").split()
        own_redis.cli("acl", "setuser", "node", "on", *(rule for rule in rules if rule != "&upload:*"))

        async def act(bench: RedisBench) -> None:
            await until(lambda: bench.broker.health.ready and "plain publishers are not heard" in caplog.text)
            assert not bench.broker.health.adopts

        with_broker(own_redis.url.replace("//", "//node:password@"), act, prefix="one:", adopt=True)

        (said,) = [record.getMessage() for record in caplog.records if record.name.endswith("adopter")]
        assert "does not let our user do what is needed" in said
        assert PERMISSION_HINT in said

    @pytest.mark.slow
    def test_a_watch_that_gets_no_answer_finds_nothing_in_time_and_is_told_later(self) -> None:
        async def act(bench: RedisBench, server: RedisServer) -> None:
            await bench.publish(completed(upload_id="u"))
            await bench.settle()
            server.pause()
            found: list[Head | None] = []
            bench.broker.watch("u", found.append)
            await until(lambda: bool(found), within_s=2.9)
            server.resume()
            await until(lambda: bench.versions("u") == [(1, 1)])

            assert found == [None]

        with RedisServer() as server:
            with_broker(server.url, lambda bench: act(bench, server))

    @pytest.mark.slow
    def test_it_stops_in_time_whatever_redis_does(self) -> None:
        async def act(server: RedisServer) -> None:
            async with redis_bench(server.url, adopt=True) as bench:
                await bench.watch("u")
                server.pause()
                publishing = asyncio.create_task(bench.publish(progress(upload_id="u")))
                await asyncio.sleep(0)
                async with asyncio.timeout(2.5):
                    await bench.broker.stop()
                server.resume()
                await asyncio.gather(publishing, return_exceptions=True)

        with RedisServer() as server:
            asyncio.run(act(server))

    @pytest.mark.slow
    def test_a_full_redis_shows_and_still_tells(self) -> None:
        async def act(bench: RedisBench, server: RedisServer) -> None:
            await bench.publish(progress(upload_id="u"))
            await bench.watch("v")
            server.cli("config", "set", "maxmemory", "1")
            with pytest.raises(BrokerAway, match="memory"):
                await bench.publish(progress(upload_id="u", number=1))
            reason = bench.broker.health.reason
            [head] = await bench.watch("u")
            server.cli("config", "set", "maxmemory", "0")
            await until(lambda: bench.broker.health.ready)

            assert reason is not None
            assert "memory" in reason
            assert head is not None
            assert bench.broker.health.gaps == 0

        with RedisServer() as server:
            with_broker(server.url, lambda bench: act(bench, server))

    @pytest.mark.slow
    def test_a_publish_that_failed_is_forgotten_once_redis_takes_writes_again(self) -> None:
        async def act(bench: RedisBench, server: RedisServer) -> None:
            await bench.settle()
            server.pause()
            with pytest.raises(BrokerAway):
                await bench.publish(progress(upload_id="u"))
            assert not bench.broker.health.ready
            since = bench.broker.health.since
            server.resume()
            await until(lambda: bench.broker.health.ready)

            assert bench.broker.health.since > since

        with RedisServer() as server:
            with_broker(server.url, lambda bench: act(bench, server))


def test_it_can_be_made_before_there_is_a_loop(redis_server: RedisServer) -> None:
    broker = RedisBroker(redis_server.url, prefix="made before:")

    async def act() -> tuple[int, int]:
        await broker.start(lambda upload_id, head: None)
        receipt = await broker.publish(read(progress(upload_id="u")))
        await broker.stop()
        assert receipt.version is not None
        return receipt.version

    assert asyncio.run(act()) == (1, 1)
