"""Redis goes and comes back in every way that it can, seen from browsers: they stay, and end with the newest state."""

import asyncio
from typing import Any

import pytest

from tests.brokers.redis.relay import Relay
from tests.gateway.clustered import until
from tests.gateway.nodes import event
from tests.gateway.outages.browsing import Tab
from tests.gateway.outages.stage import Stage, run, stage
from tests.redis_server import RedisServer
from vuemantics_ws.core.upload import Event

pytestmark = pytest.mark.slow

FLOOD = 300
"""Events of 60 kB: more than sockets and Redis hold back for one reader."""


class TestItsConnections:
    def test_those_that_are_killed_are_made_good(self, redis: RedisServer, prefix: str) -> None:
        async def act() -> None:
            async with stage(redis.url, redis.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()

                redis.cli("client", "kill", "type", "pubsub")
                await until(lambda: here.gaps == [1, 1])
                await here.all_ready(within_s=1.0)
                await here.all_hear(within_s=1.0)
                await here.finish()

                assert here.gaps == [1, 1]
                assert here.stream.refused == 0

        run(act)

    def test_those_that_are_cut_off_because_nodes_do_not_keep_up(self, own_redis: RedisServer, prefix: str) -> None:
        async def act() -> None:
            async with Relay(own_redis.port) as relay, stage(relay.url, own_redis.url, prefix=prefix) as here:
                behind, other = here.members
                own_redis.cli("config", "set", "client-output-buffer-limit", "pubsub 1mb 0 0")

                relay.hold()
                for number in range(FLOOD):
                    published = event("u1", number % 100, version=(1, number + 1), message="x" * 60_000)
                    await other.node.publish(Event.read(published))
                cut_off = "overcoming of output buffer limits" in own_redis.log()
                relay.release()
                await until(lambda: here.gaps == [1, 0])
                await here.all_ready()
                await until(lambda: all(last_number(tab) == FLOOD for tab in here.tabs))
                here.stream.flow()
                await here.some_more()
                await here.finish()

                assert cut_off
                assert behind.node.broker.health.gaps == 1

        run(act)

    def test_one_on_which_nothing_is_told_any_more_while_commands_are_answered(self, redis: RedisServer, prefix: str) -> None:
        async def act() -> None:
            async with stage(redis.url, redis.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()
                silent: Any = here.brokers[0].subscriptions

                silent._source._link._transport.pause_reading()
                await until(lambda: here.gaps == [1, 0], within_s=6.0)
                await here.all_ready(within_s=1.0)
                await here.all_hear(within_s=1.0)
                await here.finish()

                assert here.gaps == [1, 0]
                assert here.stream.refused == 0

        run(act)

    @pytest.mark.parametrize("way", ["hangs", "swallows"])
    def test_it_hangs_or_the_network_swallows_everything(self, own_redis: RedisServer, prefix: str, way: str) -> None:
        async def act() -> None:
            async with Relay(own_redis.port) as relay:
                begin, end = (own_redis.pause, own_redis.resume) if way == "hangs" else (relay.hold, relay.release)
                async with stage(relay.url, relay.url, prefix=prefix, tabs=1) as here:
                    here.stream.flow()
                    await here.some_more()

                    begin()
                    reasons = await here.none_ready(within_s=6.0)
                    probed = await here.probe("/readyz")
                    lives = await here.probe("/healthz")
                    late = await here.open_tab(here.members[0], "late", "u0", "u1", "nobody-knows-this")
                    unknown = await here.open_tab(here.members[1], "late", "unheard-of")
                    found = dict(late.known)
                    end()
                    await here.all_ready(within_s=2.0)
                    await here.some_more()
                    here.tabs.remove(unknown)
                    late.known.pop("nobody-knows-this")
                    await here.finish()

                    assert all("does not answer" in reason for reason in reasons)
                    assert [(status, said["error"]["code"]) for status, said in probed] == [(503, "broker_away")] * 2
                    assert [status for status, _ in lives] == [200, 200]
                    assert found == {"u0": True, "u1": True, "nobody-knows-this": False}
                    assert unknown.known == {"unheard-of": False}
                    assert here.stream.refused > 0
                    assert all("does not answer" in complaint for complaint in here.stream.complaints)

        run(act)


class TestItsData:
    @pytest.mark.parametrize("way", ["emptied", "restarted"])
    def test_all_of_it_is_lost(self, own_redis: RedisServer, prefix: str, way: str) -> None:
        async def lose() -> None:
            if way == "emptied":
                own_redis.cli("flushall")
            else:
                await asyncio.to_thread(own_redis.restart, lose_data=True)

        async def act() -> None:
            async with stage(own_redis.url, own_redis.url, prefix=prefix) as here:
                broker = here.brokers[0]
                here.stream.flow()
                await here.some_more()
                before = broker._watches["u0"].stored

                for _ in range(2):
                    await lose()
                    await here.some_more()
                    await here.all_hear(within_s=5.0)
                after = broker._watches["u0"].stored
                await here.finish()

                assert before is not None
                assert after is not None
                assert before.incarnation != after.incarnation

        run(act)

    def test_what_has_ended_is_given_back_and_nobody_is_told_again(self, own_redis: RedisServer, prefix: str) -> None:
        async def act() -> None:
            async with stage(own_redis.url, own_redis.url, prefix=prefix, tabs=1) as here:
                await here.finish()
                told = [len(tab.heard[upload_id]) for tab in here.tabs for upload_id in tab.known]

                own_redis.cli("flushall")
                emptied = own_redis.cli("dbsize")
                await until(lambda: len(own_redis.cli("keys", f"{prefix}head:*").split()) == 8)
                late = await here.open_tab(here.members[1], "late", "u0", "u1")
                await here.see_all_ended()

                assert int(emptied) < 8
                assert late.known == {"u0": True, "u1": True}
                assert told == [len(tab.heard[upload_id]) for tab in here.tabs[:2] for upload_id in tab.known]

        run(act)


class TestItTakesNothing:
    @pytest.mark.parametrize(
        ("begin", "end", "complaint"),
        [
            (["config set maxmemory 1"], ["config set maxmemory 0"], "out of memory"),
            (["replicaof 127.0.0.1 1"], ["replicaof no one"], "replica that takes no writes"),
        ],
        ids=["full", "a replica"],
    )
    def test_publishers_are_told_why_and_browsers_wait(
        self, own_redis: RedisServer, prefix: str, begin: list[str], end: list[str], complaint: str
    ) -> None:
        async def act() -> None:
            async with stage(own_redis.url, own_redis.url, prefix=prefix) as here:
                here.stream.flow()
                await here.some_more()

                for command in begin:
                    own_redis.cli(*command.split())
                reasons = await here.none_ready(within_s=6.0)
                late = await here.open_tab(here.members[0], "late", "u0")
                for command in end:
                    own_redis.cli(*command.split())
                await here.all_ready(within_s=5.0)
                await here.finish()

                assert late.known == {"u0": True}
                assert all(complaint in reason for reason in reasons), reasons
                assert any(complaint in said for said in here.stream.complaints), here.stream.complaints

        run(act)


class TestItIsDownAtFirst:
    def test_nodes_start_and_are_ready_once_it_is_there(self, own_redis: RedisServer, prefix: str) -> None:
        own_redis.stop()

        async def act() -> None:
            async with stage(own_redis.url, own_redis.url, prefix=prefix, tabs=0, ready=False) as here:
                early = await here.open_tab(here.members[0], "early", "u0", "u1")
                await until(lambda: all("cannot be reached" in reason for reason in _reasons(here)))
                probed = await here.probe("/readyz")
                lives = await here.probe("/healthz")
                here.stream.flow()
                await until(lambda: here.stream.refused >= 2)
                await asyncio.to_thread(own_redis.start)
                await here.all_ready()
                await here.some_more()
                ready = await here.probe("/readyz")
                await here.finish()

                assert early.known == {"u0": False, "u1": False}
                assert [status for status, _ in probed] == [503, 503]
                assert [status for status, _ in lives] == [200, 200]
                assert [status for status, _ in ready] == [200, 200]

        run(act)

    def test_it_loads_its_data_for_a_while(self, prefix: str) -> None:
        slowly = ("--key-load-delay", "50", "--loading-process-events-interval-bytes", "1024")

        async def act(server: RedisServer) -> None:
            async with stage(server.url, server.url, prefix=prefix, tabs=1) as here:
                here.stream.flow()
                await here.some_more()

                server.cli("debug", "populate", "30000")
                server.cli("save")
                await asyncio.to_thread(server.restart)
                await until(lambda: any("loading" in reason for reason in _reasons(here)))
                await here.all_ready()
                await here.some_more()
                await here.finish()

        with RedisServer("--enable-debug-command", "yes", *slowly) as server:
            run(lambda: act(server))


def last_number(tab: Tab) -> int:
    newest = tab.newest("u1")
    return newest.version[1] if newest is not None else 0


def _reasons(here: Stage) -> list[str]:
    return [broker.health.reason or "" for broker in here.brokers]
