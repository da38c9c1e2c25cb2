"""Nodes around a real Redis: who is there, and what they say when they are asked."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.brokers.benches import until
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis import faults, nodes
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.brokers.redis.link import Link, pack
from vuemantics_ws.core.upload import Head

WITHIN_S = 60.0

Act = Callable[[list[RedisBroker]], Awaitable[Any]]


def with_nodes(url: str, prefix: str, act: Act, names: str = "abc", **handlers: Any) -> Any:
    """Brokers of nodes with these names that know each other. Each answers with its name what it was asked."""

    async def scenario() -> Any:
        async with asyncio.timeout(WITHIN_S), AsyncExitStack() as stack:
            brokers = []
            for name in names:
                broker = made(url, prefix, name, **handlers)
                await broker.start(nobody)
                stack.push_async_callback(broker.stop)
                brokers.append(broker)
            await until(lambda: all(len(broker.nodes.others()) == len(names) - 1 for broker in brokers))
            return await act(brokers)

    return asyncio.run(scenario())


def made(url: str, prefix: str, name: str, **handlers: Any) -> RedisBroker:
    async def echo(asked: dict[str, Any]) -> dict[str, Any]:
        return {"of": name, **asked}

    broker = RedisBroker(url, prefix=prefix, adopt=False)
    broker.nodes.introduce(lambda: {"name": name, "state": "ready"}, {"echo": echo, **handlers})
    return broker


def nobody(upload_id: str, head: Head) -> None:
    """Nothing is delivered here."""


def names_of(broker: RedisBroker) -> list[str]:
    return sorted(other["name"] for other in broker.nodes.others())


class TestPresence:
    def test_each_knows_the_others_and_not_itself(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            return [names_of(broker) for broker in brokers], [sorted(broker.nodes.present()) for broker in brokers]

        names, ids = with_nodes(redis.url, prefix, act)

        assert names == [["b", "c"], ["a", "c"], ["a", "b"]]
        assert ids[0] == ids[1] == ids[2]
        assert len(set(ids[0])) == 3

    def test_one_that_is_not_introduced_is_present_and_neither_shown_nor_missing(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            stranger = RedisBroker(redis.url, prefix=prefix, adopt=False)
            await stranger.start(nobody)
            try:
                await until(lambda: all(stranger.node_id in broker.nodes.present() for broker in brokers))
                await until(lambda: len(stranger.nodes.others()) == 2)
                return (
                    [names_of(broker) for broker in brokers],
                    await brokers[0].nodes.ask("echo", {}),
                    await stranger.nodes.ask("echo", {}),
                )
            finally:
                await stranger.stop()

        names, of_one, of_the_stranger = with_nodes(redis.url, prefix, act, "ab")

        assert names == [["b"], ["a"]]
        assert of_one == ([{"of": "b"}], [])
        assert of_the_stranger == ([{"of": "a"}, {"of": "b"}], [])

    @pytest.mark.slow
    def test_one_that_was_killed_is_gone_after_a_while(
        self, redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes, "PRESENT_S", 1.0)
        monkeypatch.setattr(nodes, "RENEWED_S", 0.1)

        async def act(brokers: list[RedisBroker]) -> int:
            a, b, _ = brokers
            keeping = b.nodes._keeping
            assert keeping is not None
            keeping.cancel()
            await until(lambda: names_of(a) == ["c"])
            await until(lambda: redis.cli("hlen", f"{prefix}nodes").strip() == "2")
            return len(a.nodes.present())

        assert with_nodes(redis.url, prefix, act) == 2

    def test_when_all_are_gone_nothing_is_left(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> str:
            return redis.cli("ttl", f"{prefix}nodes").strip()

        lasts_s = int(with_nodes(redis.url, prefix, act))

        assert 0 < lasts_s <= nodes.PRESENT_S
        assert redis.cli("exists", f"{prefix}nodes").strip() == "0"

    def test_the_least_that_a_user_of_redis_needs_is_enough(self, own_redis: RedisServer, prefix: str) -> None:
        rules = faults.PERMISSION_HINT.replace("prefix", prefix).removeprefix("ACL SETUSER name ").split()
        own_redis.cli("acl", "setuser", "node", "on", *rules)

        async def act(brokers: list[RedisBroker]) -> Any:
            return await brokers[0].nodes.ask("echo", {})

        answers = with_nodes(own_redis.url.replace("//", "//node:password@"), prefix, act)

        assert answers.missing == []
        assert own_redis.cli("acl", "log").strip() == ""


class TestAsking:
    def test_all_others_answer_or_the_one_that_was_asked(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            a, b, _ = brokers
            return await a.nodes.ask("echo", {"n": 1}), await a.nodes.ask("echo", {"n": 2}, node_id=b.node_id)

        every, one = with_nodes(redis.url, prefix, act)

        assert every.answers == [{"of": "b", "n": 1}, {"of": "c", "n": 1}], (
            "always in the same order, so that tables stand still"
        )
        assert (one.answers, every.missing, one.missing) == ([{"of": "b", "n": 2}], [], [])

    def test_many_questions_at_once_get_their_own_answers(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            asking = [broker.nodes.ask("echo", {"n": number}) for number in range(20) for broker in brokers]
            return await asyncio.gather(*asking)

        for place, said in enumerate(with_nodes(redis.url, prefix, act)):
            assert [answer["n"] for answer in said.answers] == [place // 3] * 2

    def test_what_nobody_knows_goes_wrong_or_is_too_big_is_missing_by_name(
        self, redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(asked: dict[str, Any]) -> dict[str, Any]:
            raise ValueError("canary-5f1d")

        async def huge(asked: dict[str, Any]) -> dict[str, Any]:
            return {"text": "x" * nodes.ANSWER_BYTES_MAX}

        async def act(brokers: list[RedisBroker]) -> Any:
            asked = [await brokers[0].nodes.ask(question, {}) for question in ("unheard of", "broken", "huge")]
            return asked, await brokers[0].nodes.ask("echo", {}), brokers[0].health.gaps

        with caplog.at_level(logging.ERROR):
            asked, after, gaps = with_nodes(redis.url, prefix, act, broken=broken, huge=huge)

        assert [(said.answers, sorted(said.missing)) for said in asked] == [([], ["b", "c"])] * 3
        assert (len(after.answers), gaps) == (2, 0)
        assert "a fault of ours while another node was answered: ValueError" in caplog.text
        assert "canary-5f1d" not in caplog.text

    def test_whoever_asks_too_much_gets_no_answer_and_leaves_no_task(
        self, redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes, "QUESTIONS_MAX", 1)
        monkeypatch.setattr(nodes, "ASK_TIMEOUT_S", 0.4)

        async def hang(asked: dict[str, Any]) -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def act(brokers: list[RedisBroker]) -> Any:
            a, b = brokers
            hanging = asyncio.ensure_future(a.nodes.ask("hang", {}))
            await until(lambda: bool(b.nodes._answering))
            said = [await a.nodes.ask("echo", {}), await hanging]
            await until(lambda: not b.nodes._answering)
            return [one.missing for one in said], await a.nodes.ask("echo", {})

        missing, after = with_nodes(redis.url, prefix, act, "ab", hang=hang)

        assert missing == [["b"], ["b"]]
        assert after.answers == [{"of": "b"}]

    def test_what_cannot_be_read_is_passed_over(self, redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            a, b = brokers
            for message in ("ask", "ask {}", "answer 7", "hello", "goodbye \\xff", "", "what is this"):
                for channel in (a.keys.nodes_channel, b.keys.node_channel(b.node_id)):
                    redis.cli("publish", channel.decode(), message)
            return await a.nodes.ask("echo", {})

        assert with_nodes(redis.url, prefix, act, "ab").answers == [{"of": "b"}]

    def test_whoever_listens_and_is_no_node_is_not_waited_for(
        self, redis: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nodes, "ASK_TIMEOUT_S", 10 * WITHIN_S)

        async def act(brokers: list[RedisBroker]) -> Any:
            channel = brokers[0].keys.nodes_channel
            stranger = await Link.open(brokers[0].address, brokers[0].address.endpoints[0])
            stranger.listen(lambda reply: None, lambda: None)
            stranger.send(pack(b"SUBSCRIBE", channel))
            await until(lambda: redis.cli("pubsub", "numsub", channel.decode()).split()[-1] == "3")
            said = await brokers[0].nodes.ask("echo", {})
            stranger.drop("the test is over")
            return said

        said = with_nodes(redis.url, prefix, act, "ab")

        assert (said.answers, said.missing) == ([{"of": "b"}], [])

    def test_while_redis_is_away_all_others_are_missing_at_once(self, own_redis: RedisServer, prefix: str) -> None:
        async def act(brokers: list[RedisBroker]) -> Any:
            own_redis.kill()
            return await brokers[0].nodes.ask("echo", {})

        said = with_nodes(own_redis.url, prefix, act)

        assert (said.answers, sorted(said.missing)) == ([], ["b", "c"])
