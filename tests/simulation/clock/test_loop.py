"""In which order things happen in virtual time, when, and what never does."""

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.simulation.clock.programs import Trace, traced
from vuemantics_ws.simulation.clock.loop import BusyLoop, Deadlock, Overrun, VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.refusing import REFUSED, NotVirtual
from vuemantics_ws.simulation.clock.running import run_virtually


class TestTime:
    def test_a_year_passes_at_once(self) -> None:
        async def program(loop: VirtualLoop) -> float:
            await asyncio.sleep(365 * 86_400)
            return loop.time()

        assert run_virtually(program) == 365 * 86_400

    def test_what_is_due_first_runs_first(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            for delay_s in (3, 1, 2):
                loop.call_later(delay_s, lambda delay_s=delay_s: trace.append((loop.time(), delay_s)))
            await asyncio.sleep(4)

        assert traced(program) == [(1, 1), (2, 2), (3, 3)]

    def test_a_timer_of_the_past_is_due_now(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            await asyncio.sleep(5)
            timer = loop.call_at(2, lambda: trace.append((loop.time(),)))
            trace.append((timer.when(),))
            await asyncio.sleep(1)

        assert traced(program) == [(2,), (5,)]

    def test_what_is_ready_runs_in_order_before_a_timer_of_now(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            loop.call_later(0, trace.append, ("timer",))
            for number in range(3):
                loop.call_soon(trace.append, (number,))
            await asyncio.sleep(1)

        for seed in range(5):
            assert traced(program, seed=seed) == [(0,), (1,), (2,), ("timer",)]


class TestTimersOfOneInstant:
    @staticmethod
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        for number in range(10):
            loop.call_at(1.0, trace.append, (number,))
        await asyncio.sleep(2)

    def test_run_in_the_order_of_the_dice(self) -> None:
        orders = [traced(self.program, seed=seed) for seed in (1, 2)]

        assert sorted(orders[0]) == sorted(orders[1])
        assert orders[0] != orders[1]
        assert [traced(self.program, seed=seed) for seed in (1, 2)] == orders

    def test_run_in_the_order_in_which_they_were_set_without_dice(self) -> None:
        assert traced(self.program, shuffle=False) == [(number,) for number in range(10)]


class TestCancelledTimers:
    def test_never_run_not_even_when_they_are_due_already(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            timers: list[asyncio.TimerHandle] = []
            timers += [loop.call_at(1, lambda: timers[1].cancel()), loop.call_at(1, trace.append, ("never",))]
            await asyncio.sleep(2)

        assert traced(program, shuffle=False) == []

    def test_are_thrown_out_by_the_hundred_thousand(self) -> None:
        async def program(loop: VirtualLoop) -> int:
            longest = 0
            kept = [loop.call_later(10 + number, int) for number in range(100)]
            for _ in range(100_000):
                loop.call_later(1000, int).cancel()
                longest = max(longest, len(loop._timers))
            assert not any(timer.cancelled() for timer in kept)
            return longest

        assert run_virtually(program) < 2500

    def test_are_counted_right_whenever_they_were_cancelled(self) -> None:
        async def program(loop: VirtualLoop) -> None:
            dice = random.Random(1)
            for _ in range(3000):
                timers = [loop.call_later(dice.choice([0, 0.01, 50]), int) for _ in range(3)]
                await asyncio.sleep(0.01 if dice.random() < 0.3 else 0)
                for timer in timers:  # some of them have run, some are due, some wait
                    timer.cancel()
                    timer.cancel()
            assert loop._cancelled == sum(entry[3].cancelled() for entry in loop._timers)

        run_virtually(program)


class TestTheOutside:
    @pytest.mark.parametrize("method", REFUSED)
    def test_is_refused_with_what_to_do_instead(self, method: str) -> None:
        with closing(VirtualLoop()) as loop:
            with pytest.raises(NotVirtual) as refused:
                getattr(loop, method)(None, None)

        what, instead = REFUSED[method]
        assert str(refused.value) == f"virtual time has no {what} (loop.{method}): {instead}"

    def test_every_method_of_a_loop_is_ours_or_refused_or_nothing_but_calls(self) -> None:
        harmless = {
            *("run_forever", "run_until_complete", "stop", "is_running", "is_closed", "close", "get_debug", "set_debug"),
            *("create_future", "set_task_factory", "get_task_factory", "call_exception_handler"),
            *("get_exception_handler", "set_exception_handler", "default_exception_handler"),
            *("shutdown_asyncgens", "shutdown_default_executor"),
        }
        ours = {"call_soon", "call_soon_threadsafe", "call_later", "call_at", "time", "create_task", "getaddrinfo"}
        ours |= {"create_connection", "create_server"}
        methods = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")}

        assert methods == harmless | ours | set(REFUSED)

    @pytest.mark.parametrize(
        ("options", "what"),
        [({}, "real sockets"), ({"ssl": True}, "TLS"), ({"sock": object()}, "real sockets")],
    )
    @pytest.mark.parametrize("method", ["create_connection", "create_server"])
    def test_connections_need_a_network_that_is_virtual(self, method: str, options: dict[str, Any], what: str) -> None:
        async def program(loop: VirtualLoop) -> None:
            await getattr(loop, method)(asyncio.Protocol, "node:0", 80, **options)

        with pytest.raises(NotVirtual, match=f"virtual time has no {what}"):
            run_virtually(program)

    def test_threads_are_refused_whoever_asks(self) -> None:
        async def program(loop: VirtualLoop) -> None:
            await asyncio.to_thread(int)

        with pytest.raises(NotVirtual, match="threads"):
            run_virtually(program)

    def test_another_thread_cannot_call(self) -> None:
        async def program(loop: VirtualLoop, trace: Trace) -> None:
            def call() -> None:
                try:
                    loop.call_soon_threadsafe(int)
                except NotVirtual as refused:
                    trace.append((str(refused),))

            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
            loop.call_soon_threadsafe(trace.append, ("from here",))
            await asyncio.sleep(0)

        (refused,), ours = traced(program)

        assert "threads (loop.call_soon_threadsafe from another one)" in refused
        assert ours == ("from here",)

    def test_a_name_is_its_own_address(self) -> None:
        async def program(loop: VirtualLoop) -> Any:
            return [info[4] for info in await loop.getaddrinfo("redis", 6379)]

        assert run_virtually(program) == [("redis", 6379)]


class TestADeadlock:
    def test_names_each_task_that_waits_whose_it_is_and_where(self) -> None:
        node = Process("node:0")

        async def listen(event: asyncio.Event) -> None:
            await event.wait()

        async def program(loop: VirtualLoop) -> None:
            loop.pause(node)
            node.start(listen(asyncio.Event()), name="listening")
            await asyncio.sleep(2)
            await listen(asyncio.Event())

        with pytest.raises(Deadlock) as deadlock:
            run_virtually(program)

        first, *others = str(deadlock.value).splitlines()
        assert first == "at 2.000000 s nothing is ready and no timer is set, but these wait:"
        assert [line.rpartition(":")[0] for line in others] == [
            "  main of the world, at clock/test_loop.py",
            "  listening of node:0 (paused), at clock/test_loop.py",
        ]
        assert others[0].endswith(".listen in Event.wait")

    def test_is_what_a_dead_process_leaves(self) -> None:
        node = Process("node:0")

        async def program(loop: VirtualLoop) -> None:
            asked = loop.create_future()
            node.run(loop.call_later, 5.0, asked.set_result, None)
            loop.kill(node)
            await asked

        with pytest.raises(Deadlock):
            run_virtually(program)

    def test_is_told_in_bounds(self) -> None:
        async def program(loop: VirtualLoop) -> None:
            await asyncio.gather(*(asyncio.Event().wait() for _ in range(500)))

        with pytest.raises(Deadlock) as deadlock:
            run_virtually(program)

        assert str(deadlock.value).endswith("  and 481 more")
        assert len(str(deadlock.value)) < 5000


def test_what_waits_in_vain_while_others_go_on_is_told_at_its_end() -> None:
    node = Process("node:0")

    async def tick() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)

    async def program(loop: VirtualLoop) -> None:
        node.start(tick(), name="ticking")
        await asyncio.Event().wait()

    with pytest.raises(Overrun) as overrun:
        run_virtually(program, ends_by=10)

    first, *others = str(overrun.value).splitlines()
    assert first == "it should have ended by 10 s, but these go on:"
    assert [line.partition(",")[0] for line in others] == ["  main of the world", "  ticking of node:0"]


def test_a_busy_loop_names_what_spins() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def program(loop: VirtualLoop) -> None:
        await Process("node:0").start(spin(), name="spinning")

    with pytest.raises(BusyLoop) as busy:
        run_virtually(program, steps_max=1000)

    first, *others = str(busy.value).splitlines()
    assert first.startswith("the clock stands still at 0.000000 s, after 1100")
    assert len(others) == 1
    assert "times spinning of node:0, clock/test_loop.py" in others[0]


def test_many_steps_at_different_instants_are_no_busy_loop() -> None:
    async def program(loop: VirtualLoop) -> None:
        for _ in range(5000):
            await asyncio.sleep(0.001)

    run_virtually(program, steps_max=1000)


def test_what_a_callback_raises_is_told_and_ends_nothing() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        def fail() -> None:
            raise LookupError("no such thing")

        loop.set_exception_handler(lambda _, context: trace.append((context["message"], repr(context["exception"]))))
        loop.call_soon(fail)
        await asyncio.sleep(1)

    (told,) = traced(program)

    assert told[0].endswith("fail")
    assert told[1] == "LookupError('no such thing')"


def test_a_group_cancels_its_tasks_in_an_order_that_memory_does_not_decide() -> None:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        async def member(number: int) -> None:
            try:
                await asyncio.sleep(number or 100)
            finally:
                trace.append((number,))

        async def group() -> None:
            async with asyncio.TaskGroup() as members:
                padding = [object() for _ in range(97)]
                for number in range(10, 30):
                    members.create_task(member(number))
                    padding += [bytes(number * 13)]

        grouped = asyncio.ensure_future(group())
        await asyncio.sleep(1)
        grouped.cancel()
        await asyncio.wait([grouped])

    assert traced(program) == [(number,) for number in range(10, 30)]


def test_asyncios_own_runner_runs_it() -> None:
    async def program() -> float:
        await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(program()) == 60


@pytest.mark.parametrize("call", [lambda loop: loop.call_soon(int), lambda loop: loop.call_later(1, int)])
def test_a_loop_that_is_closed_takes_nothing(call: Callable[[VirtualLoop], object]) -> None:
    loop = VirtualLoop()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        call(loop)
