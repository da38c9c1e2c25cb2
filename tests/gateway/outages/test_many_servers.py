"""A master dies, or a slot moves, and browsers see nothing of it but a pause."""

import asyncio

import pytest

from tests.brokers.redis.resharding import migrate, owner_of, replicate
from tests.gateway.clustered import until
from tests.gateway.nodes import completed, event
from tests.gateway.outages.stage import UPLOADS, run, stage
from tests.redis_server import RedisCluster, RedisServer, SentinelSet, wait_until
from vuemantics_ws.brokers.redis.slots import slot
from vuemantics_ws.core.upload import Event

pytestmark = pytest.mark.slow


class TestSentinels:
    def test_a_replica_takes_the_place_of_a_master_that_died(self, sentinels: SentinelSet, prefix: str) -> None:
        async def act() -> None:
            async with stage(sentinels.url, sentinels.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()
                former = sentinels.master_port()

                sentinels.master.kill()
                await here.none_ready(within_s=5.0)
                await here.all_ready(within_s=5.0)
                await here.all_hear(within_s=5.0)
                await here.finish()

                assert sentinels.master_port() != former
                assert here.stream.refused > 0
                assert here.gaps == [1, 1]

        run(act)

    def test_an_end_that_the_replica_never_got_is_not_lost(self, sentinels: SentinelSet, prefix: str) -> None:
        """It was acknowledged to its publisher, and only the nodes know it when the master is gone.

        Half of the uploads are queued, for all that the replica knows: none of them is queued again.
        """

        async def act() -> None:
            async with stage(sentinels.url, sentinels.url, prefix=prefix) as here:
                node = here.members[0].node
                for number, upload_id in enumerate(UPLOADS):
                    first = ["queued", "vision_analysis"][number % 2]
                    await node.publish(Event.read(event(upload_id, 10, stage=first)))
                await until(lambda: sentinels.replica.cli("dbsize") == sentinels.master.cli("dbsize"))
                sentinels.replica.pause()
                sentinels.master.cli("client", "kill", "type", "replica")
                receipts = [await node.publish(Event.read(completed(upload_id))) for upload_id in UPLOADS]
                await until(lambda: all(tab.has_end(upload_id) for tab in here.tabs for upload_id in UPLOADS))

                sentinels.master.kill()
                sentinels.replica.resume()
                terminal = sentinels.replica.cli("hget", f"{prefix}head:{{u0}}", "flags")
                await here.none_ready(within_s=5.0)
                await here.all_ready(within_s=20.0)
                late = await here.open_tab(here.members[1], "late", *UPLOADS)
                await here.see_all_ended()

                assert [receipt.verdict.value for receipt in receipts] == ["accepted"] * len(UPLOADS)
                assert "t" not in terminal
                assert all(late.known.values())

        run(act)


class TestACluster:
    def test_a_slot_moves_in_the_midst_of_a_stream(self, redis_cluster: RedisCluster, prefix: str) -> None:
        async def act() -> None:
            async with stage(redis_cluster.url, redis_cluster.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()
                source = owner_of(redis_cluster, b"{u0}")
                target = next(server for server in redis_cluster.servers if server is not source)

                for giving, taking in ((source, target), (target, source)):
                    await asyncio.to_thread(migrate, redis_cluster, slot(b"{u0}"), giving, taking)
                    await here.some_more()
                    await here.all_hear(within_s=5.0)
                await here.finish()

                assert min(here.gaps) >= 1

        run(act)

    def test_a_master_dies_that_has_a_replica(self, prefix: str) -> None:
        async def act(cluster: RedisCluster, replica: RedisServer, dying: RedisServer) -> None:
            async with stage(cluster.url, cluster.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()

                dying.kill()
                await here.none_ready(within_s=10.0)
                await here.all_ready(within_s=20.0)
                await here.all_hear(within_s=5.0)
                await here.finish()

                assert "role:master" in replica.cli("info", "replication")

        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        with RedisCluster() as cluster, RedisServer(*options) as replica:
            dying = owner_of(cluster, b"{u0}")
            replicate(replica, dying)
            wait_until(lambda: "master_link_status:up" in replica.cli("info", "replication"), 20)
            wait_until(lambda: all("slave" in server.cli("cluster", "nodes") for server in cluster.servers), 20)
            run(lambda: act(cluster, replica, dying))
