"""Nothing that runs for as long as the process does ends by a fault of ours: it is said in the log, and the next turn comes."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.brokers.benches import RedisBench, until
from tests.brokers.redis.hearing import hearing, run
from tests.brokers.redis.opening import with_broker
from tests.events import progress
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis import adopter as adopter_module
from vuemantics_ws.brokers.users import Stand
from vuemantics_ws.limits import Limits


class Failing:
    """Stands before a function, and raises instead of the first call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise ValueError("secret")
        return self._function(*arguments, **named)


@pytest.fixture(autouse=True)
def _is_said(caplog: pytest.LogCaptureFixture) -> Any:
    """Once, and without what may quote somebody's data."""
    caplog.set_level(logging.ERROR)
    yield
    said = [record.getMessage() for record in caplog.get_records("call")]
    assert ["a fault of ours" in words and words.endswith("ValueError") for words in said] == [True], said


def test_other_heads_are_read(redis_server: RedisServer) -> None:
    async def act(bench: RedisBench) -> None:
        upkeep = bench.broker._upkeep
        await bench.publish(progress(upload_id="v"))
        upkeep._read = read = Failing(upkeep._read)
        bench.broker.watch("u", lambda head: None)
        await until(lambda: read.calls >= 1)

        [head] = await bench.watch("v")

        assert head is not None

    with_broker(redis_server.url, act)


@pytest.mark.slow
def test_heads_are_renewed_in_the_next_round(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(bench: RedisBench) -> None:
        renew = Failing(bench.broker._heads.renew)
        monkeypatch.setattr(bench.broker._heads, "renew", renew)
        await bench.watch("u")

        await until(lambda: renew.calls > 1)

    with_broker(redis_server.url, act, limits=Limits(head_ttl_s=2))


class Here:
    """A node whose every user follows nothing."""

    def __init__(self) -> None:
        self.converged: list[str] = []

    def stand(self, user_id: str) -> Stand:
        return Stand((), is_connected=True, given_up=())

    def converge(self, user_id: str, **_: Any) -> None:
        self.converged.append(user_id)

    def said_to_user(self, user_id: str, payload: bytes) -> None:
        raise AssertionError

    def said_of_upload(self, upload_id: str, payload: bytes) -> None:
        raise AssertionError


def test_other_users_are_looked_at(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(bench: RedisBench) -> None:
        here = Here()
        monkeypatch.setattr(here, "converge", Failing(here.converge))
        users = bench.broker.users
        users.start(here)
        for user_id in ("alice", "bob"):
            users.connections_changed(user_id)

        await until(lambda: "bob" in here.converged)

    with_broker(redis_server.url, act)


def test_a_node_stays_present(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(bench: RedisBench) -> None:
        nodes = bench.broker.nodes
        about = Failing(lambda: {"name": "a", "state": "ready"})
        nodes.introduce(about, {})
        nodes.changed()
        await until(lambda: about.calls >= 1)
        redis_server.cli("hdel", bench.broker.keys.nodes.decode(), nodes.node_id)
        nodes.changed()

        await until(lambda: redis_server.cli("hlen", bench.broker.keys.nodes.decode()).strip() == "1")

    with_broker(redis_server.url, act)


def test_plain_messages_are_marked(redis_server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopter_module, "MARK_EVERY_S", 0.05)

    async def act(bench: RedisBench) -> None:
        assert bench.broker.adopter is not None
        on_mark = Failing(bench.broker.adopter.on_mark)
        on_mark.calls = 1  # hears, and does not fail
        monkeypatch.setattr(bench.broker.adopter, "on_mark", on_mark)
        await until(lambda: on_mark.calls > 1)
        monkeypatch.setattr(bench.broker.commands, "execute", execute := Failing(bench.broker.commands.execute))
        await until(lambda: execute.calls > 1)
        heard = on_mark.calls

        await until(lambda: on_mark.calls > heard)

    with_broker(redis_server.url, act, adopt=True, plain_prefix=prefix)


def test_connections_are_opened_again(redis_server: RedisServer) -> None:
    async def main() -> None:
        async with hearing(redis_server.port) as (here, publish):
            (hearer,) = await here.subscribe(b"x")
            here.subscriptions._changed = Failing(here.subscriptions._changed)
            redis_server.cli("client", "kill", "type", "pubsub")

            await until(lambda: here.condition.gaps == 1 and here.condition.connected and hearer.subscribed == 2)
            await publish(b"x", b"1")
            await until(lambda: hearer.told == [b"1"])

    run(main())
