"""Processes that are started, started again and stopped together. Most are small programs that end as a test wants it."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vuemantics_ws.gateway.crew import Crew, pause_after
from vuemantics_ws.gateway.settings import Settings

SETTINGS = Settings(node_name="here", drain_s=0.0)

LISTENS = "import json, sys; print(json.dumps({'control': 'http://127.0.0.1:1'}), flush=True); "
WAITS = "import signal; signal.pause()"


def crew(program: str, *, count: int = 1, settings: Settings = SETTINGS, **handed: str) -> Crew:
    return Crew(settings, count, handed, program=("-c", program))


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(reached: Callable[[], bool]) -> None:
    """For a process that cannot tell us; looks again and again."""
    async with asyncio.timeout(10):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stopped(crew: Crew) -> None:
    await crew.stop(asyncio.Event())


class TestStarting:
    def test_it_has_started_once_all_of_them_listen(self) -> None:
        async def scenario() -> tuple[int | None, list[str], list[int], list[int]]:
            workers = crew(LISTENS + WAITS, count=3)
            code = await workers.start()
            controls, pids = workers.controls, workers.pids
            await stopped(workers)
            return code, controls, pids, [pid for pid in pids if is_there(pid)]

        code, controls, pids, left = asyncio.run(scenario())

        assert code is None
        assert controls == ["http://127.0.0.1:1"] * 3
        assert len(set(pids)) == 3
        assert left == []

    def test_where_the_first_ends_before_it_listens_no_other_is_started(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        started = f"open({str(tmp_path / 'started')!r}, 'a').write('x')"

        async def scenario() -> int | None:
            workers = crew(f"import sys; {started}; sys.exit('error: no such luck')", count=3)
            code = await workers.start()
            await stopped(workers)
            return code

        assert asyncio.run(scenario()) == 1
        assert (tmp_path / "started").read_text() == "x"
        assert capfd.readouterr().err == "worker 1: error: no such luck\n"

    def test_each_has_the_settings_a_name_of_its_own_and_what_was_handed_and_no_setting_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("VUEMANTICS_WS_GRACE", "1m")
        monkeypatch.setenv("VUEMANTICS_WS_STATE_DIR", "/nowhere")
        shown = "import os, sys; [print(k, v, file=sys.stderr) for k, v in sorted(os.environ.items()) if 'VUEMANTICS' in k]"

        async def scenario() -> None:
            workers = crew(shown, VUEMANTICS_WS_DEVELOPMENT_SECRET="made once")
            await workers.start()
            await stopped(workers)

        asyncio.run(scenario())

        assert capfd.readouterr().err.splitlines() == [
            "worker 1: VUEMANTICS_WS_DEVELOPMENT_SECRET made once",
            "worker 1: VUEMANTICS_WS_DRAIN 0s",
            "worker 1: VUEMANTICS_WS_NODE_NAME here/1",
            "worker 1: VUEMANTICS_WS_STATE_DIR /nowhere",
        ]

    def test_a_program_that_cannot_be_run_is_said(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.executable", "/nowhere/python")

        assert asyncio.run(crew("").start()) == 3
        assert capfd.readouterr().err == "worker 1: error: it cannot be started: no such file or directory\n"

    def test_stopping_in_the_midst_of_it_leaves_nobody(self) -> None:
        async def scenario() -> list[int]:
            workers = crew(WAITS, count=2)
            starting = asyncio.ensure_future(workers.start())
            await until(lambda: bool(workers.pids))
            starting.cancel()
            await stopped(workers)
            return [pid for pid in workers.pids if is_there(pid)]

        assert asyncio.run(scenario()) == []


class TestKeeping:
    def test_one_that_ends_is_started_again_and_the_log_says_how_it_ended(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario() -> tuple[int, int | None, int | None]:
            workers = crew(LISTENS + WAITS, count=2)
            await workers.start()
            (worker, _) = workers.workers
            before = worker.pid
            assert before is not None
            os.kill(before, 9)
            await until(lambda: worker.starts == 2)
            after = worker.pid
            await stopped(workers)
            return workers.restarts, before, after

        restarts, before, after = asyncio.run(scenario())

        assert restarts == 1
        assert before != after
        assert caplog.messages == [f"worker 1 (process {before}) ended with SIGKILL: it starts again at once"]

    def test_one_that_ends_again_and_again_waits(self, caplog: pytest.LogCaptureFixture) -> None:
        async def scenario() -> int:
            workers = crew(LISTENS + "sys.exit(70)")
            await workers.start()
            await until(lambda: len(caplog.messages) == 2)
            await stopped(workers)
            return workers.restarts

        assert asyncio.run(scenario()) == 1
        assert [message.partition(" ended ")[2] for message in caplog.messages] == [
            "with code 70: it starts again at once",
            "with code 70: it starts again in 500ms",
        ]

    def test_the_pause_doubles_up_to_half_a_minute_and_begins_anew_after_a_steady_minute(self) -> None:
        pauses = [pause_after(None, lived_s=0.1)]
        for _ in range(9):
            pauses.append(pause_after(pauses[-1], lived_s=0.1))

        assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
        assert pause_after(30.0, lived_s=60.0) == 0.0


class TestStopping:
    def test_a_second_signal_ends_one_that_would_drain_for_long(self) -> None:
        drains = "import signal; signal.signal(signal.SIGTERM, lambda *_: None); " + LISTENS + "signal.pause(); signal.pause()"

        async def scenario() -> list[int]:
            workers = crew(drains, settings=Settings(node_name="here", drain_s=3_600.0))
            await workers.start()
            at_once = asyncio.Event()
            stopping = asyncio.ensure_future(workers.stop(at_once))
            await asyncio.sleep(0)
            at_once.set()
            await stopping
            return [pid for pid in workers.pids if is_there(pid)]

        assert asyncio.run(scenario()) == []

    def test_one_that_does_not_end_is_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vuemantics_ws.gateway.crew.STOP_MARGIN_S", 0.2)
        deaf = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; " + LISTENS + "signal.pause()"

        async def scenario() -> list[int]:
            workers = crew(deaf, settings=Settings(node_name="here", drain_s=0.0, close_timeout_s=0.01))
            await workers.start()
            await stopped(workers)
            return [pid for pid in workers.pids if is_there(pid)]

        assert asyncio.run(scenario()) == []


def test_a_long_line_of_a_log_is_written_in_parts(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        workers = crew("import sys; sys.stderr.write('x' * 300_000 + '\\nend')")
        await workers.start()
        await stopped(workers)

    asyncio.run(scenario())

    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "worker 1: end"
    assert "".join(line.removeprefix("worker 1: ") for line in lines[:-1]) == "x" * 300_000
