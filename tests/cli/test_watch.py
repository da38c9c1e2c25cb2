"""``watch`` where nothing moves: in pipes, for programs, and what it refuses."""

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import Server, ended, free_port, read_until, run, running, server
from vuemantics_ws_cli.watching.browsing import SORTS, View

PAGE = Path(__file__).parents[2] / "docs" / "watching.md"
NOWHERE = ("--control", "http://127.0.0.1:1")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (["--uploads", "--connections"], "error: expected one view, got --uploads and --connections"),
            (["--every", "100ms"], "error: --every: expected 250ms to 60s, got 100ms"),
            (["--every", "2"], "error: --every: expected a duration"),
            (["--duration", "x"], "error: --duration: expected a duration"),
            (["--once", "--count", "2"], "error: expected --once or --count, got both"),
            (["--limit", "0"], "error: invalid value for '--limit'"),
            (["--control", "ws://x"], "error: --control: expected a URL"),
        ],
    )
    def test_what_cannot_be_is_refused_before_anything_is_asked(self, arguments: list[str], error: str) -> None:
        outcome = run("watch", *arguments)

        assert outcome.code == 2
        assert outcome.err.startswith(error)

    @pytest.mark.parametrize("arguments", [["--once"], [], ["--json"]])
    def test_a_server_that_was_never_there_exits_3(self, arguments: list[str]) -> None:
        outcome = run("watch", *arguments, *NOWHERE)

        assert outcome.code == 3
        assert "error: no server answers at http://127.0.0.1:1" in outcome.err

    @pytest.mark.parametrize(("option", "value"), [("--filter", "usr=alice"), ("--sort", "usr")])
    def test_a_bad_filter_or_sort_exits_2_with_the_server_s_words(self, open_server: Server, option: str, value: str) -> None:
        outcome = run("watch", "--connections", option, value, "--once", *open_server.at_control)

        assert outcome.code == 2
        assert outcome.err.splitlines() == [
            f"error: {option.removeprefix('--')}, character 1: expected a field, got 'usr'",
            "hint: did you mean user?",
        ]


class TestPipes:
    def test_once_is_one_block_of_plain_text(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "40", *open_server.at_control)

        outcome = run("watch", "--once", "--filter", f"upload={upload_id}", *open_server.at_control)

        assert (outcome.code, outcome.err) == (0, "")
        assert re.match(r"\d\d:\d\d:\d\d  node:0  ready", outcome.out)
        assert "DEVELOPMENT MODE" in outcome.out
        assert re.search(rf"^{upload_id[:8]}\S*  \w+ +█+░+  40 % +1\.1 +0 ", outcome.out, re.MULTILINE)
        assert re.search(r"^uploads  rows 1-1 of 1 matched, \d+ in all$|^uploads  rows 1-1 of 1$", outcome.out, re.MULTILINE)
        assert max(len(line) for line in outcome.lines) <= 80
        assert "\x1b" not in outcome.out

    @pytest.mark.parametrize("columns", ["20", "40", "120", None])
    @pytest.mark.parametrize("view", ["--uploads", "--subscriptions", "--connections"])
    def test_it_is_as_wide_as_it_is_told(
        self, open_server: Server, columns: str | None, view: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("COLUMNS")
        if columns is not None:
            monkeypatch.setenv("COLUMNS", columns)

        outcome = run("watch", "--once", view, *open_server.at_control)

        assert outcome.code == 0
        assert max(len(line) for line in outcome.lines) <= int(columns or 160)

    def test_json_is_one_frame_a_line(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "40", *open_server.at_control)
        options = ("--json", "--count", "2", "--every", "250ms", "--filter", f"upload={upload_id}", *open_server.at_control)

        uploads = run("watch", *options)
        subscriptions = run("watch", "--subscriptions", *options)

        assert (uploads.code, uploads.err) == (0, "")
        first, second = uploads.objects
        assert first["views"][0]["rows"][0]["upload"] == upload_id
        assert second["at"] > first["at"]
        for frame in subscriptions.objects:
            assert [page["view"] for page in frame["views"]] == ["followers", "follows"]

    def test_what_the_options_say_is_asked_of_the_server(self, open_server: Server, upload_id: str) -> None:
        for percent in ("10", "20", "30"):
            run("publish", upload_id + percent, percent, *open_server.at_control)
        mine = f"upload={upload_id}*"

        outcome = run("watch", "--once", "--json", "--filter", mine, "--sort=-percent", "--limit", "2", *open_server.at_control)

        (page,) = outcome.objects[0]["views"]
        assert [row["percent"] for row in page["rows"]] == [30, 20]
        assert page["matched"] == 3

    @pytest.mark.slow
    def test_a_reader_that_has_had_enough_is_no_error(self, open_server: Server) -> None:
        with running("watch", "--json", "--every", "250ms", *open_server.at_control) as watching:
            head = subprocess.run(["head", "-n", "1"], stdin=watching.stdout, capture_output=True, check=True, timeout=10)
            assert watching.stdout is not None
            watching.stdout.close()
            watching.stdout = None

            outcome = ended(watching)
        assert json.loads(head.stdout)["node"]["state"] == "ready"
        assert (outcome.code, outcome.err) == (0, "")

    @pytest.mark.slow
    def test_ctrl_c_and_a_duration_that_is_over_end_it_with_0(self, open_server: Server) -> None:
        with running("watch", *open_server.at_control) as watching:
            read_until(watching.stdout, "node:0")
            watching.send_signal(signal.SIGINT)
            interrupted = ended(watching)
        over = run("watch", "--duration", "300ms", "--every", "250ms", *open_server.at_control)

        assert (interrupted.code, interrupted.err) == (0, "")
        assert (over.code, over.err) == (0, "")
        assert over.out.count("node:0") in (1, 2)

    @pytest.mark.slow
    def test_a_server_that_goes_away_is_waited_for(self, tmp_path: Path) -> None:
        ports = ("--port", str(free_port()), "--control-port", str(free_port()))
        with server(tmp_path, *ports) as first, running("watch", "--json", "--every", "250ms", *first.at_control) as watching:
            read_until(watching.stdout, "ready")
            first.process.terminate()
            first.process.wait(10)

            warning = read_until(watching.stderr, "warning: ")
            hint = read_until(watching.stderr, "hint: ")

            with server(tmp_path, *ports) as second:
                read_until(watching.stdout, f'"pid":{second.process.pid},')
        assert "the server said goodbye" in warning
        assert "trying again in" in hint


class TestColumns:
    @pytest.mark.parametrize("view", SORTS)
    def test_the_server_sorts_by_each_that_a_key_asks_for(self, open_server: Server, view: View) -> None:
        for sort in SORTS[view]:
            outcome = run("watch", "--once", f"--{view}", f"--sort={sort}", *open_server.at_control)

            assert outcome.code == 0, outcome.err

    @pytest.mark.parametrize("view", ["uploads", "connections"])
    def test_each_head_is_a_name_in_filters(self, open_server: Server, view: View) -> None:
        for sort in SORTS[view]:
            outcome = run(view, "--filter", f"{sort.removeprefix('-')}!=null", *open_server.at_control)

            assert outcome.code == 0, outcome.err

    def test_the_page_shows_a_filter_for_each_view_and_the_server_takes_it(self, open_server: Server) -> None:
        shown = re.findall(r"`(--(uploads|subscriptions|connections|nodes) --filter .+)`", PAGE.read_text(encoding="utf-8"))

        assert {view for _, view in shown} == set(SORTS)
        for options, _ in shown:
            outcome = run("watch", "--once", *shlex.split(options), *open_server.at_control)

            assert outcome.code == 0, outcome.err
