"""An upload whose worker has gone ends as failed, for everybody who follows it; a worker that comes back goes on."""

import asyncio
from typing import Any

import pytest

from tests import events
from tests.gateway.nodes import browser, completed, event, gateway
from vuemantics_ws.core.upload import Event, Head, Verdict
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.silent_uploads import LOOKED_AT_ONCE, SilentUploads


class SettableClock:
    """Ages are what the test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


async def publish(node: Gateway, said: bytes) -> tuple[Verdict, tuple[int, int] | None]:
    receipt = await node.publish(Event.read(said))
    return receipt.verdict, receipt.version


def test_a_follower_of_an_upload_whose_worker_has_gone_learns_that_it_failed() -> None:
    async def scenario() -> list[dict[str, Any]]:
        async with gateway(stall_after_s=0.1) as node, browser(node, "alice") as tab:
            await tab.subscribe("up")
            await publish(node, event("up", 63))
            return [await tab.next(), await tab.next()]

    shown, ended = asyncio.run(scenario())

    assert shown["payload"]["progress_percent"] == 63
    assert (ended["action"], ended["attempt"], ended["seq"]) == ("upload_failed", 1, 2)
    assert ended["error_message"] == "Nothing was heard of it for 100ms"


def test_the_worker_that_comes_back_opens_the_next_attempt_with_a_version_or_without() -> None:
    async def scenario() -> list[Any]:
        async with gateway(stall_after_s=0.1) as node, browser(node, "alice") as tab:
            for upload_id in ("plain", "versioned"):
                await tab.subscribe(upload_id)
            await publish(node, event("plain"))
            await publish(node, event("versioned", version=(1, 1)))
            while [(await tab.next())["action"], (await tab.next())["action"]] != ["upload_failed"] * 2:
                pass
            return [
                await publish(node, event("plain", number=1)),
                await publish(node, event("versioned", version=(1, 9))),
                await publish(node, event("versioned", version=(2, 1))),
            ]

    assert asyncio.run(scenario()) == [
        (Verdict.ACCEPTED, (2, 1)),
        (Verdict.AFTER_TERMINAL, (1, 2)),
        (Verdict.ACCEPTED, (2, 1)),
    ]


def test_only_a_followed_upload_that_has_begun_and_not_ended_is_ended_and_only_when_its_time_is_over() -> None:
    async def scenario() -> tuple[list[Any], list[Any]]:
        clock = SettableClock()
        async with gateway(clock=clock) as node, browser(node, "alice") as tab:
            for upload_id in ("silent", "ended", "nothing", "busy"):
                await tab.subscribe(upload_id)
            for said in (event("silent"), completed("ended"), event("alone"), event("busy")):
                await publish(node, said)
            silent = SilentUploads(node.manager, clock, stall_after_s=60.0)
            clock.now += 59.9
            await publish(node, event("busy", number=1))
            await silent.look()
            before = [await node.head(upload_id) for upload_id in ("silent", "ended", "alone", "busy", "nothing")]
            clock.now += 0.1
            await silent.look()
            after = [await node.head(upload_id) for upload_id in ("silent", "ended", "alone", "busy", "nothing")]
            return before, after

    before, after = asyncio.run(scenario())

    assert [head is not None and head.terminal for head in before] == [False, True, False, False, False]
    assert [head is not None and head.terminal for head in after] == [True, True, False, False, False]
    assert after[1:] == before[1:]


def test_an_upload_that_moves_at_the_last_moment_is_left_alone() -> None:
    async def scenario() -> tuple[Verdict, Any]:
        clock = SettableClock()
        async with gateway(clock=clock) as node, browser(node, "alice") as tab:
            await tab.subscribe("up")
            await publish(node, event("up", version=(1, 1)))
            head = await node.head("up")
            assert head is not None
            presumed = SilentUploads(node.manager, clock, stall_after_s=60.0).end_of("up", head)
            await publish(node, event("up", version=(1, 2), number=1))
            return (await node.publish(presumed)).verdict, await node.head("up")

    verdict, head = asyncio.run(scenario())

    assert verdict is Verdict.STALE
    assert not head.terminal


def test_a_presumed_end_belongs_to_the_owner_of_the_upload() -> None:
    async def scenario() -> dict[str, Any]:
        async with gateway(stall_after_s=0.1, access="owner") as node, browser(node, "alice") as tab:
            await tab.subscribe("up")
            await node.publish(Event.read(events.progress(upload_id="up"), owner="alice"))
            await tab.next()
            return await tab.next()

    assert asyncio.run(scenario())["action"] == "upload_failed"


def test_one_upload_that_cannot_be_ended_keeps_no_other_alive(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> list[tuple[str, bool]]:
        clock = SettableClock()
        async with gateway(clock=clock) as node, browser(node, "alice") as tab:
            for upload_id in ("bad", "good"):
                await tab.subscribe(upload_id)
                await publish(node, event(upload_id))
            clock.now += 60
            silent = Stubborn(node.manager, clock, stall_after_s=10)
            await silent.look()
            return [(name, head.terminal) for name in ("bad", "good") if (head := await node.head(name)) is not None]

    assert asyncio.run(scenario()) == [("bad", False), ("good", True)]
    assert "ending a silent upload" in caplog.text


def test_a_look_at_many_uploads_gives_everybody_else_a_turn() -> None:
    async def scenario() -> int:
        async with gateway() as node:
            for number in range(5 * LOOKED_AT_ONCE):
                await node.manager.subscribe_upload(f"user-{number % 10}", f"u{number}")
            looking = asyncio.ensure_future(SilentUploads(node.manager, node.clock, stall_after_s=10).look())
            turns = 0
            while not looking.done():
                await asyncio.sleep(0)
                turns += 1
            return turns

    assert asyncio.run(scenario()) >= 5


class Stubborn(SilentUploads):
    def end_of(self, upload_id: str, head: Head) -> Event:
        if upload_id == "bad":
            raise ValueError("a fault of ours")
        return super().end_of(upload_id, head)
