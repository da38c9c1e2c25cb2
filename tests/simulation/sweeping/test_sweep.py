"""Many seeds: the lowest that fails is found whoever plays it, and nothing is left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.simulation.sweeping.scenarios import SMALL, UNLUCKY
from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.sweeping.sweep import Progress, sweep
from vuemantics_ws.simulation.sweeping.workers import Order, Worker, WorkerDied
from vuemantics_ws.simulation.virtual import run


def workers() -> list[int]:
    """Processes of ours that play seeds."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()[1])
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"vuemantics_ws.simulation.sweeping" in command:
            found.append(int(process.name))
    return found


def test_all_seeds_hold_and_are_added_up() -> None:
    told: list[Progress] = []

    result = sweep(SMALL, range(1, 6), told=told.append)

    assert result.holds
    assert (result.played, result.failed) == (5, None)
    assert [progress.played for progress in told] == [1, 2, 3, 4, 5]
    (terminal,) = [total for total in result.totals.values() if total.name == "terminal"]
    assert (terminal.verdict, terminal.samples, terminal.verdicts["held"]) == ("held", 5, 5)
    assert result.virtual_s > 5 * 0.8


def test_it_stops_at_the_first_seed_that_fails() -> None:
    result = sweep(UNLUCKY, range(1, 1000))

    assert result.failed is not None
    assert not result.holds
    assert result.played == result.failed.seed < 100
    assert len(result.failed.trace_hash) == 64
    assert sweep(UNLUCKY, range(1, result.failed.seed)).holds


def test_a_run_that_comes_to_nothing_fails_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def deadlock(plan: Plan, log: Log, *, options: run.VirtualOptions) -> run.VirtualRun:
        raise run.VirtualFault("everybody waits")

    monkeypatch.setattr(run, "run_virtual", deadlock)

    result = sweep(SMALL, range(7, 10))

    assert result.failed is not None
    assert (result.failed.seed, result.failed.fault, result.played) == (7, "everybody waits", 1)


def test_a_fault_of_ours_is_a_failure_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(plan: Plan, log: Log, *, options: run.VirtualOptions) -> run.VirtualRun:
        raise KeyError("a payload")

    monkeypatch.setattr(run, "run_virtual", fault)

    result = sweep(SMALL, range(7, 10))

    assert result.failed is not None
    assert result.failed.fault == "KeyError"


def test_what_is_no_scenario_is_refused() -> None:
    with pytest.raises(BadScenario):
        sweep("version: 2", range(1, 3))


@pytest.mark.slow
class TestProcesses:
    def test_they_find_what_one_alone_finds(self) -> None:
        alone = sweep(UNLUCKY, range(1, 1000))

        result = sweep(UNLUCKY, range(1, 1000), jobs=3)

        assert alone.failed is not None
        assert result.failed is not None
        assert (result.failed.seed, result.failed.trace_hash) == (alone.failed.seed, alone.failed.trace_hash)
        assert result.played >= alone.played
        assert workers() == []

    def test_every_seed_is_played_once(self) -> None:
        result = sweep(SMALL, range(1, 101), jobs=3)

        assert result.holds
        assert all(sum(total.verdicts.values()) == 100 for total in result.totals.values())
        assert workers() == []

    def test_a_process_that_dies_is_told_of_and_ends_the_others(self) -> None:
        def kill_one(progress: Progress) -> None:
            if progress.played == 1:
                os.kill(workers()[0], signal.SIGKILL)

        with pytest.raises(WorkerDied, match=r"^the process that played seeds? \d+( to \d+)? was ended by SIGKILL$"):
            sweep(SMALL, range(1, 1_000_000), jobs=2, told=kill_one)

        assert workers() == []

    def test_one_that_is_ended_is_outlasted_whoever_is_in_a_hurry(self) -> None:
        async def main() -> None:
            started = asyncio.Event()

            async def work() -> None:
                async with Worker(Order(SMALL, run.VirtualOptions())):
                    started.set()
                    await asyncio.Event().wait()

            working = asyncio.create_task(work())
            await started.wait()
            while not working.done():
                working.cancel()
                await asyncio.sleep(0)

        asyncio.run(main())

        assert workers() == []

    def test_an_interrupt_leaves_no_process(self) -> None:
        def interrupt(progress: Progress) -> None:
            if progress.played == 1:  # a second one would wait for nobody
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            sweep(SMALL, range(1, 1_000_000), jobs=2, told=interrupt)

        assert workers() == []
