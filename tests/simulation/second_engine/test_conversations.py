"""How connections begin and end on an engine that is not ours: the production gateway, and clients of the library's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.gateway.nodes import Client
from tests.simulation.second_engine import plays
from tests.simulation.second_engine.engine import engine, explore, needs_engine
from tests.simulation.second_engine.stage import NODE, PORT, UPLOADS, Stage, opened
from vuemantics_ws.gateway.timers import RESOLUTION_S

pytestmark = needs_engine

SEEDS = 10
ARRIVES_S = 0.5
"""More than whatever is under way takes."""


@asynccontextmanager
async def guest(**options: Any) -> AsyncIterator[Client]:
    """Connected, not authenticated."""
    async with connect("ws://node/ws/uploads", host=NODE, port=PORT, proxy=None, compression=None, **options) as socket:
        yield Client(socket)


@asynccontextmanager
async def alice(stage: Stage, *, lasts_s: float = 3600.0, **options: Any) -> AsyncIterator[Client]:
    """Connected and authenticated."""
    async with guest(**options) as joined:
        await joined.send(type="auth", token=stage.node.authenticator.mint("alice", lasts_s))
        assert await joined.next() == {"action": "auth_success", "user_id": "alice"}
        yield joined


@pytest.mark.parametrize(
    ("said", "answers", "code"),
    [
        ([{"action": "ping"}], ["Authentication required"], 4002),
        ([{"type": "auth", "token": "forged"}], ["Invalid token"], 4003),
        (["{not json"], [], 4004),
        ([b"binary"], [], 1003),
        ([{"type": "auth", "token": "x" * 9_000}], [], 1009),
        ([], ["Authentication timeout"], 4001),
    ],
)
def test_whoever_does_not_authenticate_is_told_so_and_sent_away(said: list[Any], answers: list[str], code: int) -> None:
    async def program() -> None:
        async with opened(), guest() as stranger:
            for message in said:
                await stranger.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

            assert [message["message"] for message in await stranger.rest()] == answers
            assert stranger.socket.close_code == code

    explore(program, seeds=SEEDS)


def test_the_auth_deadline_counts_from_the_upgrade_and_pings_do_not_put_it_off() -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        async with opened(auth_timeout_s=5.0), guest(ping_interval=1.0) as stranger:
            began_at = loop.time()
            assert await stranger.close_code() == 4001

            assert 5.0 - ARRIVES_S <= loop.time() - began_at <= 5.0 + RESOLUTION_S + ARRIVES_S

    explore(program, seeds=SEEDS)


def test_a_connection_ends_when_its_token_expires() -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        async with opened() as stage, alice(stage, lasts_s=60.0) as tab:
            code = await tab.close_code()

            assert code == 4005
            assert 60.0 - ARRIVES_S <= loop.time() <= 60.0 + RESOLUTION_S + ARRIVES_S

    explore(program, seeds=SEEDS)


def test_what_cannot_be_read_is_answered_and_the_connection_stays() -> None:
    async def program() -> None:
        async with opened() as stage, alice(stage) as tab:
            for nonsense in ("nonsense", "[]", '{"action": "fly"}'):
                await tab.socket.send(nonsense)
                complaint = await tab.next()
                assert (complaint["action"], complaint["code"]) == ("error", "bad_message")

            assert (await tab.subscribe(UPLOADS["cat"]))["action"] == "subscribed"

    explore(program, seeds=SEEDS)


def test_a_foreign_upload_looks_as_an_unknown_one_does() -> None:
    async def program() -> None:
        async with opened() as stage, alice(stage) as tab:
            await stage.publishes("dog", percent=10)

            for upload_id in (UPLOADS["dog"], "never-published"):
                answer = await tab.subscribe(upload_id)
                assert (answer["action"], answer["known"]) == ("subscribed", False)
            await stage.publishes("dog", ends=True)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tab.next(), ARRIVES_S)

    explore(program, seeds=SEEDS)


def test_who_says_nothing_is_closed_as_silent_and_who_is_cut_off_leaves_nothing() -> None:
    """A tab vanishes in the middle: its network holds what it says, and what is said to it."""

    async def program() -> None:
        async with opened(silence_timeout_s=40.0, silence_grace_s=10.0) as stage:
            stage.opens("desk", "cat")
            await asyncio.sleep(ARRIVES_S)
            engine().net.partition({"desk"}, {NODE})
            await asyncio.sleep(49.0)
            assert stage.node.statistics()["tables"]["connections"] == 1

            await asyncio.sleep(5.0)
            assert stage.node.manager.counters.closes == {4009: 1}
            assert stage.left() == {}
            engine().net.heal()

    explore(program, seeds=SEEDS)


def test_who_takes_nothing_is_aborted_and_who_takes_a_little_is_not() -> None:
    async def program() -> None:
        async with opened(stall_timeout_s=30.0, write_buffer_bytes_max=1024, slow={"desk": 0.0, "phone": 0.0}) as stage:
            desk, phone = stage.opens("desk", "cat"), stage.opens("phone", "cat")
            await asyncio.sleep(ARRIVES_S)
            desk.read_at(0.01)
            phone.read_at(300.0)
            for percent in range(60):
                await stage.publishes("cat", percent=percent, text="x" * 1_000)
                await asyncio.sleep(1.0)

            assert stage.node.manager.counters.closes == {4008: 1}
            assert phone.is_open

    explore(program, seeds=SEEDS // 2)


def test_the_grace_time_ends_when_it_should() -> None:
    async def program() -> None:
        await plays.somebody_comes_back(4.0, finds=False)

    explore(program, seeds=SEEDS)
