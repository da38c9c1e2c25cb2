"""``simulate``: what it refuses, what it shows while it runs, what it says in the end, and that it leaves nothing behind."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.cli.program import Outcome, ended, read_until, run, running
from tests.simulation.histories import CAT, DOG, Story
from vuemantics_ws.simulation import node as node_module
from vuemantics_ws.simulation.board import Board, ClientRow, UploadRow
from vuemantics_ws.simulation.checkers import check_laws
from vuemantics_ws.simulation.log import NodeExited, from_ndjson
from vuemantics_ws.simulation.plan import make_plan
from vuemantics_ws.simulation.reader import parse_scenario
from vuemantics_ws.simulation.report import Report, judge_run
from vuemantics_ws_cli.app import app
from vuemantics_ws_cli.commands.simulate import EPILOG
from vuemantics_ws_cli.views.simulation import Size, live, progress_line, record_line, verdict

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
        assert f"{path}:4: duration: expected a duration with its unit" in outcome.err
        assert f"{path}:8: uploads[0].owner: there is no user 'alcie' (did you mean alice?)" in outcome.err

    def test_what_is_not_built_yet_is_refused_as_such(self, tmp_path: Path) -> None:
        outcome = run("simulate", written(tmp_path, SMALL + "sweep: 1..500\n"))

        assert outcome.code == 2
        assert "sweep is not built yet" in outcome.err

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
        assert "small does not hold: 1 of 10, seed 1" in outcome.out
        assert f"vuemantics-ws simulate {path} --seed 1" in outcome.out.replace("\n", "")

    def test_json_is_one_object_and_nothing_else(self, scenario: Path) -> None:
        outcome = run("simulate", str(scenario), "--json")

        assert (outcome.code, outcome.err) == (0, "")
        (said,) = outcome.objects
        assert (said["scenario"], said["seed"], said["holds"], said["published"]) == ("small", 1, True, {"accepted": 5})
        assert [law["verdict"] for law in said["laws"]] == ["held"] * 9
        assert said["expectations"][0]["samples"] == 1
        assert said["replay"] == f"vuemantics-ws simulate {scenario} --seed 1"
        assert set(said["versions"]) == {"vuemantics-ws", "Python", "websockets"}

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

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_run_exits_130_and_leaves_no_node(self, tmp_path: Path, number: signal.Signals) -> None:
        path = written(tmp_path, SMALL.replace("for: 200ms", "for: 1m").replace("duration: 5s", "duration: 2m"))
        with running("simulate", path) as process:
            read_until(process.stderr, "clients connected")
            nodes = children(process.pid)

            process.send_signal(number)

            outcome = ended(process)
        assert outcome.code == 130
        assert "Traceback" not in outcome.err
        assert len(nodes) == 1
        assert [pid for pid in nodes if Path(f"/proc/{pid}").exists()] == []

    def test_a_terminal_gets_tables_that_move(self, scenario: Path) -> None:
        shown = on_a_terminal("simulate", str(scenario))

        assert "0 of 1 uploads ended" in shown
        assert "1 of 1 uploads ended" in shown
        assert "laws so far: order" in shown
        assert "small holds" in shown
        assert "\x1b[" in shown


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


# The views.


def drawn(view: RenderableType, *, width: int, colour: bool = False, ascii_only: bool = False) -> list[str]:
    console = Console(
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
        safe_box=ascii_only,
    )
    with console.capture() as captured:
        console.print(view)
    return captured.get().splitlines()


def busy_board(uploads: int = 4, clients: int = 5) -> Board:
    board = Board(at_s=12.3, phase="running")
    states: list[Any] = ["running", "completed", "failed", "waiting"]
    for number in range(uploads):
        row = UploadRow(f"upload-{number}", states[number % 4], "embedding_generation", 60)
        board.uploads[str(number)] = row
    for number in range(clients):
        state: Any = ["open", "away", "left", "waiting", "connecting"][number % 5]
        board.clients[f"client-{number}"] = ClientRow(
            f"client-{number}", "alice", state, 123, 2, {"upload-0": 60, "upload-2": "failed"}
        )
    return board


LAWS = check_laws(Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1).history())


class TestLiveView:
    @pytest.mark.parametrize("width", [80, 100, 160, 240])
    @pytest.mark.parametrize("height", [24, 40, 60])
    @pytest.mark.parametrize("count", [0, 1, 5, 500])
    def test_it_fits_the_terminal(self, width: int, height: int, count: int) -> None:
        view = live(busy_board(count, count), LAWS, title="busy, seed 1", size=Size(width, height))

        lines = drawn(view, width=width)

        assert max(cell_len(line) for line in lines) <= width
        assert len(lines) <= height

    @pytest.mark.parametrize("width", [80, 160])
    def test_nothing_that_matters_is_cut_or_told_by_colour_alone(self, width: int) -> None:
        view = live(busy_board(), LAWS, title="busy, seed 1", size=Size(width, 40))

        text = "\n".join(drawn(view, width=width))

        for word in ("upload-0", "embedding_generation", " 60 %", "completed", "failed", "waiting", "busy, seed 1  12.3 s"):
            assert word in text
        for word in ("away (2 connections)", "left", "connecting", "2 of 4 uploads ended", "1 of 5 clients connected"):
            assert word in text
        assert "order violated" in text.replace("\n", " ")
        assert re.search(r"█+░+ +60 %", text)

    def test_colour_adds_nothing_but_colour(self) -> None:
        view = live(busy_board(), LAWS, title="busy", size=Size(80, 40))

        plain = [line.rstrip() for line in drawn(view, width=80)]
        coloured = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in drawn(view, width=80, colour=True)]

        assert plain == coloured

    def test_no_colour_is_fixed_to_a_dark_or_a_light_background(self) -> None:
        lines = drawn(live(busy_board(), LAWS, title="busy", size=Size(80, 40)), width=80, colour=True)

        codes = set(re.findall("\x1b\\[([0-9;]*)m", "\n".join(lines)))
        used = {int(code) for group in codes for code in group.split(";") if code}
        assert used <= {0, 1, 2, 31, 32, 33, 36}, "bold, dim and the four colours that can be read on both"

    def test_a_terminal_without_blocks_gets_a_bar_too(self) -> None:
        text = "\n".join(drawn(live(busy_board(), [], title="busy", size=Size(80, 40, True)), width=80))

        assert re.search(r"#+-+ +60 %", text)
        assert "█" not in text

    def test_what_moves_is_shown_first_where_there_is_no_room(self) -> None:
        text = "\n".join(drawn(live(busy_board(400, 400), [], title="busy", size=Size(80, 24)), width=80))

        assert "upload-0 " in text
        assert "upload-1 " not in text
        assert "client-1 " in text
        assert re.search(r"and \d+ more", text)

    def test_a_server_that_is_being_started_is_said_to_be(self) -> None:
        assert "starting a server" in "\n".join(drawn(live(Board(), [], title="t", size=Size(80, 24)), width=80))

    def test_a_line_for_where_nothing_moves_says_as_much(self) -> None:
        assert progress_line(busy_board()) == "  12.3 s  2 of 4 uploads ended, 1 of 5 clients connected, 0 states received"


def report_of(story: Story, expect: str = "") -> Report:
    text = (
        f"version: 1\nname: story\ndescription: d\nduration: 1s\nusers: {{u: {{}}}}\nclients: [{{id: desk, user: u}}]\n{expect}"
    )
    return judge_run(make_plan(parse_scenario(text, file="s", environment={}), 1), story.is_over().records)


def shown(report: Report, width: int) -> str:
    lines = drawn(verdict(report, replay="vuemantics-ws simulate story --seed 1", versions="Python 3"), width=width)
    assert max(cell_len(line) for line in lines) <= width
    return "\n".join(lines)


class TestVerdictView:
    @pytest.mark.parametrize("width", [80, 160])
    def test_what_holds_is_a_table_and_a_sentence(self, width: int) -> None:
        text = shown(
            report_of(Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits()), width
        )

        assert re.search(r"^held +order +versions only grow +1$", text, re.MULTILINE)
        assert "vacuous" in text
        assert "story does not hold" in text

    @pytest.mark.parametrize("width", [80, 160])
    def test_what_does_not_hold_shows_the_first_violation_and_what_led_to_it(self, width: int) -> None:
        story = Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1)

        text = shown(report_of(story, "expect: [{terminal: {}}]"), width)

        flat = " ".join(text.split())
        assert "order violated at 0.050 s: desk (connection 1) got (1, 1) of cat after (1, 2)" in flat
        assert "> 0.050 s desk (1) received upload_progress cat (1, 1)" in flat
        assert "terminal: nothing was seen that could have broken it, so nothing is proved" in flat
        assert "again with: vuemantics-ws simulate story --seed 1" in flat

    def test_what_came_over_the_wire_cannot_move_the_cursor(self) -> None:
        story = Story().joins("desk")
        story.records.append(story.hears("desk", "upload\x1b[2J").records.pop())

        line = record_line(story.records[-1], {DOG: "dog"}, {1: "desk"})

        assert "\x1b" not in line
        assert "upload\\x1b[2J" in line
