"""Nodes around a middle where nothing goes wrong, and everything takes its time."""

import asyncio

import pytest

from tests.events import completed, progress, read
from tests.simulation.hub.around import Around, Node, play, settled, soon
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.dice import Exponential, Spread

SLOW = Spread(0.0, 0.2)


def test_what_is_published_at_one_node_is_told_at_all_that_watch() -> None:
    async def act(around: Around, one: Node, other: Node, third: Node) -> None:
        for node in (one, other):
            node.watch("u")
        await soon()
        first = await one.publish(progress(upload_id="u"), "alice")
        second = await third.publish(completed(upload_id="u"))
        await soon()

        assert (first.receivers, second.receivers) == (2, 2)
        assert one.versions("u") == other.versions("u") == [(1, 1), (1, 2)]
        assert other.newest["u"].owner == "alice"
        assert third.told == []

    play(act, count=3)


@pytest.mark.parametrize("at_once", [0.0, 1.0])
def test_who_watches_later_finds_what_was_published_anywhere(at_once: float) -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        await one.publish(completed(upload_id="u"))
        other.watch("u")
        found_at_once = list(other.found["u"])
        await soon()

        assert other.found["u"] == [(1, 1)]
        assert found_at_once == other.found["u"][: int(at_once)]
        assert await other.head("u") == (1, 1)
        assert other.told == []

    play(act, at_once=at_once)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [0.0, 0.5])
def test_between_what_is_found_and_what_is_told_nothing_is_missing(seed: int, at_once: float) -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        publishing = [asyncio.ensure_future(one.publish(progress(upload_id="u", number=number))) for number in range(50)]
        for number in range(20):
            other.watch("u")
            await asyncio.sleep(0.01 * (number % 7))
            other.unwatch("u")
        other.watch("u")
        await asyncio.gather(*publishing)
        await settled()

        assert other.newest["u"].version == (1, 50)

    play(act, seed=seed, delays=SLOW, at_once=at_once)


def test_verdict_and_event_race() -> None:
    orders = set()

    async def act(around: Around, one: Node) -> None:
        one.watch("u")
        await settled()
        for number in range(20):
            receipt = await one.publish(progress(upload_id="u", number=number))
            orders.add(receipt.version in one.versions("u"))
            await settled()

    play(act, count=1)

    assert orders == {True, False}


def test_what_a_node_publishes_at_once_may_be_judged_in_any_order() -> None:
    async def act(around: Around, one: Node) -> list[tuple[int, int] | None]:
        published = [progress(upload_id="u", number=number) for number in range(30)]
        return [receipt.version for receipt in await asyncio.gather(*map(one.publish, published))]

    versions = play(act, count=1, delays=SLOW)

    assert versions != sorted(versions)
    assert sorted(versions) == [(1, seq) for seq in range(1, 31)]


@pytest.mark.parametrize("delays", [Spread(0.0, 0.0), SLOW, Exponential(0.05)])
def test_the_same_seed_is_the_same_run(delays: Spread) -> None:
    async def act(around: Around, *nodes: Node) -> object:
        happened: list[object] = []
        around.hub.middle.listen(lambda upload_id, head: happened.append((around.loop.time(), upload_id, head.version)))
        for number in range(40):
            node, upload_id = nodes[number % 3], f"u{number % 4}"
            if upload_id not in node.found:
                node.watch(upload_id)
            around.hub.barrier(node.name).cut_off() if number % 9 == 4 else around.hub.barrier(node.name).heal()
            publishing = asyncio.ensure_future(node.publishes(progress(upload_id=upload_id, number=number)))
            publishing.add_done_callback(lambda done: happened.append((around.loop.time(), done.result())))
            await asyncio.sleep(0.3)
        around.hub.heal()
        await settled()
        return happened, [(node.told, node.found, node.broker.health) for node in nodes]

    runs = [play(act, count=3, seed=seed, delays=delays) for seed in (1, 1, 2)]

    assert runs[0] == runs[1]
    assert runs[0] != runs[2] or delays == Spread(0.0, 0.0)


def test_a_paused_node_is_told_when_it_goes_on_and_loses_nothing() -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        other.watch("u")
        await soon()
        around.loop.pause(other.process)
        for number in range(3):
            await one.publish(progress(upload_id="u", number=number))
        await asyncio.sleep(60)
        assert other.told == []

        around.loop.resume(other.process)
        await soon()

        assert other.versions("u")[-1] == (1, 3)
        assert other.broker.health.gaps == 0

    play(act)


def test_a_dead_node_is_told_nothing_and_its_successor_everything() -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        other.watch("u")
        await soon()
        around.kill(other)
        receipt = await one.publish(progress(upload_id="u"))
        assert receipt.receivers == 0

        again = await around.start("node:1")
        assert again.broker.node_id != other.broker.node_id
        again.watch("u")
        await soon()
        assert again.found["u"] == [(1, 1)]
        assert other.told == []

    play(act)


def test_what_a_node_had_sent_before_it_died_arrives() -> None:
    async def act(around: Around, one: Node, other: Node) -> None:
        other.process.start(other.broker.publish(read(progress(upload_id="u"))))
        await asyncio.sleep(0)
        around.kill(other)
        await soon()

        assert await one.head("u") == (1, 1)

    play(act)


def test_what_nobody_watches_grows_old() -> None:
    async def act(around: Around, one: Node) -> None:
        for upload_id in ("u", "v"):
            await one.publish(progress(upload_id=upload_id))
        one.watch("u")
        await asyncio.sleep(50)
        one.unwatch("u")
        await asyncio.sleep(50)

        assert (await one.head("u"), await one.head("v")) == ((1, 1), None)
        await asyncio.sleep(15)
        assert await one.head("u") is None

    play(act, count=1, limits=Limits(head_ttl_s=60))
