"""``simulate``: what it refuses, what it shows while it runs, what it says in the end, and that it leaves nothing behind."""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer

from tests.cli.program import Outcome, Server, ended, read_until, run, running
from vuemantics_ws.simulation.log import Began, NodeExited, from_ndjson
from vuemantics_ws.simulation.real import node as node_module
from vuemantics_ws_cli.app import app
from vuemantics_ws_cli.commands.simulate import EPILOG

SMALL = """\
version: 1
name: small
description: Does a tab learn how its upload ends?
duration: 5s
server: {config: {grace: 0, drain: 0}}
users: {alice: {}}
uploads:
  - {id: up, owner: alice, start: 100ms, pipeline: [{stage: queued, for: 100ms}, {stage: indexing, for: 200ms, steps: 3}]}
clients:
  - {id: tab, user: alice}
expect:
  - terminal: {is: completed, within: 1s}
"""
FAILING = SMALL.replace("is: completed", "is: failed")


UPLOAD_ID = "5c4e2f0a-9a39-4d0e-8f5f-3f1f3c0a7d11"


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


class TestUsage:
    def test_a_name_that_is_none_is_refused_with_those_there_are(self) -> None:
        outcome = run("simulate", "quickstrat")

        assert outcome.code == 2
        assert outcome.out == ""
        assert "error: quickstrat: there is no such file, and no bundled scenario of that name" in outcome.err
        assert "quickstart" in outcome.err

    def test_a_bad_file_is_refused_with_all_its_errors(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL.replace("duration: 5s", "duration: 5").replace("owner: alice", "owner: alcie"))

        outcome = run("simulate", path)

        assert outcome.code == 2
        first, second = outcome.err.splitlines()
        assert first.startswith(f"error: {path}:4: duration: expected a duration with its unit")
        assert second == f"error: {path}:8: uploads[0].owner: there is no user 'alcie' (did you mean alice?)"

    def test_errors_are_those_of_check_and_call_a_file_as_it_was_typed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        written(tmp_path, SMALL.replace("duration: 5s", "duration: 5"))
        (tmp_path / "binary").write_bytes(b"\xff")

        for typed in ("./scenario.yaml", "./binary", "../" + tmp_path.name):
            outcome = run("simulate", typed)

            assert (outcome.code, outcome.err) == (2, run("scenarios", "--check", typed).err)
            assert all(line.startswith(f"error: {typed}:") for line in outcome.err.splitlines())

    def test_what_is_not_built_yet_is_refused_as_such(self, tmp_path: Path) -> None:
        outcome = run("simulate", written(tmp_path, SMALL.replace("server: {config: {", "server: {config: {access: http, ")))

        assert outcome.code == 2
        assert "access: http is not built yet" in outcome.err

    def test_a_fault_that_cannot_happen_here_is_refused_before_anything_is_played(self, tmp_path: Path) -> None:
        jump = run("simulate", written(tmp_path, SMALL + "faults: [{at: 1s, do: clock.jump, for: 1h}]\n"))
        ours = written(tmp_path, SMALL + "faults: [{at: 1s, do: node.kill}]\n")
        theirs = run("simulate", ours, "--url", "ws://127.0.0.1:1")

        assert (jump.code, theirs.code) == (2, 2)
        assert "faults[0]: clock.jump is for virtual time alone" in jump.err
        assert "faults[0]: node.kill befalls processes that are not ours" in theirs.err

    def test_an_option_that_is_not_built_yet_is_refused_as_such(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--html", "run.html")

        assert (outcome.code, outcome.out, outcome.err) == (2, "", "error: --html: a timeline in HTML is not built yet\n")

    def test_nothing_to_play_is_wrong_usage(self) -> None:
        outcome = run("simulate")

        assert outcome.code == 2
        assert outcome.err.startswith("error: SCENARIO: expected one at least\nhint: a file, or one of: ")
        assert "quickstart" in outcome.err

    def test_one_bad_file_and_none_is_played(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "no-such-file")

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: no-such-file: there is no such file")

    @pytest.mark.parametrize("limit", ["5", "soon", "-1s"])
    def test_a_time_limit_has_its_unit(self, scenario: Path, limit: str) -> None:
        outcome = run("simulate", str(scenario), "--time-limit", limit)

        assert outcome.code == 2
        assert "--time-limit: expected a duration" in outcome.err

    def test_a_trace_that_cannot_be_written_is_refused_before_anything_starts(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--trace", "/nowhere/at/all.ndjson")

        assert outcome.code == 2
        assert "--trace: /nowhere/at/all.ndjson cannot be written: no such file or directory" in outcome.err

    @pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
    def test_a_seed_is_a_whole_number(self, scenario: Path, seed: str) -> None:
        assert run("simulate", str(scenario), "--seed", seed).code == 2

    def test_a_node_that_does_not_start_is_an_unfit_environment(self, scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(node_module, "START_TIMEOUT_S", 0.0)

        outcome = run("simulate", str(scenario))

        assert outcome.code == 3
        assert "error: a node was not ready within 0 s" in outcome.err
        assert outcome.out == ""

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ("--clients 2", "--follow: expected an upload at least"),
            (f"--follow {UPLOAD_ID}", "--clients: expected how many there are"),
            ("--clients 2 --follow holiday", "--follow: expected a UUID, got 'holiday'"),
            (f"--clients 0 --follow {UPLOAD_ID}", "invalid value for '--clients'"),
            (f"--clients 2 --follow {UPLOAD_ID} --duration 0s", "--duration: expected more than 0s"),
            (f"--clients 2 --follow {UPLOAD_ID} --duration 32d", "--duration: expected more than 0s, and at most 31d"),
            (f"--clients 2 --follow {{{UPLOAD_ID}}}", "--follow: expected a UUID, got '{"),
            (f"--clients 2 --follow urn:uuid:{UPLOAD_ID}", "--follow: expected a UUID, got 'urn:uuid:"),
            (f"--clients 2 --follow {UPLOAD_ID} --duration 5", "--duration: expected a duration"),
            (f"--clients 2 --follow {UPLOAD_ID} --url http://x", "--url: expected a URL that begins with ws://"),
            (f"--clients 2 --follow {UPLOAD_ID} --url ws://there.example/ws", "--control: expected the control port's URL"),
            (
                f"quickstart --clients 2 --follow {UPLOAD_ID}",
                "SCENARIO: expected a scenario, or --clients and --follow, got both",
            ),
            ("quickstart --control http://127.0.0.1:1", "--control: expected --url, too"),
            ("quickstart --url nonsense", "--url: expected a URL that begins with ws://"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, arguments: str, words: str) -> None:
        outcome = run("simulate", *arguments.split())

        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(f"error: {words}")

    @pytest.mark.parametrize("what", ["quickstart", f"--clients 2 --follow {UPLOAD_ID}"])
    def test_a_server_that_is_not_there_is_an_unfit_environment(self, what: str) -> None:
        outcome = run("simulate", *what.split(), "--url", "ws://127.0.0.1:1/ws", "--control", "http://127.0.0.1:1")

        assert (outcome.code, outcome.out) == (3, "")
        assert "error: no server answers at http://127.0.0.1:1" in outcome.err

    def test_its_examples_parse(self) -> None:
        command = typer.main.get_command(app).commands["simulate"]  # type: ignore[attr-defined]
        found = re.findall(r"\[cyan\]vuemantics-ws simulate (.*?)\[/cyan\]", EPILOG)

        assert len(found) >= 2
        for example in found:
            command.make_context("simulate", shlex.split(example))


@pytest.mark.slow
class TestRuns:
    def test_what_holds_exits_0_and_says_so_in_plain_lines(self, scenario: Path, tmp_path: Path) -> None:
        trace = tmp_path / "trace.ndjson"

        outcome = run("simulate", str(scenario), "--seed", "7", "--trace", str(trace))

        assert outcome.code == 0, outcome.err
        assert "small holds, seed 7: 5 events published" in outcome.out
        assert re.search(r"^held +order ", outcome.out, re.MULTILINE)
        assert re.search(r"^held +terminal ", outcome.out, re.MULTILINE)
        assert outcome.err.startswith("small, seed 7: Does a tab learn how its upload ends?\n")
        assert "1 of 1 uploads ended, 1 of 1 clients connected" in outcome.err
        assert "\x1b" not in outcome.out + outcome.err
        assert isinstance(from_ndjson(trace.read_bytes())[-1], NodeExited)

    def test_what_does_not_hold_exits_1_with_what_led_there_and_how_to_see_it_again(self, tmp_path: Path) -> None:
        path = written(tmp_path, FAILING)

        outcome = run("simulate", path)

        assert outcome.code == 1
        assert "tab learned that up completed, expected failed" in outcome.out
        assert "tab (1) received upload_completed up (1, 5)" in outcome.out
        assert "small does not hold: 1 of 11, seed 1" in outcome.out
        assert f"vuemantics-ws simulate {path} --seed 1" in outcome.out.replace("\n", "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
    def test_a_trace_that_could_not_be_written_is_told_at_the_end(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--trace", "/dev/full")

        assert outcome.code == 3
        assert "error: --trace: /dev/full could not be written: no space left on device" in outcome.err

    def test_json_is_one_object_and_nothing_else(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--json")

        assert (outcome.code, outcome.err) == (0, "")
        (said,) = outcome.objects
        assert (said["scenario"], said["seed"], said["holds"], said["published"]) == ("small", 1, True, {"accepted": 5})
        assert [law["verdict"] for law in said["laws"]] == ["held"] * 9
        assert [rule["verdict"] for rule in said["rules"]] == ["held"]
        assert said["latency"]["p99_s"] > 0
        assert said["expectations"][0]["samples"] == 1
        assert said["replay"] == f"vuemantics-ws simulate {scenario} --seed 1"
        assert set(said["versions"]) >= {"vuemantics-ws", "Python", "websockets"}

    def test_json_of_what_does_not_hold_has_the_context(self, tmp_path: Path) -> None:
        outcome = run("simulate", written(tmp_path, FAILING), "--json")

        assert outcome.code == 1
        (said,) = outcome.objects
        assert said["holds"] is False
        assert said["expectations"][0]["violation"]["context"][-1]["action"] == "upload_completed"

    def test_quickstart_holds_within_fifteen_seconds(self) -> None:
        with running("simulate", "quickstart", "--json") as process:
            outcome = Outcome(0, *process.communicate(timeout=15))

        assert outcome.objects[0]["holds"] is True
        assert process.returncode == 0

    def test_several_files_are_played_in_order_and_the_worst_decides(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
        good.write_text(SMALL, encoding="utf-8")
        bad.write_text(FAILING.replace("name: small", "name: worse"), encoding="utf-8")
        results, trace = tmp_path / "results.xml", tmp_path / "trace.ndjson"

        outcome = run("simulate", str(bad), str(good), "--json", "--junit", str(results), "--trace", str(trace))

        assert outcome.code == 1
        (said,) = outcome.objects
        assert said["holds"] is False
        assert [(each["scenario"], each["holds"]) for each in said["runs"]] == [("worse", False), ("small", True)]
        suites = ET.parse(results).getroot()
        assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [("worse", "1"), ("small", "0")]
        assert sum(isinstance(record, Began) for record in from_ndjson(trace.read_bytes())) == 2

    def test_what_runs_out_of_time_is_told_as_far_as_it_came(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL.replace("for: 200ms", "for: 1m").replace("duration: 5s", "duration: 2m"))

        outcome = run("simulate", path, "--time-limit", "2s", "--json")

        assert outcome.code == 6
        assert outcome.err == "error: --time-limit: the time is over, with 1 of 1 scenarios begun\n"
        assert (outcome.objects[0]["interrupted"], outcome.objects[0]["holds"]) == (True, False)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_run_exits_130_and_leaves_no_node(self, tmp_path: Path, number: signal.Signals) -> None:
        long = SMALL.replace("for: 200ms", "for: 1m").replace("duration: 5s", "duration: 2m")
        path = written(tmp_path, long + "  - close: {clients: tab, codes: [1000]}\n")
        with running("simulate", path) as process:
            read_until(process.stderr, "clients connected")
            nodes = children(process.pid)

            process.send_signal(number)

            outcome = ended(process)
        assert outcome.code == 130
        assert "small was interrupted" in outcome.out
        assert re.search(r"^not seen yet +no residue ", outcome.out, re.MULTILINE)
        assert "violated" not in outcome.out
        assert "Traceback" not in outcome.err
        assert len(nodes) == 1
        assert [pid for pid in nodes if Path(f"/proc/{pid}").exists()] == []

    def test_a_run_that_is_killed_leaves_no_node_either(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL.replace("for: 200ms", "for: 1m").replace("duration: 5s", "duration: 2m"))
        with running("simulate", path) as process:
            read_until(process.stderr, "clients connected")
            (node,) = children(process.pid)
            its_end = os.pidfd_open(node)

            process.kill()

            process.wait()
        with os.fdopen(its_end):
            assert select.select([its_end], [], [], 20) == ([its_end], [], [])

    def test_a_terminal_gets_tables_that_move(self, tmp_path: Path) -> None:
        """For a while nothing moves, so that a machine that is busy draws it, too."""
        path = written(tmp_path, SMALL.replace("queued, for: 100ms", "queued, for: 2s"))

        shown = on_a_terminal("simulate", path)

        assert "0 of 1 uploads ended" in shown
        assert "1 of 1 uploads ended" in shown
        assert "laws so far: order" in shown
        assert "small holds" in shown
        assert "\x1b[" in shown

    def test_a_terminal_gets_a_description_that_breaks_between_words(self, tmp_path: Path) -> None:
        path = written(tmp_path, SMALL.replace("Does a tab learn how its upload ends?", "unbroken " * 20))

        shown = on_a_terminal("simulate", path)

        lines = [line.strip() for line in shown.splitlines() if line.startswith("unbroken ")]
        assert lines == [" ".join(["unbroken"] * words) for words in (9, 9, 2)]


@pytest.mark.slow
class TestRunningServer:
    def test_a_scenario_is_played_at_a_server_that_runs_already(self, open_server: Server, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--json", *open_server.at_url)

        assert outcome.code == 0, outcome.err
        (said,) = outcome.objects
        assert said["published"] == {"accepted": 5}
        assert said["replay"] == f"vuemantics-ws simulate {scenario} --seed 1 {' '.join(open_server.at_url)}"
        assert open_server.process.poll() is None

    def test_clients_see_what_somebody_else_publishes_until_it_ends(self, open_server: Server, upload_id: str) -> None:
        with running("simulate", "--clients", "3", "--follow", upload_id, *open_server.at_url) as process:
            read_until(process.stderr, "3 of 3 clients connected")

            for progress in ("0", "50", "completed"):
                assert run("publish", upload_id, progress, *open_server.at_control).code == 0

            outcome = ended(process)
        assert outcome.code == 0, outcome.out
        assert "visitors holds, seed 1: others published, 9 states received on 3 connections" in outcome.out.replace("\n", " ")
        assert "duration" not in outcome.out

    def test_clients_leave_after_their_duration_whatever_has_ended(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "50", *open_server.at_control)

        outcome = run(
            "simulate",
            "--clients",
            "2",
            "--follow",
            upload_id,
            "--user",
            "alice",
            "--duration",
            "1s",
            "--json",
            *open_server.at_url,
        )

        (said,) = outcome.objects
        assert said["received"]["upload_progress"] >= 2
        assert outcome.code == 0, said
        assert said["lasted_s"] < 8

    def test_an_interrupted_visit_shows_what_was_seen(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "50", *open_server.at_control)
        with running("simulate", "--clients", "2", "--follow", upload_id, *open_server.at_url) as process:
            read_until(process.stderr, "2 of 2 clients connected")

            process.send_signal(signal.SIGINT)

            outcome = ended(process)
        assert outcome.code == 130
        assert "visitors was interrupted" in outcome.out


def children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def on_a_terminal(*arguments: str) -> str:
    """What a command writes to a terminal of 80 columns and 24 lines."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vuemantics_ws_cli", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while True:
            try:
                written += os.read(ours, 65536)
            except OSError:  # the last of the other side is closed
                break
        assert process.wait(timeout=10) == 0
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    return written.decode()
