"""A program ends when all that it started has ended."""

import asyncio
import gc
import logging
import warnings
import weakref
from collections.abc import AsyncIterator

import pytest

from tests.simulation.clock.programs import Trace, traced
from vuemantics_ws.simulation.clock.loop import BusyLoop, Deadlock, VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.running import StillRunning, run_virtually


async def wait_and_note(trace: Trace, number: int, *, takes_s: float = 0.0) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(takes_s)
        trace.append((number,))


async def cling() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass


def test_what_is_left_is_told_to_end_in_the_order_in_which_it_began() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        for number in range(50):
            loop.create_task(wait_and_note(trace, number))
        await asyncio.sleep(1)

    assert traced(program) == [(number,) for number in range(50)]


def test_what_is_left_may_take_its_time_and_begin_more() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        async def leave_another() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                loop.create_task(wait_and_note(trace, 2, takes_s=20))

        loop.create_task(wait_and_note(trace, 1, takes_s=30))
        loop.create_task(leave_another())
        await asyncio.sleep(1)

    assert traced(program) == [(1,), (2,)]


def test_what_will_not_end_is_told() -> None:
    async def program(loop: VirtualLoop) -> None:
        Process("node:0").start(cling(), name="clinging")
        await asyncio.sleep(1)

    with pytest.raises(StillRunning) as still:
        run_virtually(program)

    first, second = str(still.value).splitlines()
    assert first == "after 60 s these had not ended, though they were cancelled:"
    assert second.startswith("  clinging of node:0, at clock/test_running.py:")


def test_what_is_paused_at_the_end_need_not_end() -> None:
    async def program(loop: VirtualLoop) -> str:
        node = Process("node:0")
        node.start(cling())
        await asyncio.sleep(1)
        loop.pause(node)
        return "done"

    assert run_virtually(program) == "done"


def test_where_a_program_failed_that_is_what_is_told() -> None:
    async def program(loop: VirtualLoop) -> None:
        loop.create_task(cling())
        await asyncio.sleep(1)
        raise LookupError

    with pytest.raises(LookupError):
        run_virtually(program)


async def deadlocked(loop: VirtualLoop) -> None:
    loop.create_task(wait_and_note([], 1, takes_s=1))
    await asyncio.Event().wait()


async def busy(loop: VirtualLoop) -> None:
    def again() -> None:
        loop.call_soon(again)

    again()
    await asyncio.Event().wait()


async def interrupted(loop: VirtualLoop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.call_later(1, interrupt)
    await asyncio.Event().wait()


@pytest.mark.parametrize(("program", "expected"), [(deadlocked, Deadlock), (busy, BusyLoop), (interrupted, KeyboardInterrupt)])
def test_one_that_is_broken_off_leaves_no_word(
    program: object, expected: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(expected):
            run_virtually(program, steps_max=1000)  # type: ignore[arg-type]
        gc.collect()

    assert caplog.records == []


def test_generators_that_nobody_finished_are_ended_in_order() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> list[object]:
        async def generate(number: int) -> AsyncIterator[int]:
            try:
                yield number
            finally:
                trace.append((number,))

        generators = [generate(number) for number in range(20)]
        for generator in generators:
            await anext(generator)
        return [*generators]

    assert traced(program) == [(number,) for number in range(20)]


def test_a_generator_that_is_forgotten_is_ended_by_whoever_began_it() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        async def generate() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                await asyncio.sleep(1)
                trace.append((loop.time(),))

        async for _ in generate():
            break
        await asyncio.sleep(3)

    assert traced(program) == [(1,)]


class Node:
    me: "Node"


def test_garbage_is_collected_at_the_same_steps_each_time() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        def note(number: int) -> None:
            trace.append((loop.time(), number))

        for number in range(30):
            node = Node()
            node.me = node
            weakref.finalize(node, note, number)
            del node
            await asyncio.sleep(1)

    before = gc.get_freeze_count()
    trace = traced(program, collect_every=20)

    assert trace == traced(program, collect_every=20)
    assert 1 < len({time for time, _ in trace}) < 10
    assert gc.isenabled()
    assert gc.get_freeze_count() <= before


def test_a_fault_that_only_garbage_shows_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("nobody asked")

    async def program(loop: VirtualLoop) -> None:
        task = asyncio.ensure_future(fail())
        task.add_done_callback(lambda _: task)  # it holds itself
        held = Node()
        held.me = held
        held.task = task  # type: ignore[attr-defined]
        await asyncio.sleep(1)

    with caplog.at_level(logging.ERROR, logger="asyncio"):
        run_virtually(program)

    assert [record.message.splitlines()[0] for record in caplog.records] == ["VirtualTask exception was never retrieved"]
