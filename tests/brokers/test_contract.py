"""What every broker promises, run over each of them. A new broker adds its factory here and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.events import completed, progress
from vuemantics_ws.brokers.base import Broker, Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.core.upload import Event, Head, Verdict, Version
from vuemantics_ws.limits import Limits


class SettableClock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Node:
    """Whoever watches: what it found and what it was told, in order."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.told: list[tuple[str, Version]] = []

    def deliver(self, upload_id: str, head: Head) -> None:
        self.told.append((upload_id, head.version))

    async def watch(self, upload_id: str) -> Head | None:
        found: asyncio.Future[Head | None] = asyncio.get_running_loop().create_future()
        self.broker.watch(upload_id, found.set_result)
        return await found

    async def publish(self, published: bytes, owner: str | None = None) -> Receipt:
        return await self.broker.publish(Event.read(published, owner=owner))


Started = Callable[[Limits, SettableClock], AbstractAsyncContextManager[Node]]


@asynccontextmanager
async def memory(limits: Limits, clock: SettableClock) -> AsyncIterator[Node]:
    node = Node(MemoryBroker(clock=clock, limits=limits))
    await node.broker.start(node.deliver)
    try:
        yield node
    finally:
        await node.broker.stop()


@pytest.fixture(params=[memory], ids=lambda started: started.__name__)
def started(request: pytest.FixtureRequest) -> Started:
    factory: Started = request.param
    return factory


def run(
    started: Started,
    scene: Callable[[Node], Awaitable[None]],
    *,
    limits: Limits | None = None,
    clock: SettableClock | None = None,
) -> None:
    async def running() -> None:
        async with started(limits or Limits(), clock or SettableClock()) as node:
            await scene(node)

    asyncio.run(running())


def test_a_publisher_gets_the_judges_verdict(started: Started) -> None:
    async def scene(node: Node) -> None:
        assert await node.publish(progress(number=1)) == (Verdict.ACCEPTED, (1, 1), 0)
        assert await node.publish(progress(number=2)) == (Verdict.ACCEPTED, (1, 2), 0)
        assert await node.publish(progress(number=1)) == (Verdict.DUPLICATE, (1, 2), 0)
        assert await node.publish(progress(number=3, version=(1, 1))) == (Verdict.STALE, (1, 2), 0)
        assert await node.publish(completed(number=4)) == (Verdict.ACCEPTED, (1, 3), 0)
        assert await node.publish(progress(number=5)) == (Verdict.AFTER_TERMINAL, (1, 3), 0)

    run(started, scene)


def test_whoever_watches_is_told_what_is_accepted_and_nothing_else(started: Started) -> None:
    async def scene(node: Node) -> None:
        assert await node.watch("a") is None
        receipt = await node.publish(progress(upload_id="a", number=1))
        await node.publish(progress(upload_id="a", number=1))
        await node.publish(progress(upload_id="b", number=2))
        await node.publish(completed(upload_id="a", number=3))

        assert receipt.receivers == 1
        assert node.told == [("a", (1, 1)), ("a", (1, 2))]

    run(started, scene)


def test_a_watch_finds_the_newest_state_and_is_told_what_follows(started: Started) -> None:
    async def scene(node: Node) -> None:
        await node.publish(progress(number=1, upload_id="a"), owner="alice")
        await node.publish(progress(number=2, upload_id="a"))
        head = await node.watch("a")
        await node.publish(progress(number=3, upload_id="a"))

        assert head is not None
        assert (head.version, head.owner, head.terminal) == ((1, 2), "alice", False)
        assert b'"attempt":1,"seq":2' in head.frame.payload
        assert node.told == [("a", (1, 3))]

    run(started, scene)


def test_nobody_is_told_after_unwatching(started: Started) -> None:
    async def scene(node: Node) -> None:
        await node.watch("a")
        await node.publish(progress(number=1, upload_id="a"))
        node.broker.unwatch("a")
        receipt = await node.publish(progress(number=2, upload_id="a"))
        head = await node.watch("a")

        assert receipt.receivers == 0
        assert node.told == [("a", (1, 1))]
        assert head is not None
        assert head.version == (1, 2)

    run(started, scene)


def test_a_head_can_be_read_without_watching(started: Started) -> None:
    async def scene(node: Node) -> None:
        assert await node.broker.head("a") is None
        await node.publish(completed(number=1, upload_id="a"))
        head = await node.broker.head("a")

        assert head is not None
        assert head.terminal
        assert node.told == []

    run(started, scene)


def test_an_owner_is_inherited_and_replaced(started: Started) -> None:
    async def scene(node: Node) -> None:
        owners: list[str | None] = []
        for number, owner in enumerate([None, "alice", None, "bob", None]):
            await node.publish(progress(number=number, upload_id="a"), owner=owner)
            head = await node.broker.head("a")
            assert head is not None
            owners.append(head.owner)

        assert owners == [None, "alice", "alice", "bob", "bob"]

    run(started, scene)


def test_versions_only_grow_for_whoever_watches(started: Started) -> None:
    async def scene(node: Node) -> None:
        await node.watch("a")
        for attempt in (1, 2, 3):
            for seq in (2, 1, 5, 4, 5, 7):
                await node.publish(progress(number=attempt * 10 + seq, upload_id="a", version=(attempt, seq)))

        versions = [version for _, version in node.told]
        assert versions == sorted(set(versions))
        assert versions[-1] == (3, 7)

    run(started, scene)


def test_a_head_is_forgotten_when_it_is_too_old_unless_somebody_watches(started: Started) -> None:
    clock = SettableClock()

    async def scene(node: Node) -> None:
        await node.watch("watched")
        for upload_id in ("watched", "old"):
            await node.publish(progress(number=1, upload_id=upload_id, version=(3, 3)))
        clock.now += 61

        assert await node.broker.head("watched") is not None
        assert await node.broker.head("old") is None
        assert (await node.publish(progress(number=2, upload_id="old"))).version == (1, 1)

    run(started, scene, limits=Limits(head_ttl_s=60), clock=clock)


class TestMemory:
    """What only the broker in memory promises."""

    def test_it_keeps_the_heads_that_were_published_last(self) -> None:
        async def scene(node: Node) -> None:
            await node.watch("watched")
            for number, upload_id in enumerate(["watched", "a", "b", "c", "a", "d"]):
                await node.publish(progress(number=number, upload_id=upload_id))

            kept = [upload_id for upload_id in ("watched", "a", "b", "c", "d") if await node.broker.head(upload_id)]
            assert kept == ["watched", "a", "d"]
            assert node.broker.heads == 3

        run(memory, scene, limits=Limits(heads_max=2))

    def test_watching_what_nobody_publishes_keeps_nothing(self) -> None:
        async def scene(node: Node) -> None:
            for number in range(1_000):
                await node.watch(f"upload-{number}")
            for number in range(1_000):
                node.broker.unwatch(f"upload-{number}")

            assert node.broker.heads == 0

        run(memory, scene)

    def test_nothing_is_told_after_it_stopped(self) -> None:
        async def scene(node: Node) -> None:
            await node.watch("a")
            await node.broker.stop()
            await node.broker.stop()
            await node.publish(progress(upload_id="a"))

            assert node.told == []

        run(memory, scene)
