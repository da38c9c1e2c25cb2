"""``simulate`` in virtual time: single runs and sweeps, what they say of a failure, and how they end."""

import json
import os
import re
import select
import signal
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.program import ended, read_until, run, running
from tests.cli.terminal import terminal
from tests.cli.test_simulate import children
from tests.simulation.sweeping.scenarios import SMALL, UNLUCKY
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.sweeping import sweep as sweep_module
from vuemantics_ws.simulation.virtual import run as virtual

FAILING = SMALL.replace("is: completed", "is: failed")


@pytest.fixture
def small(tmp_path: Path) -> str:
    return written(tmp_path, SMALL)


def written(folder: Path, text: str, name: str = "scenario.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def lowest_failing(text: str) -> int:
    failed = sweep_module.sweep(text, range(1, 1000)).failed
    assert failed is not None
    return failed.seed


class Planted:
    """The virtual arm with something done to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = virtual.run_virtual
        monkeypatch.setattr(virtual, "run_virtual", self)

    def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
        return self._real(plan, log, options=options)


class TestUsage:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ("--virtual --url ws://127.0.0.1:1", "--url: in virtual time there is no server that runs already"),
            ("--sweep 1..2 --control http://127.0.0.1:1", "--control: in virtual time there is no server"),
            ("--virtual --clients 3", "--clients: in virtual time"),
            ("--virtual --secret abc", "--secret: in virtual time"),
            ("--jobs 2", "--jobs: expected --sweep, too"),
            ("--virtual --jobs 2", "--jobs: expected --sweep, too"),
            ("--broker redis", "--broker: expected --virtual or --sweep, too"),
            ("--shrink", "--shrink: expected --virtual or --sweep, too"),
            ("--sweep 1..2 --seed 1", "--seed: expected it or --sweep, got both"),
            ("--sweep 5", "--sweep: expected a range of seeds such as 1..500, got '5'"),
            ("--sweep 5..1", "--sweep: expected a range from the smaller to the larger"),
            ("--sweep file", "--sweep: SCENARIO does not say which seeds"),
            ("--sweep 1..2 --jobs 0", "invalid value for '--jobs'"),
            ("--virtual --broker carrier-pigeon", "invalid value for '--broker'"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, small: str, options: str, words: str) -> None:
        outcome = run("simulate", small, *options.split())

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"error: {words}".replace("SCENARIO", small))

    def test_a_scenario_that_names_a_server_is_refused(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL.replace("server: {config", "server: {url: 'ws://127.0.0.1:1', config"))

        outcome = run("simulate", path, "--virtual")

        assert outcome.code == 2
        assert "server.url: in virtual time there is no server that runs already" in outcome.err

    def test_nothing_to_play_is_wrong_usage(self) -> None:
        outcome = run("simulate", "--virtual")

        assert outcome.code == 2
        assert outcome.err.startswith("error: SCENARIO: expected one at least")


class TestOneSeed:
    def test_what_decides_the_run_is_said_before_it(self, small: str) -> None:
        outcome = run("simulate", small, "--virtual", "--seed", "7", "--broker", "simulated")

        assert outcome.code == 0
        first, second, third = outcome.err.splitlines()
        assert first == "small, seed 7, in virtual time: Does a tab learn how its upload ends?"
        assert second.startswith("arm virtual, broker simulated, shuffle on, slices on, nodes 1, access owner, ")
        assert "drain 0s" in second
        assert "secret" not in second
        assert "msgspec" in third
        assert "small holds, seed 7: 5 events published" in outcome.out

    def test_what_does_not_hold_says_how_to_see_it_again(self, tmp_path: Path) -> None:
        path = written(tmp_path, FAILING)

        outcome = run("simulate", path, "--virtual", "--seed", "3", "--broker", "simulated")

        assert outcome.code == 1
        assert "s of virtual time: tab learned that up completed, expected failed" in outcome.out
        said = " ".join(outcome.out.split())
        assert f"again with: vuemantics-ws simulate {path} --virtual --seed 3 --broker simulated" in said
        assert "--shrink beside it looks for the smallest scenario" in said

    def test_json_has_the_hash_and_all_that_decides_it(self, small: str) -> None:
        first, second = run("simulate", small, "--virtual", "--json"), run("simulate", small, "--virtual", "--json")

        assert (first.code, first.err) == (0, "")
        (said,) = first.objects
        assert (said["arm"], said["holds"], len(said["trace_hash"])) == ("virtual", True, 64)
        assert said["trace_hash"] == second.objects[0]["trace_hash"]
        assert said["settings"]["broker"] == "memory"
        assert set(said["versions"]) >= {"vuemantics-ws", "Python", "websockets", "redis", "hiredis", "msgspec"}
        assert said["replay"] == f"vuemantics-ws simulate {small} --virtual --seed 1"

    def test_a_run_that_comes_to_nothing_says_why(self, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
        class Stuck(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                super().__call__(plan, log, options=options)
                raise virtual.VirtualFault("nobody will ever go on:\n  task 3, in connect")

        Stuck(monkeypatch)

        outcome = run("simulate", small, "--virtual")

        assert outcome.code == 1
        assert "nobody will ever go on:\n  task 3, in connect" in outcome.out
        assert "small came to nothing, seed 1" in outcome.out
        assert run("simulate", small, "--virtual", "--json").objects[0]["fault"].startswith("nobody")

    def test_one_that_comes_to_nothing_at_once_says_why_as_well(self, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
        class Stuck(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                raise virtual.VirtualFault("nobody will ever begin")

        Stuck(monkeypatch)

        outcome = run("simulate", small, "--virtual")

        assert (outcome.code, outcome.out) == (1, "")
        assert "error: nobody will ever begin" in outcome.err

    def test_a_time_limit_ends_what_never_looks_up(self, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
        class Endless(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                super().__call__(plan, log, options=options)
                for _ in count():
                    pass
                raise AssertionError

        Endless(monkeypatch)
        timer = signal.getsignal(signal.SIGALRM)

        outcome = run("simulate", small, "--virtual", "--time-limit", "50ms", "--json")

        assert outcome.code == 6
        assert (outcome.objects[0]["interrupted"], outcome.objects[0]["trace_hash"]) == (True, None)
        assert signal.getsignal(signal.SIGALRM) is timer

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_run_shows_what_was_seen(
        self, small: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        class Interrupted(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                super().__call__(plan, log, options=options)
                signal.raise_signal(number)
                raise AssertionError

        Interrupted(monkeypatch)

        outcome = run("simulate", small, "--virtual")

        assert outcome.code == 130
        assert "small was interrupted, seed 1" in outcome.out


class TestSweep:
    def test_all_seeds_that_hold_are_summed_up(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL + "sweep: 3..7\n")

        outcome = run("simulate", path, "--sweep", "file", "--jobs", "1")

        assert outcome.code == 0
        assert outcome.err.startswith("small, seeds 3 to 7, in virtual time: Does a tab")
        assert "small holds for every seed from 3 to 7; 5 seeds played in " in outcome.out
        assert "held      order             versions only grow" in outcome.out

    def test_the_lowest_seed_that_fails_is_shown_in_full(self, tmp_path: Path) -> None:
        path, results = written(tmp_path, UNLUCKY), tmp_path / "results.xml"
        failing = lowest_failing(UNLUCKY)

        outcome = run("simulate", path, "--sweep", "1..1000", "--jobs", "1", "--junit", str(results))

        assert outcome.code == 1
        said = " ".join(outcome.out.split())
        assert "tab learned that up failed, expected completed" in said
        assert f"again with: vuemantics-ws simulate {path} --virtual --seed {failing}" in said
        assert f"unlucky does not hold for seed {failing}; {failing} seeds played" in said
        (suite,) = ET.parse(results).getroot()
        failed = [str(case.get("name")) for case in suite.findall("testcase") if case.find("failure") is not None]
        assert failed == [f"terminal: all clients learn that all uploads completed within 1s (seed {failing})"]
        names = [str(case.get("name")) for case in suite.findall("testcase")]
        assert len(set(names)) == len(names) > 10

    def test_json_is_one_object(self, tmp_path: Path) -> None:
        failing = lowest_failing(UNLUCKY)

        outcome = run("simulate", written(tmp_path, UNLUCKY), "--sweep", "1..1000", "--jobs", "1", "--json")

        assert (outcome.code, outcome.err) == (1, "")
        (said,) = outcome.objects
        assert said["seeds"] == {"first": 1, "last": 1000, "played": failing}
        assert (said["holds"], said["failure"]["seed"], said["failure"]["holds"]) == (False, failing, False)
        assert said["seeds_per_s"] > 0

    def test_several_files_are_swept_one_after_the_other(self, tmp_path: Path) -> None:
        good, bad = written(tmp_path, SMALL, "good.yaml"), written(tmp_path, UNLUCKY, "bad.yaml")

        outcome = run("simulate", bad, good, "--sweep", "1..20", "--jobs", "1", "--json")

        assert outcome.code == 1
        assert [(each["scenario"], each["holds"]) for each in outcome.objects[0]["runs"]] == [
            ("unlucky", False),
            ("small", True),
        ]

    def test_a_seed_that_gives_another_run_is_not_deterministic(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Fickle(Planted):
            hashes = iter(("first", "second"))

            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                return super().__call__(plan, log, options=options)._replace(trace_hash=next(self.hashes))

        Fickle(monkeypatch)

        outcome = run("simulate", written(tmp_path, FAILING), "--sweep", "4..9", "--jobs", "1")

        assert outcome.code == 5
        assert "is not deterministic" in outcome.out
        assert "trace hash of the first time  first\n" in outcome.out
        assert "trace hash of the second time second\n" in outcome.out

    def test_a_fault_of_ours_ends_with_its_code(self, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                raise KeyError("a payload")

        Broken(monkeypatch)

        outcome = run("simulate", small, "--sweep", "4..9", "--jobs", "1")

        assert outcome.code == 70
        assert "a fault of ours: KeyError" in outcome.err
        assert "a payload" not in outcome.err

    def test_the_time_limit_ends_it(self, small: str) -> None:
        outcome = run("simulate", small, "--sweep", "1..1000000", "--jobs", "1", "--time-limit", "200ms", "--json")

        assert outcome.code == 6
        (said,) = outcome.objects
        assert (said["interrupted"], said["holds"], said["failure"]) == (True, False, None)


class TestShrink:
    CROWDED = FAILING.replace("users: {alice: {}}", "users: {alice: {}, bob: {count: 3}}").replace(
        "clients:\n", "clients:\n  - {id: more, user: bob, count: 4}\n"
    )

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_what_fails_is_made_smaller_and_written(self) -> None:
        written(Path(), self.CROWDED)

        outcome = run("simulate", "scenario.yaml", "--virtual", "--seed", "5", "--shrink")

        assert outcome.code == 1
        assert "small: 1 client, 1 upload, 0 faults left after " in outcome.err
        again = "vuemantics-ws simulate ./small-shrunk.yaml --virtual --seed 5"
        assert f"written to ./small-shrunk.yaml; play it with: {again}\n" in outcome.err
        assert "the smallest that was found to fail so is in ./small-shrunk.yaml" in outcome.out
        smaller = run(*again.split()[1:], "--json")
        assert (smaller.code, smaller.objects[0]["connections"]) == (1, 1)

    def test_nothing_is_written_over(self) -> None:
        mine = Path("small-shrunk.yaml")
        mine.write_text("mine")

        outcome = run("simulate", written(Path(), self.CROWDED), "--sweep", "1..9", "--jobs", "1", "--shrink", "--json")

        assert outcome.code == 1
        assert outcome.objects[0]["failure"]["shrunk"] == "./small-shrunk-2.yaml"
        assert mine.read_text() == "mine"
        assert Path("small-shrunk-2.yaml").exists()

    def test_what_came_out_of_the_environment_is_not_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUDIENCE", "only-we-know")
        text = self.CROWDED.replace("config: {", "config: {jwt_audience: '${env:AUDIENCE}', ")

        assert run("simulate", written(Path(), text), "--virtual", "--shrink").code == 1

        assert "only-we-know" not in Path("small-shrunk.yaml").read_text()

    def test_a_search_that_is_interrupted_leaves_the_smallest_so_far(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted(Planted):
            tries = count(1)

            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                if next(self.tries) == 4:
                    signal.raise_signal(signal.SIGINT)
                return super().__call__(plan, log, options=options)

        Interrupted(monkeypatch)

        outcome = run("simulate", written(Path(), self.CROWDED), "--virtual", "--shrink")

        assert outcome.code == 130
        assert run("simulate", "./small-shrunk.yaml", "--virtual", "--seed", "1").code == 1

    def test_what_holds_cannot_be_made_smaller(self, small: str) -> None:
        outcome = run("simulate", small, "--virtual", "--shrink")

        assert outcome.code == 0
        assert "--shrink: nothing fails, so there is nothing to make smaller" in outcome.err

    def test_a_search_that_found_nothing_smaller_writes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted(Planted):
            tries = count(1)

            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                if next(self.tries) == 2:
                    signal.raise_signal(signal.SIGINT)
                return super().__call__(plan, log, options=options)

        Interrupted(monkeypatch)

        outcome = run("simulate", written(Path(), self.CROWDED), "--virtual", "--shrink")

        assert outcome.code == 130
        assert "nothing smaller was found" in outcome.err
        assert not Path("small-shrunk.yaml").exists()

    def test_what_holds_is_left_as_it_is(self) -> None:
        assert run("simulate", written(Path(), SMALL), "--virtual", "--shrink").code == 0

        assert not Path("small-shrunk.yaml").exists()


@pytest.mark.slow
class TestProcesses:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupt_tells_what_was_found_and_leaves_nobody(self, small: str, number: signal.Signals) -> None:
        with running("simulate", small, "--sweep", "1..1000000", "--jobs", "2") as process:
            read_until(process.stderr, "of 1,000,000 seeds")
            workers = children(process.pid)

            process.send_signal(number)

            outcome = ended(process)
        assert outcome.code == 130
        assert "of 1,000,000 seeds, and was interrupted" in " ".join(outcome.out.split())
        assert "Traceback" not in outcome.err
        assert len(workers) == 2
        assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []

    def test_one_that_is_killed_leaves_nobody_either_however_long_a_seed_takes(self) -> None:
        with running("simulate", "crowd", "--sweep", "1..10", "--jobs", "2") as process:
            read_until(process.stderr, "0 of 10 seeds")
            their_ends = [os.pidfd_open(worker) for worker in children(process.pid)]

            process.kill()

            process.wait()
        assert len(their_ends) == 2
        for end in their_ends:
            with os.fdopen(end):
                assert select.select([end], [], [], 10) == ([end], [], [])

    def test_a_process_that_dies_is_a_fault_and_no_hang(self, small: str) -> None:
        with running("simulate", small, "--sweep", "1..1000000", "--jobs", "2") as process:
            read_until(process.stderr, "of 1,000,000 seeds")

            os.kill(children(process.pid)[0], signal.SIGKILL)

            outcome = ended(process)
        assert outcome.code == 70
        assert "was ended by SIGKILL\nhint: too little memory" in outcome.err

    @pytest.mark.parametrize("columns", [80, 160])
    def test_a_terminal_sees_that_it_lives(self, small: str, columns: int) -> None:
        with terminal("simulate", small, "--sweep", "1..1000000", "--jobs", "2", columns=columns) as shown:
            shown.shows("of 1,000,000 seeds in ", "a second, none fails")

            shown.press("\x03")

            assert shown.ended() == 130
            assert "none fails" not in shown.text
            assert "and was interrupted" in " ".join(shown.text.split())


class TestTrace:
    def test_nobody_is_told_to_shrink_what_a_trace_plays_again(self, tmp_path: Path) -> None:
        trace = str(tmp_path / "trace.ndjson")
        first = run("simulate", written(tmp_path, FAILING), "--virtual", "--trace", trace)

        again = run("simulate", "--replay", trace)

        assert (first.code, again.code) == (1, 1)
        assert "--shrink" in first.out
        assert "--shrink" not in again.out

    @pytest.fixture
    def trace(self, small: str, tmp_path: Path) -> str:
        path = tmp_path / "trace.ndjson"
        assert run("simulate", small, "--virtual", "--seed", "3", "--trace", str(path)).code == 0
        return str(path)

    def test_a_trace_is_played_again_and_is_the_same(self, trace: str) -> None:
        outcome = run("simulate", "--replay", trace)

        assert outcome.code == 0
        assert outcome.err.startswith("small, seed 3, again, in virtual time: ")
        assert "the same run, event by event: " in outcome.err
        assert "small holds, seed 3" in outcome.out

    def test_another_run_shows_the_first_event_that_differs(self, trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
        class Later(Planted):
            def __call__(self, plan: Plan, log: Log, *, options: virtual.VirtualOptions) -> virtual.VirtualRun:
                clients = tuple(client._replace(join_s=0.125) for client in plan.clients)
                return super().__call__(plan._replace(clients=clients), log, options=options)

        Later(monkeypatch)

        outcome, as_json = run("simulate", "--replay", trace), run("simulate", "--replay", trace, "--json")

        assert (outcome.code, as_json.code) == (5, 5)
        assert re.search(
            r"^another run from event 2 on, which differs in .*:\n +0.000 s began\nthen +0\.\d+ s .*\nnow +0\.\d+ s ",
            outcome.out,
            re.MULTILINE,
        )
        (said,) = as_json.objects
        assert (said["holds"], said["difference"]["number"]) == (False, 2)

    def test_other_versions_than_then_are_told(self, trace: str) -> None:
        path = Path(trace)
        first, rest = path.read_bytes().split(b"\n", 1)
        said = json.loads(first)
        said["versions"]["websockets"] = "1.0"
        path.write_bytes(json.dumps(said).encode() + b"\n" + rest)

        outcome = run("simulate", "--replay", trace)

        assert outcome.code == 0
        assert re.search(r"^warning: other versions than then: websockets .*, then 1\.0$", outcome.err, re.MULTILINE)

    def test_the_trace_of_a_sweep_is_that_of_the_seed_that_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "trace.ndjson"

        outcome = run(
            *("simulate", written(tmp_path, UNLUCKY), "--sweep", "1..1000", "--jobs", "1"), *("--json", "--trace", str(path))
        )

        again = run("simulate", "--replay", str(path), "--json")
        assert (outcome.code, again.code) == (1, 1)
        assert again.objects[0]["seed"] == outcome.objects[0]["failure"]["seed"]
        assert again.objects[0]["trace_hash"] == outcome.objects[0]["failure"]["trace_hash"]

    def test_a_sweep_of_which_no_seed_fails_leaves_what_was_there(self, small: str, trace: str, tmp_path: Path) -> None:
        was, new = Path(trace).read_bytes(), tmp_path / "new"

        for path in (trace, str(new)):
            assert run("simulate", small, "--sweep", "1..2", "--jobs", "1", "--trace", path).code == 0

        assert Path(trace).read_bytes() == was
        assert not new.exists()

    def test_several_runs_in_one_trace_are_played_again_in_turn(self, small: str, tmp_path: Path) -> None:
        path, failing = str(tmp_path / "trace.ndjson"), written(tmp_path, FAILING)
        first = run("simulate", small, failing, "--virtual", "--json", "--trace", path)

        again = run("simulate", "--replay", path, "--json")

        assert (first.code, again.code) == (1, 1)
        hashes = [[one["trace_hash"] for one in outcome.objects[0]["runs"]] for outcome in (first, again)]
        assert hashes[0] == hashes[1]
        assert len(hashes[0]) == 2

    def test_what_another_version_wrote_is_refused(self, trace: str) -> None:
        path = Path(trace)
        first, rest = path.read_bytes().split(b"\n", 1)
        path.write_bytes(first.replace(b'"shuffle":', b'"stir":') + b"\n" + rest)

        outcome = run("simulate", "--replay", trace)

        assert outcome.code == 2
        assert f"{trace}: this version knows no option stir of a run" in outcome.err

    @pytest.mark.parametrize("written", ["--trace", "--junit"])
    def test_what_is_read_is_not_written_over(self, small: str, trace: str, written: str) -> None:
        for read in (["--replay", trace], [small, "--virtual"]):
            path = Path(trace if "--replay" in read else small)
            was = path.read_bytes()

            outcome = run("simulate", *read, written, str(path.parent / "." / path.name))

            assert outcome.code == 2
            assert f"{written}: {path} is what is read: expected another file" in outcome.err
            assert path.read_bytes() == was

    def test_another_name_of_what_is_read_is_not_written_over(self, small: str, tmp_path: Path) -> None:
        (tmp_path / "another").hardlink_to(small)

        outcome = run("simulate", small, "--virtual", "--trace", str(tmp_path / "another"))

        assert outcome.code == 2
        assert "is what is read" in outcome.err

    def test_two_things_are_not_written_into_one_file(self, small: str, tmp_path: Path) -> None:
        path = tmp_path / "both"

        outcome = run("simulate", small, "--virtual", "--trace", str(path), "--junit", str(path))

        assert outcome.code == 2
        assert f"--junit: {path} is what --trace writes: expected another file" in outcome.err
        assert not path.exists()

    def test_what_is_no_trace_is_refused(self, small: str) -> None:
        assert run("simulate", "--replay", small).code == 2
        assert run("simulate", "--replay", "nowhere").code == 2

    @pytest.mark.parametrize("options", ["--seed 3", "--sweep 1..2", "--broker redis", "--shrink", "quickstart"])
    def test_a_trace_says_itself_what_was_played(self, trace: str, options: str) -> None:
        outcome = run("simulate", "--replay", trace, *options.split())

        assert outcome.code == 2
        assert "the trace says itself what was played" in outcome.err
