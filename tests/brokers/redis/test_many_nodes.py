"""One user on several nodes around a real Redis (SEMANTICS.md sections 2 and 6)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.brokers.benches import until
from tests.connection_manager.joined import Tab
from tests.connection_manager.sockets import sizes
from tests.events import completed, progress
from tests.redis_server import RedisCluster, RedisServer
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.limits import Limits

WITHIN_S = 60.0
NOTE = {"action": "note", "number": 1}


class Node:
    """A process of the system, as far as a manager knows one."""

    def __init__(self, url: str, prefix: str, limits: Limits | None) -> None:
        self.broker = RedisBroker(url, prefix=prefix, adopt=False, limits=limits)
        self.manager = ConnectionManager(broker=self.broker, limits=limits)

    def join(self, user_id: str = "alice") -> Tab:
        tab = Tab(f"a tab of {user_id}")
        self.manager.join(user_id, tab)
        return tab

    def leave(self, tab: Tab, user_id: str = "alice") -> None:
        self.manager.leave(user_id, tab)

    async def follow(self, upload_id: str, tab: Tab | None, user_id: str = "alice") -> None:
        answered = asyncio.Event()
        self.manager.follow(user_id, upload_id, tab, lambda known: answered.set())
        await answered.wait()

    def follows(self, user_id: str = "alice") -> set[str]:
        return self.manager.user_subscriptions.get(user_id, set())

    async def settle(self) -> None:
        """Nothing is left to be told to Redis."""
        await until(lambda: all(not user.unsaid and not user.sent for user in self.broker.users._users.values()))

    async def die(self) -> None:
        """As by SIGKILL: nobody is told."""
        await self.broker.users.stop()
        await self.broker.stop()


Nodes = list[Node]
Run = Callable[..., None]


@asynccontextmanager
async def opened(url: str, prefix: str, count: int, limits: Limits | None) -> AsyncIterator[Nodes]:
    nodes = [Node(url, prefix, limits) for _ in range(count)]
    async with asyncio.timeout(WITHIN_S), AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.manager)
        await until(lambda: all(len(node.broker.nodes.present()) >= count - 1 for node in nodes))
        yield nodes
    assert not any(node.broker.users for node in nodes)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def run(redis_server: RedisServer, prefix: str) -> Run:
    def run_on(act: Callable[[Nodes], Awaitable[None]], *, limits: Limits | None = None) -> None:
        async def main() -> None:
            async with opened(redis_server.url, prefix, 2, limits) as nodes:
                await act(nodes)

        asyncio.run(main())

    return run_on


def percents(tab: Tab, upload_id: str) -> list[bytes]:
    return [frame.payload for frame in tab.states.get(upload_id, [])]


def is_newest(tab: Tab, upload_id: str, seq: int) -> Callable[[], bool]:
    return lambda: b'"seq":%d,' % seq in b"".join(percents(tab, upload_id)[-1:])


@pytest.mark.parametrize("kind", ["redis", "redis-cluster"])
def test_what_is_followed_on_one_node_is_seen_by_a_tab_on_another(
    kind: str, redis_server: RedisServer, redis_cluster: RedisCluster, prefix: str
) -> None:
    async def act() -> None:
        url = redis_server.url if kind == "redis" else redis_cluster.url
        async with opened(url, prefix, 2, None) as [one, other]:
            tab, far = one.join(), other.join()
            await one.manager.publish(progress(upload_id="u"), owner="alice")

            await one.follow("u", tab)
            await until(is_newest(far, "u", 1))
            await one.manager.publish(completed(upload_id="u"))
            await until(is_newest(far, "u", 2))
            await until(is_newest(tab, "u", 2))

            assert len(percents(far, "u")) == len(percents(tab, "u")) == 2

    asyncio.run(act())


def test_a_tab_that_joins_another_node_gets_the_newest_states(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        for upload_id in ("u", "v"):
            await one.manager.publish(progress(upload_id=upload_id), owner="alice")
            await one.follow(upload_id, None)
        await one.settle()

        tab = other.join()

        await until(lambda: set(tab.states) == {"u", "v"})
        assert [len(percents(tab, upload_id)) for upload_id in ("u", "v")] == [1, 1]

    run(act)


def test_who_returns_on_another_node_within_the_grace_time_finds_everything(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab = one.join()
        await one.follow("u", tab)
        await one.follow("v", tab)
        one.leave(tab)
        await one.manager.publish(completed(upload_id="u"), owner="alice")
        await one.settle()

        tab = other.join()

        await until(is_newest(tab, "u", 1))
        assert other.follows() == {"u", "v"}

    run(act)


@pytest.mark.slow
def test_when_the_grace_time_is_over_everywhere_nothing_is_left(run: Run, redis_server: RedisServer, prefix: str) -> None:
    async def act(nodes: Nodes) -> None:
        for node in nodes:
            tab = node.join()
            await node.follow("u", tab)
            await node.settle()
            node.leave(tab)

        await until(lambda: redis_server.cli("exists", f"{prefix}user:{{alice}}") == "0\n")
        await until(lambda: not any(node.broker.users for node in nodes))
        for node in nodes:
            assert sizes(node.manager) == {}
            assert node.broker.watches == 0

    run(act, limits=Limits(grace_s=0.2))


def test_a_follow_lasts_while_a_tab_on_another_node_holds_it(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab, far = one.join(), other.join()
        await one.follow("u", tab)
        await until(lambda: other.follows() == {"u"})
        await other.settle()
        await one.manager.publish(progress(upload_id="u", number=1), owner="alice")
        await until(is_newest(far, "u", 1))

        one.manager.give_up("alice", "u", tab)
        given_up_after = len(percents(tab, "u"))
        await one.settle()
        await one.manager.publish(progress(upload_id="u", number=2))
        await until(is_newest(far, "u", 2))
        assert one.follows() == {"u"}
        assert len(percents(tab, "u")) == given_up_after

        other.manager.give_up("alice", "u", far)
        await until(lambda: one.follows() == other.follows() == set())
        assert one.broker.watches == other.broker.watches == 0

    run(act)


def test_what_a_dead_node_held_holds_nothing(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        await one.follow("u", one.join())
        far = other.join()
        await until(lambda: other.follows() == {"u"})
        await one.settle()
        await one.die()
        other.broker.users.present = list

        other.manager.give_up("alice", "u", far)

        await until(lambda: other.follows() == set())

    run(act)


def test_a_node_that_stops_leaves_all_follows_to_the_others(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab = one.join()
        await one.follow("u", tab)
        await one.follow("v", None, "bob")
        one.leave(tab)

        await one.manager.disconnect_all()
        far = other.join()
        other.join("bob")

        await until(lambda: (other.follows(), other.follows("bob")) == ({"u"}, {"v"}))
        assert len(one.broker.users) == 0
        other.manager.give_up("alice", "u", far)
        await until(lambda: other.follows() == set())

    run(act)


@pytest.mark.slow
def test_a_redis_that_forgot_everything_is_told_again(prefix: str) -> None:
    async def act() -> None:
        with RedisServer() as server:
            async with opened(server.url, prefix, 3, None) as [one, other, third]:
                await one.follow("u", one.join())
                await other.follow("v", other.join())
                await until(lambda: one.follows() == other.follows() == {"u", "v"})

                await asyncio.to_thread(server.restart, lose_data=True)
                await until(lambda: server.cli("hlen", f"{prefix}user:{{alice}}") == "3\n")
                third.join()

                await until(lambda: third.follows() == {"u", "v"})
                assert one.follows() == other.follows() == {"u", "v"}

    asyncio.run(act())


@pytest.mark.slow
def test_a_redis_that_is_emptied_is_told_again(prefix: str) -> None:
    async def act() -> None:
        with RedisServer() as server:
            async with opened(server.url, prefix, 2, None) as [one, other]:
                await one.follow("u", one.join())
                await one.settle()
                await until(lambda: one.broker.health.lag_s is not None)  # a canary has been there

                server.cli("flushall")
                await until(lambda: server.cli("exists", f"{prefix}user:{{alice}}") == "1\n")
                other.join()

                await until(lambda: other.follows() == {"u"})

    asyncio.run(act())


def test_a_replica_that_was_behind_is_told_again_what_it_lacks(run: Run) -> None:
    """It is not as if somebody had ended what it has not heard of."""

    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab, _ = one.join(), other.join()
        execute, keys = one.broker.commands.execute, one.broker.keys
        await one.follow("u", tab)
        await until(lambda: other.follows() == {"u"})
        await one.settle()
        behind = [(key, await execute("DUMP", key)) for key in (keys.user("alice"), keys.revision("alice"))]
        await one.follow("v", tab)
        await until(lambda: other.follows() == {"u", "v"})
        await one.settle()

        for key, dumped in behind:
            await execute("RESTORE", key, 0, dumped, "REPLACE")
        other.broker.users.look_at_all()  # as after every gap

        while await execute("HEXISTS", keys.user("alice"), "v") != 1:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        assert one.follows() == other.follows() == {"u", "v"}

    run(act)


@pytest.mark.slow
def test_what_happens_while_redis_is_away_is_told_when_it_is_back(prefix: str) -> None:
    async def act() -> None:
        with RedisServer() as server:
            async with opened(server.url, prefix, 2, None) as [one, other]:
                tab, far = one.join(), other.join()
                await one.follow("u", tab)
                await until(lambda: other.follows() == {"u"})

                server.pause()
                one.manager.give_up("alice", "u", None)
                await other.follow("v", far)
                with pytest.raises(BrokerAway):
                    await one.manager.send_to_user("alice", NOTE)
                server.resume()

                await until(lambda: one.follows() == other.follows() == {"v"})
                assert len(tab.direct) == 1

    asyncio.run(act())


@pytest.mark.parametrize("kind", ["redis", "redis-cluster"])
def test_a_message_reaches_the_connections_on_all_nodes_once(
    kind: str, redis_server: RedisServer, redis_cluster: RedisCluster, prefix: str
) -> None:
    async def act() -> None:
        url = redis_server.url if kind == "redis" else redis_cluster.url
        async with opened(url, prefix, 2, None) as [one, other]:
            tab, far, foreign = one.join(), other.join(), other.join("mallory")
            await one.manager.publish(progress(upload_id="u"), owner="alice")
            await other.follow("u", far)
            await other.follow("u", foreign, "mallory")
            await until(lambda: one.follows() == {"u"})
            await until(is_newest(tab, "u", 1))

            await one.manager.send_to_user("alice", NOTE)
            await until(lambda: len(far.direct) == 1)
            await other.manager.send_to_upload_subscribers("u", NOTE)
            await until(lambda: len(tab.direct) == 2)
            await one.manager.send_to_user("alice", NOTE)
            await until(lambda: len(far.direct) == 3)

            assert (len(tab.direct), len(far.direct), foreign.direct) == (3, 3, [])

    asyncio.run(act())


def test_the_oldest_finished_upload_makes_room_on_every_node(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab, _ = one.join(), other.join()
        await one.manager.publish(completed(upload_id="done"), owner="alice")
        for upload_id in ("done", "u", "v"):
            await one.follow(upload_id, tab)

        await until(lambda: one.follows() == other.follows() == {"u", "v"})

    run(act, limits=Limits(uploads_per_user_max=2))


def test_five_hundred_subscribes_at_once_reach_a_tab_on_another_node(run: Run) -> None:
    async def act(nodes: Nodes) -> None:
        one, other = nodes
        tab, _ = one.join(), other.join()
        await one.settle()
        await other.settle()
        answers: list[bool] = []
        for number in range(500):
            one.manager.follow("alice", f"upload-{number}", tab, answers.append)

        await until(lambda: len(answers) == 500 and len(other.follows()) == 500)

    run(act)
