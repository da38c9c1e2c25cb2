"""Heads in a real Redis: what is told, kept and answered, and how many at once."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.events import UPLOAD_ID, completed, progress, read
from tests.redis_server import RedisCluster, RedisServer
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Commands
from vuemantics_ws.brokers.redis.heads import Heads, Stored, read_state
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Head, Upload, Verdict
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.messages import with_version

TTL_S = 60


@asynccontextmanager
async def heads_at(url: str, prefix: str) -> AsyncIterator[Heads]:
    address = RedisAddress.read(url)
    commands = Commands(address)
    try:
        yield Heads(commands, Keys(prefix, database=address.database), head_ttl_s=TTL_S, dice=random.Random(1))
    finally:
        await commands.close()


async def stored_in(heads: Heads, upload_id: str = UPLOAD_ID) -> Stored:
    (stored,) = await heads.read([upload_id], time.monotonic())
    assert isinstance(stored, Stored)
    return stored


def with_heads(url: str, prefix: str, scenario: Callable[[Heads], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with heads_at(url, prefix) as heads:
            await scenario(heads)

    asyncio.run(run())


class TestPublishing:
    def test_what_is_read_is_what_was_published(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            event = Event.read(completed(text="ein Kätzchen"), owner="ann", presumed=True)
            upload = Upload()
            upload.judge(event, 0)

            await heads.publish(event)

            stored = await stored_in(heads)
            assert upload.head is not None
            assert stored.head.frame.payload == upload.head.frame.payload
            assert stored.head._replace(frame=upload.head.frame, accepted_at=0) == upload.head
            assert 0 <= time.monotonic() - stored.head.accepted_at < TTL_S

        with_heads(redis.url, prefix, scenario)

    @pytest.mark.parametrize("owner", ["ann", "ann b", "two\nlines", "100%25", "Zoë", "-", "a" * 1_000])
    def test_an_owner_may_look_as_it_likes(self, redis: RedisServer, prefix: str, owner: str) -> None:
        async def scenario(heads: Heads) -> None:
            receipt = await heads.publish(read(progress(), owner))

            assert receipt.owned
            assert (await stored_in(heads)).head.owner == owner

        with_heads(redis.url, prefix, scenario)

    def test_an_event_without_owner_inherits_one(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            await heads.publish(read(progress(), "ann"))

            receipt = await heads.publish(read(progress(number=1)))

            assert receipt.owned
            assert (await stored_in(heads)).head.owner == "ann"

        with_heads(redis.url, prefix, scenario)

    def test_what_is_accepted_is_told_and_nothing_else(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            async with Redis(port=redis.port, protocol=2) as client, client.pubsub(ignore_subscribe_messages=True) as told:
                await told.subscribe(Keys(prefix).state_channel(UPLOAD_ID))
                await told.parse_response()

                first = await heads.publish(read(progress(number=1), "ann"))
                again = await heads.publish(read(progress(number=1), "ann"))
                last = await heads.publish(read(progress(number=2)))

                assert [first.receivers, again.receivers, last.receivers] == [1, 0, 1]
                messages = [(await told.parse_response())[2] for _ in range(2)]
                states = [read_state(message, time.monotonic()) for message in messages]
                assert [state.head.version for state in states] == [(1, 1), (1, 2)]
                assert [state.head.owner for state in states] == ["ann", "ann"]
                assert states[1].head.frame.payload == with_version(progress(number=2), 1, 2)
                assert states[0].incarnation == (await stored_in(heads)).incarnation

        with_heads(redis.url, prefix, scenario)

    def test_thirty_at_once_are_judged_one_after_another(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            receipts = await asyncio.gather(*(heads.publish(read(progress(number=number))) for number in range(30)))

            assert sorted(receipt.version for receipt in receipts if receipt.version) == [(1, seq) for seq in range(1, 31)]

        with_heads(redis.url, prefix, scenario)

    def test_the_same_event_thirty_times_at_once_is_accepted_once(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            receipts = await asyncio.gather(*(heads.publish(read(progress())) for _ in range(30)))

            assert sorted(receipt.verdict for receipt in receipts) == [Verdict.ACCEPTED] + [Verdict.DUPLICATE] * 29

        with_heads(redis.url, prefix, scenario)

    def test_many_in_one_round_trip_keep_their_order(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            receipts = await heads.publish_all([read(progress(number=number)) for number in range(200)])

            assert [receipt.version for receipt in receipts if not isinstance(receipt, Exception)] == [
                (1, seq) for seq in range(1, 201)
            ]

        with_heads(redis.url, prefix, scenario)


class TestKeeping:
    def test_heads_and_digests_end_together_and_are_renewed_together(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            keys = [key(UPLOAD_ID).decode() for key in (Keys(prefix).head, Keys(prefix).digests)]
            await heads.publish(read(progress()))
            first = [int(redis.cli("pttl", key)) for key in keys]
            for key in keys:
                redis.cli("pexpire", key, "5000")

            await heads.renew([UPLOAD_ID, "unknown"])

            assert [int(redis.cli("pttl", key)) > 5_000 for key in keys] == [True, True]
            assert all(TTL_S * 900 < ttl <= TTL_S * 1_000 for ttl in first)

        with_heads(redis.url, prefix, scenario)

    def test_what_is_unknown_is_none(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            assert await heads.read(["unknown"], 0) == [None]

        with_heads(redis.url, prefix, scenario)

    def test_nothing_is_asked_for_nothing(self, redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            assert await heads.read([], 0) == await heads.publish_all([]) == await heads.reconcile([], 0) == []

        with_heads(redis.url, prefix, scenario)

    def test_prefixes_and_databases_never_meet(self, redis: RedisServer, prefix: str) -> None:
        async def run() -> None:
            places = [(redis.url, prefix), (redis.url, prefix + "x:"), (redis.url + "/3", prefix)]
            for place in places:
                async with heads_at(*place) as heads, Redis(port=redis.port, protocol=2) as client, client.pubsub() as told:
                    others = [Keys(name, database=3 * url.endswith("/3")) for url, name in places if (url, name) != place]
                    await told.subscribe(*(keys.state_channel(UPLOAD_ID) for keys in others))
                    await told.parse_response()
                    await told.parse_response()

                    receipt = await heads.publish(read(progress()))

                    assert (receipt.verdict, receipt.receivers) == (Verdict.ACCEPTED, 0)

        asyncio.run(run())


class TestWithoutRedis:
    def test_publishing_raises_and_many_have_it_as_their_result(self, own_redis: RedisServer, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            own_redis.kill()

            with pytest.raises(BrokerAway):
                await heads.publish(read(progress()))
            with pytest.raises(BrokerAway):
                await heads.renew([UPLOAD_ID])
            results = [*await heads.publish_all([read(progress())]), *await heads.read([UPLOAD_ID, "other"], 0)]
            assert [type(result) for result in results] == [BrokerAway] * 3

        with_heads(own_redis.url, prefix, scenario)


class TestInACluster:
    @pytest.mark.slow
    def test_heads_of_all_servers_are_published_and_read_together(self, redis_cluster: RedisCluster, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            upload_ids = [f"upload-{number}" for number in range(50)]

            receipts = await heads.publish_all([read(progress(upload_id=upload_id)) for upload_id in upload_ids])
            found = await heads.read(upload_ids, 0)

            assert {getattr(receipt, "verdict", receipt) for receipt in receipts} == {Verdict.ACCEPTED}
            payloads = [stored.head.frame.payload for stored in found if isinstance(stored, Stored)]
            assert payloads == [with_version(progress(upload_id=upload_id), 1, 1) for upload_id in upload_ids]
            assert all(int(server.cli("dbsize")) for server in redis_cluster.servers)

        with_heads(redis_cluster.url, prefix, scenario)

    @pytest.mark.slow
    def test_it_is_told_where_the_upload_lives(self, redis_cluster: RedisCluster, prefix: str) -> None:
        async def scenario(heads: Heads) -> None:
            channel = Keys(prefix).state_channel(UPLOAD_ID)
            commands = Commands(RedisAddress.read(redis_cluster.url))
            slot = redis_cluster.servers[0].cli("cluster", "keyslot", channel.decode()).strip()
            head_slot = redis_cluster.servers[0].cli("cluster", "keyslot", Keys(prefix).head(UPLOAD_ID).decode()).strip()

            receipt = await heads.publish(read(progress()))

            assert slot == head_slot
            assert receipt.receivers == 0
            assert await commands.publish(channel, b"") == 0
            await commands.close()

        with_heads(redis_cluster.url, prefix, scenario)


class TestReadingAState:
    MESSAGE = b"2 7 tvp 0a0b 1500 00ff 0102 Zo%C3%AB b\n{}"

    def test_a_header_line_then_what_leaves(self) -> None:
        stored = read_state(self.MESSAGE, 10.0)

        assert stored.incarnation == b"0a0b"
        assert stored.head.frame.payload == b"{}"
        assert stored.head == Head((2, 7), True, stored.head.frame, "Zoë b", b"\x00\xff", b"\x01\x02", 8.5, True, True)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "message", [b"", b"\n", b"{}", b"1 1\n{}", b"a 1 - 0 0 00 - \n{}", b"1 1 - 0 0 0 - \n{}", b"!n\n{}"]
    )
    def test_anything_else_is_refused(self, message: bytes) -> None:
        with pytest.raises(ValueError):
            read_state(message, 0.0)
