"""What a process does that was paused, and what one does that was killed: nothing."""

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import AsyncIterator

import pytest

from tests.simulation.clock.programs import Trace, traced
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Killed, Process, here
from vuemantics_ws.simulation.clock.running import run_virtually


async def tick(trace: Trace) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1)
        trace.append((loop.time(),))


def test_what_code_of_a_process_calls_times_and_starts_belongs_to_it() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        def note(what: str) -> None:
            process = here()
            trace.append((what, process and process.name))

        async def inner() -> None:
            note("task of a task")

        async def outer() -> None:
            note("task")
            loop.call_soon(note, "call")
            loop.call_later(1, note, "timer")
            await asyncio.ensure_future(inner())

        node = Process("node:0")
        node.run(note, "run")
        await node.start(outer())
        note("world")
        await asyncio.sleep(2)

    assert traced(program) == [
        ("run", "node:0"),
        ("task", "node:0"),
        ("call", "node:0"),
        ("task of a task", "node:0"),
        ("world", None),
        ("timer", "node:0"),
    ]


class TestPaused:
    def test_it_does_late_what_became_due_meanwhile(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            node = Process("node:0")
            node.start(tick(trace))
            await asyncio.sleep(2.5)
            loop.pause(node)
            await asyncio.sleep(10)
            trace.append(("resumed", loop.time()))
            loop.resume(node)
            await asyncio.sleep(2.2)

        assert traced(program) == [(1,), (2,), ("resumed", 12.5), (12.5,), (13.5,), (14.5,)]

    def test_what_waited_runs_in_order_before_what_comes_now(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            def resume() -> None:
                loop.resume(node)
                node.run(loop.call_soon, trace.append, ("new",))

            node = Process("node:0")
            loop.pause(node)
            for number in range(5):
                node.run(loop.call_later, 5 - number, trace.append, (5 - number,))
            node.run(loop.call_soon, trace.append, (0,))
            node.run(loop.call_later, 3, trace.append, ("cancelled",)).cancel()
            await asyncio.sleep(6)
            # What is in the same turn behind the resuming comes after what waited.
            loop.call_soon(resume)
            node.run(loop.call_soon, trace.append, ("of this turn",))
            loop.call_soon(trace.append, ("the world",))
            await asyncio.sleep(1)

        waited = [(number,) for number in range(6)]
        assert traced(program) == [*waited, ("of this turn",), ("the world",), ("new",)]

    def test_others_go_on(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            paused, other = Process("node:0"), Process("node:1")
            paused.start(tick(trace))
            other.start(tick(trace))
            loop.pause(paused)
            await asyncio.sleep(2.5)

        assert traced(program) == [(1,), (2,)]

    def test_its_end_ends_it(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            node = Process("node:0")
            node.start(tick(trace))
            await asyncio.sleep(1.5)
            loop.pause(node)
            await asyncio.sleep(3)
            loop.kill(node)
            loop.resume(node)
            loop.pause(node)
            await asyncio.sleep(3)

        assert traced(program) == [(1,)]


async def generate(trace: Trace) -> AsyncIterator[int]:
    try:
        yield 1
        await asyncio.sleep(100)
    finally:
        trace.append(("generator",))


class Guarded:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    async def __aenter__(self) -> None:
        self._trace.append(("entered",))

    async def __aexit__(self, *_: object) -> None:
        self._trace.append(("left",))
        await asyncio.sleep(1)
        self._trace.append(("left after a while",))


async def worry(trace: Trace) -> None:
    """Has all that a suspended coroutine can have that wants to be heard when it ends."""
    loop = asyncio.get_running_loop()
    try:
        async with Guarded(trace), asyncio.TaskGroup() as group:
            group.create_task(tick(trace))
            async for _ in generate(trace):
                await asyncio.sleep(0)
    except BaseException:
        logging.getLogger("vuemantics_ws.node").exception("it failed")
        raise
    finally:
        loop.call_soon(trace.append, ("called",))
        loop.call_later(0, trace.append, ("timed",))
        started = asyncio.ensure_future(tick(trace))
        await asyncio.sleep(1)
        trace.append(("finally",))
        await started


class TestKilled:
    def test_nothing_of_it_runs_again_and_nobody_hears_of_it(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unraisable: list[object] = []
        monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
        during: Trace = []

        async def program(loop: VirtualLoop, trace: Trace) -> None:
            loop.set_exception_handler(lambda _, context: trace.append((context["message"],)))
            node = Process("node:0")
            tasks = [node.start(worry(trace)) for _ in range(3)]
            await asyncio.sleep(1.5)
            node.start(worry(trace))  # its first step never comes
            del trace[:]
            loop.kill(node)
            await asyncio.sleep(0)
            assert all(task.done() for task in tasks)
            del tasks
            gc.collect()
            await asyncio.sleep(100)
            during.extend(trace)
            del trace[:]

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trace = traced(program)
            gc.collect()

        assert (during, unraisable, caplog.records) == ([], [], [])
        assert not {("called",), ("timed",)} & set(trace)  # buried, what it calls goes nowhere

    def test_whoever_waits_for_it_is_told(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            node = Process("node:0")
            task = node.start(tick(trace))
            loop.call_later(3.5, loop.kill, node)
            try:
                await task
            except Killed as killed:
                trace.append((loop.time(), str(killed)))

        assert traced(program) == [(1,), (2,), (3,), (3.5, "node:0 was killed")]

    def test_it_can_be_asked_nothing(self) -> None:
        async def program(loop: VirtualLoop) -> None:
            node = Process("node:0")
            loop.kill(node)
            with pytest.raises(Killed, match="node:0 is dead"):
                node.run(int)
            with pytest.raises(Killed):
                node.start(tick([]))

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run_virtually(program)

    def test_it_may_kill_itself_and_ends_with_that_step(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            async def give_up(node: Process, *, returns: bool) -> None:
                loop.kill(node)
                trace.append(("last",))
                if not returns:
                    await asyncio.sleep(0)
                    trace.append(("never",))

            loop.set_exception_handler(lambda _, context: trace.append((context["message"],)))
            for returns in (True, False):
                node = Process("node")
                with pytest.raises(Killed):
                    await node.start(give_up(node, returns=returns))

        assert traced(program) == [("last",), ("last",)]

    def test_one_that_never_ends_is_left_alone(self) -> None:
        async def cling() -> None:
            while True:
                try:
                    async with asyncio.timeout(5):
                        await asyncio.sleep(1)
                except BaseException:
                    pass

        async def program(loop: VirtualLoop) -> None:
            node = Process("node:0")
            node.start(cling())
            await asyncio.sleep(1)
            loop.kill(node)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run_virtually(program)
            gc.collect()

    def test_what_is_freed_with_it_warns_nobody(self) -> None:
        class Connection:
            def __del__(self) -> None:
                warnings.warn("unclosed", ResourceWarning, stacklevel=1)

        async def hold(connection: Connection) -> None:
            await asyncio.sleep(100)

        async def program(loop: VirtualLoop) -> None:
            node = Process("node:0")
            node.start(hold(Connection()))
            node.run(loop.call_later, 5, hold, Connection())
            node.remains.append(Connection())
            await asyncio.sleep(1)
            loop.kill(node)
            await asyncio.sleep(10)

        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            run_virtually(program)
            gc.collect()

        assert warned == []
