"""What the broker in memory keeps and what it forgets; what all brokers promise is in tests/brokers/test_contract.py."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.brokers.benches import Bench, HandClock, memory_bench
from tests.events import completed, progress, read
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.core.upload import Head, Upload, Verdict
from vuemantics_ws.limits import Limits

T = TypeVar("T")


def say(upload_id: str = "u", number: int = 0) -> bytes:
    return progress(upload_id=upload_id, number=number)


Opened = AbstractAsyncContextManager[Bench]


class Kept:
    """A memory broker with small limits and a clock to be moved."""

    def __init__(self, *, heads_max: int = 2, head_ttl_s: float = 100.0) -> None:
        self.clock = HandClock()
        self._limits = Limits(heads_max=heads_max, head_ttl_s=head_ttl_s)

    def open(self) -> Opened:
        return memory_bench(clock=self.clock, limits=self._limits)


async def known(bench: Bench, *upload_ids: str) -> list[str]:
    return [upload_id for upload_id in upload_ids if await bench.broker.head(upload_id) is not None]


class TestNumber:
    def test_of_what_nobody_watches_the_last_published_are_kept(self) -> None:
        async def act() -> list[str]:
            async with Kept(heads_max=2).open() as bench:
                for upload_id in ("u", "v", "w"):
                    await bench.publish(say(upload_id))
                return await known(bench, "u", "v", "w")

        assert asyncio.run(act()) == ["v", "w"]

    def test_publishing_again_makes_an_upload_the_last_published(self) -> None:
        async def act() -> list[str]:
            async with Kept(heads_max=2).open() as bench:
                for upload_id in ("u", "v", "u", "w"):
                    await bench.publish(say(upload_id))
                return await known(bench, "u", "v", "w")

        assert asyncio.run(act()) == ["u", "w"]

    def test_what_is_watched_takes_no_place_and_is_never_forgotten(self) -> None:
        async def act() -> list[str]:
            async with Kept(heads_max=1).open() as bench:
                for upload_id in ("u", "v", "w"):
                    await bench.publish(say(upload_id))
                    await bench.watch(upload_id)
                for upload_id in ("x", "y"):
                    await bench.publish(say(upload_id))
                return await known(bench, "u", "v", "w", "x", "y")

        assert asyncio.run(act()) == ["u", "v", "w", "y"]

    def test_what_is_watched_no_more_takes_its_place_among_the_others(self) -> None:
        async def act() -> list[str]:
            async with Kept(heads_max=1).open() as bench:
                await bench.publish(say("u"))
                await bench.watch("u")
                await bench.publish(say("v"))
                bench.broker.unwatch("u")
                return await known(bench, "u", "v")

        assert asyncio.run(act()) == ["u"]

    def test_watching_what_nobody_publishes_leaves_nothing_behind(self) -> None:
        async def act() -> MemoryBroker:
            async with Kept().open() as bench:
                broker = bench.broker
                assert isinstance(broker, MemoryBroker)
                for number in range(100):
                    await bench.watch(str(number))
                    assert broker.heads == 0
                    broker.unwatch(str(number))
                return broker

        broker = asyncio.run(act())

        assert (broker._uploads, broker._watched) == ({}, {})


class TestAge:
    def test_a_head_is_kept_for_its_time_and_not_longer(self) -> None:
        async def act() -> list[list[str]]:
            kept = Kept(head_ttl_s=100)
            async with kept.open() as bench:
                await bench.publish(say())
                kept.clock.now += 100
                in_time = await known(bench, "u")
                kept.clock.now += 0.5
                return [in_time, await known(bench, "u")]

        assert asyncio.run(act()) == [["u"], []]

    def test_a_watch_does_not_find_what_is_too_old(self) -> None:
        async def act() -> list[Head | None]:
            kept = Kept(head_ttl_s=100)
            async with kept.open() as bench:
                await bench.publish(say())
                kept.clock.now += 101
                return await bench.watch("u")

        assert asyncio.run(act()) == [None]

    def test_an_upload_that_was_forgotten_begins_anew(self) -> None:
        async def act() -> Receipt:
            kept = Kept(head_ttl_s=100)
            async with kept.open() as bench:
                await bench.publish(completed(upload_id="u", version=(3, 9)))
                kept.clock.now += 101
                return await bench.publish(completed(upload_id="u", version=(1, 1)))

        assert asyncio.run(act())[:2] == (Verdict.ACCEPTED, (1, 1))

    def test_what_is_watched_does_not_age(self) -> None:
        async def act() -> tuple[list[str], Receipt]:
            kept = Kept(head_ttl_s=100)
            async with kept.open() as bench:
                await bench.watch("u")
                await bench.publish(say(number=1))
                kept.clock.now += 1_000
                return await known(bench, "u"), await bench.publish(say(number=2))

        still_known, receipt = asyncio.run(act())
        assert still_known == ["u"]
        assert receipt[:2] == (Verdict.ACCEPTED, (1, 2))

    def test_what_is_refused_keeps_no_head_alive(self) -> None:
        async def act() -> list[str]:
            kept = Kept(head_ttl_s=100)
            async with kept.open() as bench:
                await bench.publish(say())
                kept.clock.now += 60
                await bench.publish(say())
                kept.clock.now += 60
                return await known(bench, "u")

        assert asyncio.run(act()) == []

    def test_the_straggler_window_is_of_the_broker_s_clock(self) -> None:
        async def act() -> list[Verdict]:
            kept = Kept()
            async with kept.open() as bench:
                await bench.publish(completed(upload_id="u"))
                kept.clock.now += 9.5
                straggler = await bench.publish(say(number=1))
                kept.clock.now += 0.5
                return [straggler.verdict, (await bench.publish(say(number=2))).verdict]

        assert asyncio.run(act()) == [Verdict.AFTER_TERMINAL, Verdict.ACCEPTED]


class TestStopping:
    def test_a_stopped_broker_judges_on_and_tells_nobody(self) -> None:
        async def act() -> tuple[Receipt, Bench]:
            async with Kept().open() as bench:
                await bench.watch("u")
                await bench.broker.stop()
                return await bench.publish(say()), bench

        receipt, bench = asyncio.run(act())
        assert receipt == (Verdict.ACCEPTED, (1, 1), 0, False)
        assert bench.told == []


HEADS_MAX = 2
TTL_S = 100.0
UPLOADS = ("u", "v", "w", "x")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: nothing can come between what it does."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits for something")


class MemoryModel(RuleBasedStateMachine):
    """The broker keeps what a list of everything that was published says that it keeps."""

    @initialize()
    def open(self) -> None:
        self.clock = HandClock()
        self.broker = MemoryBroker(clock=self.clock, limits=Limits(heads_max=HEADS_MAX, head_ttl_s=TTL_S))
        self.told: list[tuple[str, Head]] = []
        at_once(self.broker.start(lambda upload_id, head: self.told.append((upload_id, head))))
        self.watched: dict[str, Upload] = {}
        self.others: dict[str, Upload] = {}  # least recently published or released first
        self.number = 0

    @rule(upload_id=st.sampled_from(UPLOADS), end=st.booleans(), again=st.booleans())
    def publish(self, upload_id: str, end: bool, again: bool) -> None:
        self.number += not again
        event = read((completed if end else progress)(upload_id=upload_id, number=self.number))
        upload = self.watched.get(upload_id)
        if upload is None:
            upload = self.others.pop(upload_id, None)
            if upload is None or self.too_old(upload):
                upload = Upload()
            self.others[upload_id] = upload
        expected = upload.judge(event, self.clock.now)
        told = upload_id in self.watched and expected.verdict is Verdict.ACCEPTED
        before = len(self.told)

        receipt = at_once(self.broker.publish(event))

        assert receipt[:3] == (*expected, int(told))
        assert [(of, head.version) for of, head in self.told[before:]] == ([(upload_id, expected.version)] if told else [])
        self.forget_surplus()

    @rule(upload_id=st.sampled_from(UPLOADS))
    def watch_or_unwatch(self, upload_id: str) -> None:
        if upload_id in self.watched:
            self.broker.unwatch(upload_id)
            upload = self.watched.pop(upload_id)
            if upload.head is not None:
                self.others[upload_id] = upload
                self.forget_surplus()
            return
        kept = self.others.pop(upload_id, None)
        upload = Upload() if kept is None or self.too_old(kept) else kept
        self.watched[upload_id] = upload
        found: list[Head | None] = []
        self.broker.watch(upload_id, found.append)
        assert [head and head.version for head in found] == [upload.head and upload.head.version]

    @rule(seconds=st.sampled_from((1.0, 10.0, 50.0, 100.0)))
    @precondition(lambda self: self.others)
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def what_is_known_is_what_is_kept(self) -> None:
        known = 0
        for upload_id in UPLOADS:
            head = at_once(self.broker.head(upload_id))
            upload = self.watched.get(upload_id) or self.others.get(upload_id)
            gone = upload is None or (upload_id in self.others and self.too_old(upload))
            kept = None if upload is None or gone else upload.head
            assert (head and head.version) == (kept and kept.version)
            known += head is not None
        watched = sum(upload.head is not None for upload in self.watched.values())
        assert known <= self.broker.heads <= HEADS_MAX + watched

    def too_old(self, upload: Upload) -> bool:
        return upload.head is not None and self.clock.now - upload.head.accepted_at > TTL_S

    def forget_surplus(self) -> None:
        for upload_id in list(self.others)[:-HEADS_MAX]:
            del self.others[upload_id]
        oldest = next(iter(self.others), None)
        while oldest is not None and self.too_old(self.others[oldest]):
            del self.others[oldest]
            oldest = next(iter(self.others), None)


TestMemoryModel = MemoryModel.TestCase
