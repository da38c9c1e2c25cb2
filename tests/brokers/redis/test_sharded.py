"""A Redis Cluster whose slots move and whose masters die, and a master that Sentinels replace."""

import asyncio
from contextlib import ExitStack

import pytest

from tests.brokers.redis.hearing import Hearer, Hearing, PatternHearer, hearing, run, serving, until
from tests.brokers.redis.resharding import migrate, owner_of, replicate
from tests.redis_server import RedisCluster, RedisServer, SentinelSet, wait_until
from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.sentinels import connect_to_master
from vuemantics_ws.brokers.redis.slots import slot
from vuemantics_ws.errors import BrokerAway


def cluster_at(*servers: RedisServer) -> RedisAddress:
    return RedisAddress("cluster", tuple(Endpoint("127.0.0.1", server.port) for server in servers))


def ports(cluster: RedisCluster) -> list[int]:
    return [server.port for server in cluster.servers]


def test_channels_are_heard_from_the_masters_that_have_them(redis_cluster: RedisCluster) -> None:
    async def main() -> None:
        async with hearing(*ports(redis_cluster), address=cluster_at(redis_cluster.servers[1])) as (here, publish):
            channels = [b"state:{%d}" % number for number in range(300)]
            hearers = await here.subscribe(*channels)

            for channel in channels:
                await publish(channel, channel)
            await until(lambda: all(hearer.told for hearer in hearers))
            here.subscriptions.unsubscribe(channels[0])
            await until(
                lambda: (
                    sum(len(server.cli("pubsub", "shardchannels", "state:*").split()) for server in redis_cluster.servers)
                    == 299
                )
            )

            assert [hearer.told for hearer in hearers] == [[channel] for channel in channels]
            assert here.condition.gaps == 0
            assert here.condition.lag_s is not None

    run(main())


def test_a_pattern_hears_the_whole_cluster(redis_cluster: RedisCluster) -> None:
    async def main() -> None:
        address = cluster_at(*redis_cluster.servers)
        async with hearing(*ports(redis_cluster), address=address) as (here, _):
            hearer = PatternHearer()
            here.subscriptions.subscribe_pattern(b"upload:*", hearer)
            await until(lambda: hearer.subscribed == 1)

            for server in redis_cluster.servers:
                server.cli("publish", f"upload:{server.port}", "x")
            await until(lambda: len(hearer.told) == 3)

            assert set(hearer.channels) == {b"upload:%d" % server.port for server in redis_cluster.servers}

    run(main())


@pytest.mark.slow
def test_a_slot_that_moves_takes_its_channels_with_it(redis_cluster: RedisCluster) -> None:
    async def main() -> None:
        address = cluster_at(*redis_cluster.servers)
        async with hearing(*ports(redis_cluster), address=address) as (here, publish):
            moving, staying = b"state:{moving}", b"state:{staying}"
            assert slot(moving) != slot(staying)
            moved, stayed = await here.subscribe(moving, staying)
            for turn in (1, 2, 3):
                source = owner_of(redis_cluster, moving)
                target = next(server for server in redis_cluster.servers if server is not source)

                await asyncio.to_thread(migrate, redis_cluster, slot(moving), source, target)
                await until(lambda turn=turn: moved.subscribed > turn)  # type: ignore[misc]
                await here.connected()
                await publish(moving, b"%d" % turn)
                await until(lambda turn=turn: moved.told[-1:] == [b"%d" % turn])  # type: ignore[misc]

            assert stayed.subscribed == 1
            assert moved.subscribed >= 4  # whoever asks at the wrong moment is sent on once more
            assert here.condition.gaps >= 3

    run(main())


@pytest.mark.slow
def test_a_slot_that_moved_unnoticed_is_found_when_it_is_wanted(redis_cluster: RedisCluster) -> None:
    async def main() -> None:
        address = cluster_at(*redis_cluster.servers)
        async with hearing(*ports(redis_cluster), address=address) as (here, publish):
            channel = b"state:{unnoticed}"
            source = owner_of(redis_cluster, channel)
            target = next(server for server in redis_cluster.servers if server is not source)
            await asyncio.to_thread(migrate, redis_cluster, slot(channel), source, target)

            (hearer,) = await here.subscribe(channel)
            await publish(channel, b"1")
            await until(lambda: hearer.told == [b"1"])

            assert hearer.subscribed == 1

    run(main())


@pytest.mark.slow
def test_channels_of_a_master_that_died_are_heard_from_its_replica() -> None:
    async def main() -> None:
        with ExitStack() as stack:
            cluster = stack.enter_context(RedisCluster())
            dying = cluster.servers[0]
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
            replica = stack.enter_context(RedisServer(*options))
            replicate(replica, dying)
            wait_until(lambda: "master_link_status:up" in replica.cli("info", "replication"), 20)
            wait_until(lambda: all("slave" in server.cli("cluster", "nodes") for server in cluster.servers), 20)
            address = cluster_at(*cluster.servers)
            everywhere = (*ports(cluster), replica.port)
            async with hearing(*everywhere, address=address, canary_timeout_s=1.0) as (here, publish):
                channels = [b"state:{%d}" % number for number in range(60)]
                hearers = await here.subscribe(*channels)
                theirs = {channel for channel in channels if owner_of(cluster, channel) is dying}

                dying.kill()
                await until(lambda: not here.condition.connected)
                await here.connected()
                for channel in channels:
                    await publish(channel, b"end")
                await until(lambda: all(hearer.told for hearer in hearers))

                again = {channel for channel, hearer in zip(channels, hearers, strict=True) if hearer.subscribed == 2}
                assert theirs
                assert again == theirs
                assert here.condition.gaps >= 1

    run(main())


@pytest.mark.slow
def test_the_master_is_where_the_sentinels_say(sentinels: SentinelSet) -> None:
    async def main() -> None:
        dead = Endpoint("127.0.0.1", 1)
        endpoints = (dead, *(Endpoint("127.0.0.1", sentinel.port) for sentinel in sentinels.sentinels))
        address = RedisAddress("sentinel", endpoints, master="main")
        former = sentinels.master.port
        async with hearing(former, address=address, canary_interval_s=0.2, canary_timeout_s=1.0) as (here, _):
            (hearer,) = await here.subscribe(b"x")

            async def by_cli(channel: bytes, payload: bytes) -> None:
                await asyncio.to_thread(sentinels.replica.cli, "publish", channel.decode(), payload.decode())

            sentinels.master.kill()
            await until(lambda: not here.condition.connected)
            here.send_canary = by_cli
            await until(lambda: hearer.subscribed == 2)
            await asyncio.to_thread(sentinels.replica.cli, "publish", "x", "after")
            await until(lambda: hearer.told == [b"after"])

            assert sentinels.master_port() == sentinels.replica.port != former
            assert here.condition.gaps == 1
            assert "vuemantics-ws" in sentinels.replica.cli("client", "list", "type", "pubsub")

    run(main())


def test_a_replica_that_a_sentinel_takes_for_the_master_is_not_listened_to(redis: RedisServer) -> None:
    async def main() -> None:
        with RedisServer("--replicaof", "127.0.0.1", str(redis.port)) as replica:

            async def behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read(1024)
                writer.write(b"+OK\r\n")
                await reader.read(1024)
                writer.write(b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(replica.port)), replica.port))
                await reader.read(1024)

            async with serving(behind) as port:
                address = RedisAddress("sentinel", (Endpoint("127.0.0.1", port),), master="main")

                with pytest.raises(BrokerAway) as raised:
                    await connect_to_master(address)

                assert raised.value.message == f"redis at 127.0.0.1:{replica.port} is a replica that takes no writes"

    run(main())


def test_sentinels_that_know_no_such_master_are_named() -> None:
    async def main() -> None:
        async def ignorant(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1024)
            writer.write(b"+OK\r\n")
            await reader.read(1024)
            writer.write(b"*-1\r\n")
            await reader.read(1024)

        async with serving(ignorant) as port:
            address = RedisAddress("sentinel", (Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", port)), master="main")

            with pytest.raises(BrokerAway) as raised:
                await connect_to_master(address)

            assert raised.value.message == (
                "sentinel at 127.0.0.1:1 cannot be reached: connection refused; "
                f"the sentinel at 127.0.0.1:{port} knows no master 'main'"
            )

    run(main())


def test_a_cluster_that_is_down_says_so() -> None:
    async def main() -> None:
        address = RedisAddress("cluster", (Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)))

        async def never(channel: bytes, payload: bytes) -> None:
            raise AssertionError("there is nobody to send to")

        here = Hearing(address, never)
        here.subscriptions.subscribe(b"x", Hearer())
        here.subscriptions.start()
        await until(lambda: here.condition.reason == "redis at 127.0.0.1:1 cannot be reached: connection refused")
        await here.subscriptions.stop()

        assert not here.condition.connected

    run(main())


@pytest.mark.parametrize("name", ["state:{a}", "plain", "{}x", "a{b}c{d}", "x{", "x{}{y}"])
def test_slots_are_those_of_redis(redis_cluster: RedisCluster, name: str) -> None:
    said = int(redis_cluster.servers[0].cli("cluster", "keyslot", name))

    assert slot(name.encode()) == said
