"""The script that keeps what a user follows, against the same in simple words; and what a node does around it."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from tests.connection_manager.joined import CHANGE, Follows, Middle, Node, Tab
from tests.connection_manager.loops import run
from tests.connection_manager.sockets import sizes
from tests.events import completed
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.users import GONE_MAX, RETRY_S
from vuemantics_ws.limits import Limits

TTL_MS = 60_000
FOLLOWS_MAX = 3
NODES = ("a", "b", "c")

OPERATION = st.tuples(
    st.sampled_from(NODES),
    st.booleans(),
    st.sampled_from([0, 0, 0, 4, 9]),
    st.lists(st.sampled_from(NODES), unique=True),
    st.lists(
        st.tuples(st.sampled_from("+++-x."), st.sampled_from("uvwxyz")),
        max_size=3,
        unique_by=lambda pair: (pair[1], pair[0] == "."),
    ),
)
"""A node, whether a connection is open there, the revision it knows, who is present, and at most one change of each upload."""

SCRIPT = Script("user")

_numbers = itertools.count()


class TestTheScript:
    @given(operations=st.lists(OPERATION, max_size=20))
    def test_it_does_what_it_does_in_simple_words(
        self, redis_server: RedisServer, operations: list[tuple[str, bool, int, list[str], list[tuple[str, str]]]]
    ) -> None:
        key, channel = b"user:{%d}" % next(_numbers), b"channel:{%d}" % next(_numbers)
        follows = Follows()
        calls = [
            call(key, node, *itertools.chain(*pairs), connected=connected, known=known, present=present, channel=channel)
            for node, connected, known, present, pairs in operations
        ]
        with Redis(port=redis_server.port) as client, client.pubsub(ignore_subscribe_messages=False) as hearing:
            hearing.subscribe(channel)
            hearing.get_message(timeout=5)

            answers = asyncio.run(ask(redis_server, calls))
            stored: dict[bytes, bytes] = client.hgetall(key)
            client.publish(channel, b"that is all")
            told = list(itertools.takewhile(lambda data: data != b"that is all", messages(hearing)))

        expected = [follows.run(call.arguments, 0.0) for call in calls]
        assert [(born, revision, sorted(uploads)) for born, revision, *uploads in answers] == [
            (answer[0], answer[1], sorted(answer[2:])) for answer, _ in expected
        ]
        assert told == [
            CHANGE + operation[0].encode() for operation, (_, news) in zip(operations, expected, strict=True) if news
        ]
        assert {upload: value.split() for upload, value in stored.items() if upload != b"\xff"} == follows.holders

    def test_what_nobody_follows_is_not_kept(self, redis_server: RedisServer) -> None:
        key = b"user:{%d}" % next(_numbers)

        [answer] = asyncio.run(ask(redis_server, [call(key, "a", connected=True)]))

        assert answer == [b"", 0]
        assert redis_server.cli("exists", key.decode()) == "0\n"

    def test_whoever_is_connected_and_every_change_keep_it_alive(self, redis_server: RedisServer) -> None:
        key = b"user:{%d}" % next(_numbers)

        def left_s(*calls: Call) -> int:
            asyncio.run(ask(redis_server, list(calls)))
            left = int(redis_server.cli("ttl", key.decode()))
            redis_server.cli("expire", key.decode(), "10")
            return left

        assert left_s(call(key, "a", "+", "u")) == pytest.approx(60, abs=1)
        assert left_s(call(key, "a")) == pytest.approx(10, abs=1)
        assert left_s(call(key, "a", connected=True)) == pytest.approx(60, abs=1)
        assert left_s(call(key, "a")) == pytest.approx(60, abs=1)
        assert left_s(call(key, "b", "x", "u")) == pytest.approx(60, abs=1)

    def test_nodes_that_went_without_a_word_do_not_pile_up(self, redis_server: RedisServer) -> None:
        key = b"user:{%d}" % next(_numbers)
        calls = [call(key, f"{number:08x}", "+", "u", connected=True) for number in range(100)]

        asyncio.run(ask(redis_server, calls))

        assert len(redis_server.cli("hget", key.decode(), "u").split()) <= 9


def call(
    key: bytes,
    node: str,
    *pairs: str,
    connected: bool = False,
    known: int = 0,
    present: Sequence[str] = (),
    channel: bytes = b"channel",
) -> Call:
    random_id = f"{next(_numbers):x}"
    bounds = (TTL_MS, FOLLOWS_MAX)
    settings: list[bytes | int | str] = [channel, "PUBLISH", node, random_id, *bounds, int(connected), known, len(present)]
    return Call(SCRIPT, [key, b"revision of " + key], [*settings, *present, *pairs])


async def ask(server: RedisServer, calls: list[Call]) -> list[Any]:
    commands = Commands(RedisAddress.read(server.url))
    try:
        return await commands.run_all(calls)
    finally:
        await commands.close()


def messages(hearing: Any) -> Iterator[bytes]:
    while True:
        message = hearing.get_message(timeout=5)
        assert message is not None
        if message["type"] == "message":
            yield message["data"]


class TestANode:
    """What happens between a question and its answer, by a clock that a test moves."""

    def test_what_was_given_up_does_not_come_back_with_an_answer_that_was_under_way(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            happened: list[str] = []
            await follow(one, "u")
            one.manager._happened = lambda kind, fields: happened.append(kind)
            one.users.connections_changed("alice")
            await asyncio.sleep(0.015)  # asked and done, and the answer is under way

            one.manager.give_up("alice", "u", None)
            await asyncio.sleep(1)

            assert happened == ["gave_up"]
            assert middle.live() == {"user:{alice}": []}

        play(act)

    def test_of_what_was_not_answered_the_last_word_counts(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            middle.is_away = True
            one.manager.give_up("alice", "u", None)
            await asyncio.sleep(0.005)
            one.manager.follow("alice", "u", None, lambda known: None)
            middle.is_away = False
            middle.delays = repeat(0.045)  # what is asked is done, and nobody knows
            await asyncio.sleep(0.1)
            middle.delays = repeat(0.01)
            await asyncio.sleep(1)

            assert one.manager.user_subscriptions == {"alice": {"u"}}
            assert middle.live() == {"user:{alice}": ["u"]}

        play(act)

    def test_a_follow_whose_grace_time_passed_while_redis_was_away_is_not_told(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            middle.is_away = True
            one.manager.follow("alice", "v", None, lambda known: None)
            close(one)
            await asyncio.sleep(150)
            middle.is_away = False
            await asyncio.sleep(5)

            assert middle.live() == {}
            assert len(one.users) == 0

        play(act)

    def test_the_oldest_finished_upload_makes_room_everywhere(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            other.manager.join("alice", Tab("far"))
            for upload_id in ("done", "u"):
                await one.manager.publish(completed(upload_id=upload_id), owner="alice")
                await follow(one, upload_id)
            await follow(one, "v")

            assert one.manager.user_subscriptions == other.manager.user_subscriptions == {"alice": {"u", "v"}}
            assert middle.live() == {"user:{alice}": ["u", "v"]}

        play(act, limits=Limits(uploads_per_user_max=2))

    def test_leaving_ends_though_nobody_answers(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            middle.is_away = True
            one.manager.follow("bob", "u", None, lambda known: None)
            close(one)
            began = asyncio.get_running_loop().time()

            await one.manager.disconnect_all()

            assert asyncio.get_running_loop().time() - began < 3
            assert (len(one.users), one.wanted) == (0, {})

        play(act)

    def test_whoever_comes_while_others_leave_stays(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            close(one)
            leaving = asyncio.create_task(one.manager.disconnect_all())
            await asyncio.sleep(0.005)
            one.manager.join("alice", Tab("back"))
            await leaving
            await asyncio.sleep(1)

            assert one.manager.user_subscriptions == {"alice": {"u"}}
            assert middle.hashes[b"user:{alice}"].holders == {b"u": [b"one"]}
            assert len(one.users) == 1

        play(act)

    def test_an_answer_that_comes_after_all_has_been_given_up_harms_nobody(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            middle.delays = repeat(10.0)
            one.users.connections_changed("alice")
            await asyncio.sleep(0.001)
            close(one)
            await one.manager.disconnect_all()
            middle.delays = repeat(0.01)
            await asyncio.sleep(30)
            await follow(one, "v")

            assert one.manager.user_subscriptions == {"alice": {"u", "v"}}

        play(act)

    def test_a_node_says_goodbye_after_what_it_had_asked(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            tab = Tab("far")
            other.manager.join("alice", tab)
            await asyncio.sleep(0.025)  # the channel is heard, and what was asked is done
            assert middle.hashes[b"user:{alice}"].holders == {b"u": [b"one", b"other"]}
            other.manager.leave("alice", tab)
            await asyncio.sleep(1)

            assert middle.hashes[b"user:{alice}"].holders == {b"u": [b"one"]}
            assert len(other.users) == 0

        play(act)

    def test_what_ended_for_strangers_is_bounded_while_redis_is_away(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            middle.is_away = True
            for number in range(GONE_MAX + 10):
                one.manager.give_up(f"stranger {number}", "u", None)
            assert len(one.users) == GONE_MAX

            for number in range(3_000):
                one.manager.give_up("stranger 99", f"u{number}", None)
            assert len(one.users._users["stranger 99"].unsaid) <= 2_000

        play(act)

    def test_after_the_stop_nothing_is_passed_on(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            tabs = Tab("one"), Tab("other")
            for node, tab in zip((one, other), tabs, strict=True):
                node.manager.join("alice", tab)
            await asyncio.sleep(1)
            await other.users.stop()

            await one.manager.send_to_user("alice", {"action": "note"})
            await asyncio.sleep(1)

            assert [len(tab.direct) for tab in tabs] == [1, 0]

        play(act)

    def test_what_a_user_as_a_whole_gives_up_ends_where_the_user_is(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            other.manager.give_up("alice", "u", None)
            await asyncio.sleep(1)

            assert one.manager.user_subscriptions == {}
            assert len(other.users) == 0

        play(act)

    def test_what_is_given_up_before_the_first_connection_leaves_nothing(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            one.manager.follow("alice", "u", None, lambda known: None)
            await asyncio.sleep(1)
            one.manager.give_up("alice", "u", None)
            await asyncio.sleep(1)

            assert (len(one.users), one.wanted, set(sizes(one.manager))) == (0, {}, {"grace"})

        play(act)

    def test_the_grace_time_ends_where_everything_was_given_up_elsewhere(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            close(one)
            other.manager.give_up("alice", "u", None)
            await asyncio.sleep(1)

            assert one.manager.leaves_in_s("alice") is None
            assert (len(one.users), one.wanted) == (0, {})

        play(act)

    def test_a_user_in_the_grace_time_hears_what_others_change(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            await follow(one, "u")
            close(one)
            await follow(other, "v")

            assert one.manager.user_subscriptions == {"alice": {"u", "v"}}

        play(act)

    def test_who_waits_for_a_first_connection_here_waits_no_longer_than_the_grace_time(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            one.manager.follow("alice", "u", None, lambda known: None)
            await asyncio.sleep(90)
            assert one.manager.user_subscriptions == {"alice": {"u"}}

            await asyncio.sleep(15)
            assert one.manager.user_subscriptions == {}
            assert middle.live() == {"user:{alice}": ["u"]}

        play(act)

    def test_it_tries_again_at_once_where_only_one_look_failed(self) -> None:
        async def act(middle: Middle, one: Node, other: Node) -> None:
            middle.is_away = True
            one.manager.join("alice", Tab("tab"))
            one.manager.follow("alice", "u", None, lambda known: None)
            await asyncio.sleep(0.1)
            middle.is_away = False
            await asyncio.sleep(RETRY_S + 0.1)

            assert middle.live() == {"user:{alice}": ["u"]}

        play(act)


async def follow(node: Node, upload_id: str) -> None:
    """On a tab there; returns when all is settled."""
    if "alice" not in node.manager.registry.users:
        node.manager.join("alice", Tab("tab"))
    [tab, *_] = node.manager.registry.users["alice"].connections
    node.manager.follow("alice", upload_id, tab, lambda known: None)
    await asyncio.sleep(1)


def close(node: Node) -> None:
    """Every tab of alice there."""
    for tab in list(node.manager.registry.users["alice"].connections):
        node.manager.leave("alice", tab)


def play(act: Callable[[Middle, Node, Node], Any], limits: Limits | None = None) -> None:
    async def main() -> None:
        middle = Middle(repeat(0.01))
        one, other = (Node(middle, name, limits or Limits(grace_s=100.0)) for name in ("one", "other"))
        async with one.manager, other.manager:
            await act(middle, one, other)

    run(main())
