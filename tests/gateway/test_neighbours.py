"""Several nodes around a real Redis, looked at and acted on through any one of them."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx
import pytest

from tests.gateway.clustered import Member, clustered, member, others, until
from tests.gateway.nodes import browser, event
from tests.redis_server import RedisCluster, RedisServer
from vuemantics_ws import ConnectionManager, RedisBroker, anyone
from vuemantics_ws.brokers.redis.nodes import RedisNodes
from vuemantics_ws.errors import BadSetting, EnvironmentUnfit, Refused
from vuemantics_ws.gateway.inspection_answers import PAGES, WatchFrame
from vuemantics_ws.gateway.views import VIEWS

Act = Callable[[list[Member]], Awaitable[Any]]


def with_nodes(url: str, prefix: str, act: Act, names: str = "abc", **settings: Any) -> Any:
    async def scenario() -> Any:
        async with clustered(url, prefix, names, **settings) as members:
            return await act(members)

    return asyncio.run(scenario())


async def asked(member: Member, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"{member.node.control_url}{path}")


def nodes_of(member: Member) -> RedisNodes:
    assert isinstance(member.node.broker, RedisBroker)
    return member.node.broker.nodes


async def frame_of(member: Member, *views: str, **options: Any) -> dict[str, Any]:
    async with aclosing(member.control.frames(views or ["uploads"], **options)) as frames:
        return await anext(frames)


def warned_of(frame: dict[str, Any]) -> set[str]:
    """Other than that a loop was late: the machine may be busy."""
    return {warning["code"] for warning in frame["warnings"]} - {"loop_lag"}


class TestLooking:
    def test_the_process_of_an_application_is_no_node_to_look_at(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            broker = RedisBroker(redis.url, prefix=prefix, plain_prefix=prefix)
            async with ConnectionManager(broker=broker, access=anyone) as manager:
                await until(lambda: all(broker.node_id in nodes_of(member).present() for member in members))
                await until(lambda: len(broker.nodes.others()) == len(members))
                await manager.publish(event("a", 50))
                pages = [(await asked(member, "/nodes?sort=connections")).json() for member in members]
                return pages, await frame_of(members[0], "nodes")

        pages, frame = with_nodes(redis.url, prefix, act, "ab")

        for page in (*pages, frame["views"][0]):
            assert ([row["name"] for row in page["rows"]], page["missing"]) == (["a", "b"], [])
        assert ([node["name"] for node in frame["nodes"]], frame["missing"]) == (["a", "b"], [])
        assert warned_of(frame) == set()

    def test_every_node_knows_every_node(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            return [(await asked(member, "/nodes")).json()["rows"] for member in members], [
                member.node.describe() for member in members
            ]

        said, described = with_nodes(redis.url, prefix, act)

        for place, nodes in enumerate(said):
            assert [node["name"] for node in nodes] == ["a", "b", "c"]
            assert [node["name"] for node in nodes if node["this"]] == ["abc"[place]]
            by_name = {node["name"]: node for node in nodes}
            assert sorted(by_name) == ["a", "b", "c"]
            for about in described:
                node = by_name[about["name"]]
                assert {name: node[name] for name in ("url", "control", "pid", "state", "version")} == {
                    name: about[name] for name in ("url", "control", "pid", "state", "version")
                }
            assert len({node["id"] for node in nodes}) == 3

    def test_a_page_is_of_all_nodes_and_says_where_each_connection_is(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            async with browser(a.node, "alice"), browser(b.node, "bob"), browser(b.node, "alice"):
                return [
                    await a.control.page("connections"),
                    await c.control.page("connections", filter="user=alice", sort="-node"),
                    await b.control.page("connections", scope="node"),
                    await c.control.page("connections", filter="node=b", limit=1, offset=1),
                ]

        whole, alice, own, second = with_nodes(redis.url, prefix, act)

        for page in (whole, alice, own, second):
            PAGES["connections"].model_validate(page)
        where = {(row["user"], row["node"]) for row in whole["rows"]}
        assert where == {("alice", "a"), ("bob", "b"), ("alice", "b")}
        assert (whole["total"], sorted(whole["nodes"]), whole["missing"]) == (3, ["a", "b", "c"], [])
        assert [(row["user"], row["node"]) for row in alice["rows"]] == [("alice", "b"), ("alice", "a")]
        assert (own["total"], own["nodes"]) == (2, ["b"])
        assert (second["matched"], len(second["rows"]), second["offset"]) == (2, 1, 1)

    def test_an_upload_that_people_of_two_nodes_follow_is_one(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            async with browser(a.node, "alice") as one, browser(b.node, "bob") as two, browser(b.node, "alice") as three:
                for tab in (one, two, three):
                    await tab.subscribe("u1")
                await c.control.publish(event("u1", 30), owner="alice")
                for tab in (one, two, three):
                    assert (await tab.next())["payload"]["progress_percent"] == 30
                return {view: await c.control.page(view) for view in VIEWS if view != "nodes"}, await c.control.head("u1")

        pages, head = with_nodes(redis.url, prefix, act)

        for view, page in pages.items():
            PAGES[view].model_validate(page)
        (upload,) = pages["uploads"]["rows"]
        assert (upload["percent"], upload["followers"], upload["connections"], upload["at_most"]) == (30, 2, 3, False)
        assert sorted(upload["nodes"]) == ["a", "b"]
        (followed,) = pages["followers"]["rows"]
        assert (sorted(followed["users"]), followed["connections"]) == (["alice", "bob"], 3)
        alice, bob = sorted(pages["follows"]["rows"], key=lambda row: str(row["user"]))
        assert sorted(alice["connections"]) == ["a/1", "b/2"]
        assert sorted(alice["follows"][0]["held_by"]) == ["a/1", "b/2"]
        assert bob["connections"] == ["b/1"]
        assert (head["owner"], head["seq"]) == ("alice", 1)

    def test_a_frame_is_of_all_nodes(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            async with browser(a.node, "alice") as tab, browser(b.node, "bob"), browser(c.node, "carol"):
                await tab.subscribe("u1")
                await b.control.publish(event("u1", 30), owner="alice")
                return await frame_of(c, "uploads", "connections"), await frame_of(c, scope="node")

        whole, own = with_nodes(redis.url, prefix, act)

        WatchFrame.model_validate(whole)
        WatchFrame.model_validate(own)
        assert (whole["node"]["name"], sorted(node["name"] for node in whole["nodes"])) == ("c", ["a", "b", "c"])
        assert (whole["tables"]["connections"], own["tables"]["connections"]) == (3, 1)
        assert whole["limits"]["connections_max"] == 3 * own["limits"]["connections_max"]
        assert (whole["counters"]["events"], own["counters"]["events"]) == ({"accepted": 1}, {})
        assert whole["broker"]["name"] == "redis"
        assert (whole["broker"]["ready"], whole["broker"]["adopts"], warned_of(whole)) == (True, True, set())
        assert [node["name"] for node in own["nodes"]] == ["c"]

    def test_what_lies_too_far_down_is_refused_with_what_helps(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> str:
            with pytest.raises(BadSetting) as refused:
                await members[0].control.page("uploads", offset=1_990, limit=50)
            with pytest.raises(BadSetting):
                await frame_of(members[0], offset=1_990, limit=50)
            await members[0].control.page("uploads", offset=1_990, limit=50, scope="node")
            return f"{refused.value.message}; {refused.value.hint}"

        said = with_nodes(redis.url, prefix, act, "ab")

        assert said.startswith("offset: expected at most 2000 together with limit")
        assert "scope=node" in said

    def test_plain_publishers_that_nobody_hears_are_warned_of(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            return (await frame_of(members[0]))["warnings"], (await asked(members[0], "/readyz")).json()

        warnings, ready = with_nodes(redis.url, prefix, act, "ab", adopt=False)

        assert ("no_adopter", 2) in [(warning["code"], warning["count"]) for warning in warnings]
        assert ready == {"state": "ready", "adopted": False}

    def test_whoever_adopts_hears_them_for_all(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            async with member(redis.url, prefix, "b", adopt=False) as deaf:
                await until(lambda: any(other["adopts"] for other in others(deaf)))
                return (await asked(deaf, "/readyz")).json()

        assert with_nodes(redis.url, prefix, act, "a") == {"state": "ready", "adopted": True}

    def test_what_a_plain_publisher_says_shows_once(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, _ = members
            async with browser(a.node, "alice") as tab:
                await tab.subscribe("u1")
                for percent in (10, 20):
                    redis.cli("publish", f"{prefix}upload:u1", event("u1", percent).decode())
                    await tab.next()
                await until(lambda: sum(sum(member.node.broker.adopted.values()) for member in members) == 6)
                return (await b.control.page("uploads"))["rows"]

        (row,) = with_nodes(redis.url, prefix, act)

        assert (row["seq"], row["accepted"], row["duplicate"], row["refused"]) == (2, 2, 0, 0)
        assert row["rate_per_s"] > 0

    def test_what_a_plain_publisher_gives_to_nobody_is_warned_of(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b = members
            redis.cli("publish", f"{prefix}upload:u1", event("u1", 10).decode())
            await until(lambda: sum(sum(member.node.broker.adopted.values()) for member in members) == 2)
            await until(lambda: any(sample.unowned_per_s for member in members for sample in member.node.pulse.samples))
            return warned_of(await frame_of(a)), (await frame_of(b))["counters"]["unowned_events"]

        warnings, unowned = with_nodes(redis.url, prefix, act, "ab", access="owner")

        assert warnings == {"unowned_events"}
        assert unowned == 1

    def test_a_node_that_was_given_no_name_is_called_by_its_host_and_port(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            (alone,) = members
            return (await asked(alone, "/nodes")).json()["rows"][0]["name"], alone.node.address[1]

        name, port = with_nodes(redis.url, prefix, act, "a", node_name=None)

        assert name == f"{socket.gethostname()}:{port}"


class TestActing:
    def test_a_user_is_kicked_off_every_node(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            async with browser(a.node, "alice") as one, browser(b.node, "alice") as two, browser(b.node, "bob"):
                kicked = await c.control.kick_user("alice")
                codes = [await one.close_code(), await two.close_code()]
                with pytest.raises(Refused, match="no open connection"):
                    await c.control.kick_user("alice")
                return kicked, codes

        kicked, codes = with_nodes(redis.url, prefix, act)

        assert (kicked.count, kicked.missing) == (2, [])
        assert codes == [1012, 1012]

    def test_a_connection_is_kicked_on_the_node_that_has_it(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            async with browser(a.node, "alice"), browser(b.node, "bob") as tab, browser(c.node, "carol") as third:
                kicked = await a.control.kick(1, node="b")
                code = await tab.close_code()
                assert others(a)
                await a.control.kick(1, node=others(c)[0]["id"] if others(c)[0]["name"] == "a" else "a", for_good=True)
                refusals = []
                for number, name in ((7, "b"), (7, None), (1, "nobody")):
                    with pytest.raises(Refused) as refused:
                        await c.control.kick(number, node=name)
                    refusals.append(f"{refused.value.message}; {refused.value.hint}")
                assert third.socket.close_code is None
                return kicked.count, code, refusals

        kicked, code, refusals = with_nodes(redis.url, prefix, act)

        assert (kicked, code) == (1, 1012)
        assert refusals == [
            "there is no open connection with this number; it may have ended",
            "there is no open connection with this number; name the node that has it, with node= or --node",
            "no node that is present is called 'nobody'; vuemantics-ws watch --nodes and GET /nodes have their names",
        ]


class TestComingAndGoing:
    def test_a_node_that_says_goodbye_is_gone_at_once(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> list[str]:
            a, b, c = members
            await c.node.stop()
            await until(lambda: len(others(a)) == len(others(b)) == 1)
            missing: list[str] = (await a.control.page("uploads"))["missing"]
            return missing

        assert with_nodes(redis.url, prefix, act) == []

    def test_that_a_node_drains_is_told_at_once(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> None:
            a, b = members
            async with browser(b.node, "alice"):
                stopping = asyncio.ensure_future(b.node.stop())
                await until(lambda: others(a)[0]["state"] == "draining")
            await stopping

        with_nodes(redis.url, prefix, act, "ab", drain_s=3.0)

    @pytest.mark.slow
    def test_a_node_that_hangs_is_missing_by_name_and_holds_up_nobody(self, redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            a, b, c = members
            for handler in list(b.node.neighbours.handlers):  # type: ignore[union-attr]
                b.node.broker.nodes._handlers = {handler: never}  # type: ignore[union-attr]
            pages = await a.control.page("connections"), await a.control.page("nodes")
            return *pages, await frame_of(c), await a.control.kick_user("nobody")

        page, nodes, frame, kicked = with_nodes(redis.url, prefix, act)

        assert (page["missing"], page["nodes"]) == (["b"], ["a", "c"])
        assert [(warning["code"], warning["message"]) for warning in frame["warnings"]] == [
            ("node_silent", "b does not answer: what it has is missing here")
        ]
        assert [(node["name"], node["state"]) for node in nodes["rows"]] == [("a", "ready"), ("b", "silent"), ("c", "ready")]
        assert {node["name"]: node["state"] for node in frame["nodes"]} == {"a": "ready", "b": "silent", "c": "ready"}
        assert (kicked.count, kicked.missing) == (0, ["b"])

    def test_nodes_of_two_prefixes_never_meet(self, redis: RedisServer, prefix: str) -> None:
        async def scenario() -> list[int]:
            async with AsyncExitStack() as stack:
                some = await stack.enter_async_context(clustered(redis.url, prefix, "ab"))
                more = await stack.enter_async_context(clustered(redis.url, f"{prefix}other:", "cd"))
                return [len((await asked(member, "/nodes")).json()["rows"]) for member in [*some, *more]]

        assert asyncio.run(scenario()) == [2, 2, 2, 2]


async def never(asked: dict[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


class TestWhileRedisIsAway:
    @pytest.mark.slow
    def test_a_node_says_so_and_is_ready_again_by_itself(
        self, own_redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "vuemantics_ws.brokers.redis.readiness")

        async def act(members: list[Member]) -> Any:
            a, b = members
            async with browser(a.node, "alice") as tab:
                before = await asked(a, "/readyz")
                own_redis.kill()
                await until(lambda: not (a.node.broker.health.ready or b.node.broker.health.ready))
                away = await asked(a, "/readyz"), await asked(a, "/healthz")
                frame, page = await frame_of(a), await a.control.page("connections")
                own_redis.start()
                await until(lambda: a.node.broker.health.ready and b.node.broker.health.ready)
                after = await asked(a, "/readyz")
                await until(lambda: len(others(a)) == 1)
                await tab.subscribe("u1")
                return before, away, frame, page, after

        before, (readyz, healthz), frame, page, after = with_nodes(own_redis.url, prefix, act, "ab")

        assert (before.status_code, healthz.status_code, after.status_code) == (200, 200, 200)
        assert readyz.status_code == 503
        said = readyz.json()["error"]
        assert (said["code"], said["since_s"] >= 0) == ("broker_away", True)
        assert said["message"].startswith(f"redis at 127.0.0.1:{own_redis.port}")
        assert frame["warnings"][0]["code"] == "broker_away"
        assert frame["broker"]["reason"].startswith(f"redis at 127.0.0.1:{own_redis.port}")
        assert [row["user"] for row in page["rows"]] == ["alice"]
        assert page["missing"] == ["b"]
        said_by_both = [record.getMessage() for record in caplog.records if record.name.endswith(".readiness")][2:]
        assert [("answers" in words, "made good" in words) for words in said_by_both] == [
            *[(False, False)] * 2,
            *[(True, True)] * 2,
        ], said_by_both

    @pytest.mark.slow
    def test_what_nodes_know_of_each_other_survives_a_redis_that_lost_its_data(
        self, own_redis: RedisServer, prefix: str
    ) -> None:
        async def act(members: list[Member]) -> None:
            a, b = members
            own_redis.cli("flushall")
            assert [len(others(member)) for member in members] == [1, 1]
            key = f"{prefix}nodes"
            await until(lambda: own_redis.cli("hlen", key).strip() == "2")
            assert (await b.control.page("connections"))["missing"] == []
            assert (await a.control.page("connections"))["missing"] == []

        with_nodes(own_redis.url, prefix, act, "ab")

    @pytest.mark.slow
    def test_whoever_is_only_out_of_reach_is_not_said_to_be_nobody(self, own_redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> list[str]:
            a = members[0]
            own_redis.kill()
            await until(lambda: not a.node.broker.health.ready)
            refusals = []
            for name in ("b", "longer-gone"):
                with pytest.raises(EnvironmentUnfit) as refused:
                    await a.control.kick(1, node=name)
                refusals.append(refused.value.message.partition("cannot answer: ")[2].partition(": redis at")[0])
            return refusals

        assert with_nodes(own_redis.url, prefix, act, "ab") == [
            "b cannot be reached",
            "no node that can be reached is called 'longer-gone'",
        ]

    @pytest.mark.slow
    def test_what_cures_it_is_said_where_that_is_known(self, own_redis: RedisServer, prefix: str) -> None:
        async def act(members: list[Member]) -> Any:
            [a] = members
            await until(lambda: a.node.broker.health.ready)
            own_redis.cli("config", "set", "maxmemory", "1")
            await until(lambda: not a.node.broker.health.ready)
            return (await asked(a, "/readyz")).json()["error"], (await frame_of(a))["broker"]

        said, broker = with_nodes(own_redis.url, prefix, act, "a")

        assert said["message"].endswith("is out of memory (maxmemory)")
        assert said["hint"] == broker["hint"]
        assert said["hint"].startswith("give it more (maxmemory)")


@pytest.mark.slow
def test_all_of_it_holds_in_a_redis_cluster(redis_cluster: RedisCluster, prefix: str) -> None:
    async def act(members: list[Member]) -> Any:
        a, b, c = members
        async with browser(a.node, "alice") as one, browser(b.node, "bob") as two:
            await one.subscribe("u1")
            await two.subscribe("u1")
            await c.control.publish(event("u1", 30), owner="alice")
            await one.next()
            await two.next()
            page, frame = await c.control.page("uploads"), await frame_of(b)
            kicked = await c.control.kick_user("bob")
            return page, frame, kicked, await two.close_code()

    page, frame, kicked, code = with_nodes(redis_cluster.url, prefix, act)

    assert (page["rows"][0]["followers"], page["missing"]) == (2, [])
    assert (frame["broker"]["name"], len(frame["nodes"]), frame["missing"]) == ("redis-cluster", 3, [])
    assert (kicked.count, code) == (1, 1012)
