"""What plain publishers say around a simulated middle."""

import asyncio

import pytest

from tests.events import completed, progress
from tests.simulation.hub.around import Around, Node, play, settled, soon


def test_several_adopters_make_one_version_and_each_tells_what_became_of_it() -> None:
    async def act(around: Around, one: Node, other: Node, third: Node) -> None:
        third.watch("u")
        await soon()
        for number in range(3):
            assert around.hub.say_plainly(progress(upload_id="u", number=number)) == 3
        assert around.hub.say_plainly(completed(upload_id="u")) == 3
        await soon()

        assert third.newest["u"].version == (1, 4)
        assert third.newest["u"].terminal
        for node in (one, other, third):
            assert sum(node.broker.adopted.values()) == 4
            assert len(node.adopted) == 4
        assert sum(node.broker.adopted["accepted"] for node in (one, other, third)) == 4

    play(act, count=3)


def test_without_an_adopter_nobody_hears_it_and_health_says_so() -> None:
    async def act(around: Around) -> None:
        node = await around.start("node:0", adopts=False)
        await settled()
        assert around.hub.say_plainly(progress(upload_id="u")) == 0
        assert node.broker.health.adopts is False
        assert node.broker.adopted == {}
        assert await node.head("u") is None

    play(act, count=0)


def test_what_cannot_be_read_is_counted() -> None:
    async def act(around: Around, one: Node) -> None:
        around.hub.say_plainly(b"{")
        around.hub.say_plainly(progress(upload_id="u", text="x" * 70_000))
        await soon()
        assert one.broker.adopted == {"bad_event": 1, "too_big": 1}

    play(act, count=1)


@pytest.mark.parametrize("how", ["down", "hang"])
def test_what_was_being_submitted_is_submitted_again_in_its_order(how: str) -> None:
    async def act(around: Around, one: Node) -> None:
        one.watch("u")
        await settled()
        for number in range(5):
            around.hub.say_plainly(progress(upload_id="u", number=number))
            await asyncio.sleep(0.0007)
        if how == "down":
            around.hub.down()
        else:
            around.hub.hang()
        await asyncio.sleep(3)
        around.hub.heal()
        await settled()
        around.hub.say_plainly(completed(upload_id="u"))
        await soon()

        heard = [event for event, receipt in one.adopted if receipt.verdict == "accepted"]
        assert one.newest["u"].terminal
        assert one.newest["u"].version == (1, len(heard))
        assert heard == sorted(heard, key=lambda event: (event.terminal, event.published))
        assert len(heard) == 6 if how == "hang" else 2 <= len(heard) <= 6

    play(act, count=1)


def test_what_is_said_while_it_is_down_is_lost() -> None:
    async def act(around: Around, one: Node) -> None:
        around.hub.down()
        assert around.hub.say_plainly(progress(upload_id="u")) == 0
        around.hub.up()
        await settled()
        assert await one.head("u") is None

    play(act, count=1)


def test_an_adopter_that_is_far_behind_leaves_it_to_the_others() -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        around.loop.pause(other.process)
        around.hub.say_plainly(progress(upload_id="u"))
        await asyncio.sleep(31)
        around.loop.resume(other.process)
        await soon()
        assert (one.broker.adopted, other.broker.adopted) == ({"accepted": 1}, {"late": 1})

    play(act)
