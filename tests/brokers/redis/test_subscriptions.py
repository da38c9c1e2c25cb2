"""What Redis tells us, from a real server."""

import asyncio
import time

import pytest

from tests.brokers.redis.hearing import LOOPS, Hearer, PatternHearer, hearing, run, until
from tests.redis_server import RedisServer
from vuemantics_ws.errors import BrokerAway


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_published_is_told_in_order(redis: RedisServer, loop: str) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            one, other = await here.subscribe(b"one", b"other")

            for number in range(100):
                await publish(b"one", b"%d" % number)
            await publish(b"other", b"end")
            await until(lambda: bool(other.told))

            assert one.told == [b"%d" % number for number in range(100)]
            assert other.told == [b"end"]
            assert one.subscribed == 1
            assert here.reads > 0

    run(main(), loop)


def test_a_pattern_is_told_with_the_channel_that_matched(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            hearer = PatternHearer()
            here.subscriptions.subscribe_pattern(b"upload:*", hearer)
            await until(lambda: hearer.subscribed == 1)

            await publish(b"upload:a", b"1")
            await publish(b"other:b", b"2")
            await publish(b"upload:b", b"3")
            await until(lambda: len(hearer.told) == 2)
            here.subscriptions.unsubscribe_pattern(b"upload:*")
            await until(lambda: redis.cli("pubsub", "numpat").strip() == "0")

            assert hearer.told == [b"1", b"3"]
            assert hearer.channels == [b"upload:a", b"upload:b"]

    run(main())


def test_nobody_is_told_after_unsubscribing(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            gone, there = await here.subscribe(b"gone", b"there")

            here.subscriptions.unsubscribe(b"gone")
            await publish(b"gone", b"1")
            await publish(b"there", b"2")
            await until(lambda: there.told == [b"2"])

            assert gone.told == []
            await until(lambda: redis.cli("pubsub", "numsub", "gone").split() == ["gone", "0"])

    run(main())


def test_each_subscribe_has_a_confirmation_of_its_own(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            hearers = [Hearer() for _ in range(4)]
            here.subscriptions.subscribe(b"x", hearers[0])
            await asyncio.sleep(0)  # it is sent
            here.subscriptions.unsubscribe(b"x")
            here.subscriptions.subscribe(b"x", hearers[1])
            await asyncio.sleep(0)
            here.subscriptions.unsubscribe(b"x")
            await asyncio.sleep(0)
            here.subscriptions.subscribe(b"x", hearers[2])
            here.subscriptions.unsubscribe(b"x")
            here.subscriptions.subscribe(b"x", hearers[3])

            await until(lambda: hearers[3].subscribed == 1)
            await publish(b"x", b"1")
            await until(lambda: hearers[3].told == [b"1"])

            assert [hearer.subscribed for hearer in hearers] == [0, 0, 0, 1]
            assert [hearer.told for hearer in hearers[:3]] == [[], [], []]
            assert here.condition.gaps == 0

    run(main())


def test_many_subscribes_in_one_turn_are_few_commands(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, _):
            redis.cli("config", "resetstat")

            await here.subscribe(*(b"many-%d" % number for number in range(1_200)))

            calls = next(line for line in redis.cli("info", "commandstats").splitlines() if "cmdstat_subscribe:" in line)
            assert "calls=3," in calls

    run(main())


def test_who_subscribes_and_leaves_in_one_turn_asks_nothing(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, _):
            fleeting = Hearer()
            redis.cli("config", "resetstat")

            here.subscriptions.subscribe(b"fleeting", fleeting)
            here.subscriptions.unsubscribe(b"fleeting")
            await here.subscribe(b"lasting")

            assert fleeting.subscribed == 0
            assert "cmdstat_unsubscribe" not in redis.cli("info", "commandstats")

    run(main())


def test_a_subscriber_that_raises_hurts_nobody_else(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    class Raising(Hearer):
        def on_message(self, payload: bytes) -> None:
            super().on_message(payload)
            raise RuntimeError("secret")

        def on_subscribed(self) -> None:
            super().on_subscribed()
            raise RuntimeError("secret")

    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            bad = Raising()
            here.subscriptions.subscribe(b"bad", bad)
            (good,) = await here.subscribe(b"good")

            await publish(b"bad", b"1")
            await publish(b"bad", b"2")
            await publish(b"good", b"3")
            await until(lambda: good.told == [b"3"])

            assert bad.told == [b"1", b"2"]
            assert here.condition.connected

    run(main())
    assert [record.getMessage() for record in caplog.records] == ["a subscriber raised RuntimeError"]


def test_a_killed_connection_is_opened_again_and_whoever_subscribed_is_told(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            (stream,) = await here.subscribe(b"stream")
            sent = 0
            for outage in range(1, 4):
                for _ in range(50):
                    sent += 1
                    await publish(b"stream", b"%d" % sent)
                    if sent % 50 == 25:
                        redis.cli("client", "kill", "type", "pubsub")
                await until(lambda outage=outage: stream.subscribed == 1 + outage)  # type: ignore[misc]
            await here.connected()

            sent += 1
            await publish(b"stream", b"%d" % sent)
            await until(lambda: stream.told[-1:] == [b"%d" % sent])

            numbers = [int(payload) for payload in stream.told]
            assert numbers == sorted(set(numbers))
            assert here.condition.gaps == 3
            assert [turn.connected for turn in here.turns[:1] + here.turns[-1:]] == [True, True]
            assert any("closed the connection" in (turn.reason or "") for turn in here.turns)

    run(main())


def test_redis_that_is_down_at_first_is_found_when_it_comes(own_redis: RedisServer) -> None:
    async def main() -> None:
        own_redis.kill()
        async with hearing(own_redis.port, start=False) as (here, publish):
            hearer = Hearer()
            here.subscriptions.subscribe(b"x", hearer)
            here.subscriptions.start()
            await until(lambda: "cannot be reached: connection refused" in (here.condition.reason or ""))
            assert here.condition.gaps == 0

            await asyncio.to_thread(own_redis.start)
            await here.connected()
            await publish(b"x", b"1")
            await until(lambda: hearer.told == [b"1"])

            assert hearer.subscribed == 1
            assert here.condition.gaps == 0
            assert here.condition.reason is None
            assert here.condition.lag_s is not None

    run(main())


@pytest.mark.slow
def test_a_redis_that_crashed_is_found_again(own_redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(own_redis.port) as (here, publish):
            (hearer,) = await here.subscribe(b"x")

            await asyncio.to_thread(own_redis.kill)
            await until(lambda: not here.condition.connected)
            await asyncio.to_thread(own_redis.start)
            await until(lambda: hearer.subscribed == 2)
            await publish(b"x", b"1")
            await until(lambda: hearer.told == [b"1"])

            assert here.condition.gaps == 1

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_redis_that_hangs_is_noticed_and_heard_again(own_redis: RedisServer, loop: str) -> None:
    async def main() -> None:
        async with hearing(own_redis.port, canary_interval_s=0.1, canary_timeout_s=0.5) as (here, publish):
            (hearer,) = await here.subscribe(b"x")

            own_redis.pause()
            try:
                await until(lambda: not here.condition.connected)
                await until(lambda: f"redis at 127.0.0.1:{own_redis.port} does not answer" == here.condition.reason)
            finally:
                own_redis.resume()
            await until(lambda: hearer.subscribed == 2)
            await publish(b"x", b"1")
            await until(lambda: hearer.told == [b"1"])

            assert here.condition.gaps == 1

    run(main(), loop)


def test_why_a_canary_was_not_sent_is_the_reason(redis: RedisServer) -> None:
    async def full(channel: bytes, payload: bytes) -> None:
        raise BrokerAway("redis is out of memory (maxmemory)")

    async def main() -> None:
        async with hearing(redis.port, canary_interval_s=0.05, canary_timeout_s=0.2) as (here, publish):
            (hearer,) = await here.subscribe(b"x")

            here.send_canary = full
            await until(lambda: here.condition.reason == "redis is out of memory (maxmemory)")
            assert not here.condition.connected
            assert hearer.subscribed == 1

            here.send_canary = publish
            await here.connected()
            assert hearer.subscribed == 2

    run(main())


@pytest.mark.slow
def test_a_loop_that_was_blocked_does_not_blame_redis(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port, canary_interval_s=0.05, canary_timeout_s=0.3) as (here, publish):
            (hearer,) = await here.subscribe(b"x")

            async def send_late(channel: bytes, payload: bytes) -> None:
                if here.canaries % 3 == 0:
                    time.sleep(1.0)  # noqa: ASYNC251 - the whole process stands still, past the deadline
                await publish(channel, payload)

            here.send_canary = send_late
            await until(lambda: here.canaries >= 12)
            await publish(b"x", b"1")
            await until(lambda: hearer.told == [b"1"])

            assert hearer.subscribed == 1
            assert here.condition.gaps == 0

    run(main())


@pytest.mark.slow
def test_a_reader_that_redis_has_cut_off_for_its_backlog_learns_of_the_gap(own_redis: RedisServer) -> None:
    async def main() -> None:
        own_redis.cli("config", "set", "client-output-buffer-limit", "pubsub 64k 0 0")
        async with hearing(own_redis.port) as (here, publish):
            (hearer,) = await here.subscribe(b"x")

            # one script tells more than may wait, and our loop stands still meanwhile
            own_redis.cli("eval", "for i = 1, 200 do redis.call('publish', 'x', string.rep('y', 100000)) end", "0")
            await until(lambda: hearer.subscribed == 2)
            await publish(b"x", b"end")
            await until(lambda: hearer.told[-1:] == [b"end"])

            assert here.condition.gaps == 1

    run(main())


@pytest.mark.slow
def test_ten_thousand_channels_are_heard_again_after_a_lost_connection(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, _):
            hearers = await here.subscribe(*(b"vuemantics-ws:state:{%032d}" % number for number in range(10_000)))

            redis.cli("client", "kill", "type", "pubsub")
            await until(lambda: all(hearer.subscribed == 2 for hearer in hearers))

            assert here.condition.gaps == 1
            await here.connected()

    run(main())


def test_nobody_is_told_after_the_end(redis: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis.port) as (here, publish):
            (hearer,) = await here.subscribe(b"x")
            late = Hearer()
            turns = len(here.turns)

            here.subscriptions.subscribe(b"y", late)
            await here.subscriptions.stop()
            await publish(b"x", b"1")

            assert hearer.told == []
            assert late.subscribed == 0
            assert len(here.turns) == turns
            await until(lambda: redis.cli("pubsub", "channels", "*").strip() == "")

    run(main())
