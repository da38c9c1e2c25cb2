"""``serve --watch``: the tables in the server's own terminal, and what the server says meanwhile."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.cli.terminal import Terminal, terminal
from vuemantics_ws_cli.watching.own_tables import HeldBack


@pytest.mark.slow
class TestServing:
    def test_q_leaves_the_tables_and_the_server_goes_on_with_its_log(self, tmp_path: Path) -> None:
        with serving(tmp_path) as shown:
            shown.shows("node:0  ready", "q quit")
            assert b"is ready" not in shown.written

            shown.press("q")

            text = shown.shows("vuemantics-ws", "is ready", "Ctrl-C stops it")
            control = re.findall(r"control +(http://\S+)", text)[0]
            assert run("uploads", "--control", control).code == 0
            assert not shown.alternate
            shown.press("\x03")
            assert shown.ended() == 0
            assert shown.attributes() == shown.before

    def test_ctrl_c_stops_the_server_in_order_and_leaves_the_terminal_as_it_was(self, tmp_path: Path) -> None:
        with serving(tmp_path) as shown:
            shown.shows("node:0  ready", "q quit")

            shown.press("\x03")

            assert shown.ended() == 0
            assert "is ready" in shown.text
            assert not shown.alternate
            assert shown.attributes() == shown.before

    def test_ctrl_z_means_nothing_while_there_are_tables_and_stops_the_server_afterwards(self, tmp_path: Path) -> None:
        arguments = ("serve", "--watch", "--drain", "0", "--port", "0", "--control-port", "0")
        script = 'set -m; "$@"; echo stopped; fg >/dev/null; echo "ended $?"'
        with terminal(*arguments, lines=40, shell=script, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as shown:
            shown.shows("node:0  ready", "q quit")
            shown.press("\x1a")
            shown.press("c")
            assert "stopped" not in shown.shows("connections  none")
            shown.press("q")
            shown.shows("is ready")

            shown.press("\x1a")
            shown.shows("stopped")
            shown.press("\x03")

            shown.shows("ended 0")

    def test_a_signal_to_the_server_ends_the_tables_too(self, tmp_path: Path) -> None:
        with serving(tmp_path) as shown:
            shown.shows("node:0  ready", "q quit")

            shown.process.terminate()

            assert shown.ended() == 0
            assert not shown.alternate
            assert shown.attributes() == shown.before

    @pytest.mark.parametrize(("options", "kind"), [(("--json",), "xterm"), ((), "dumb")])
    def test_it_wants_a_terminal_to_itself(self, options: tuple[str, ...], kind: str) -> None:
        with terminal("serve", "--watch", "--port", "0", "--control-port", "0", *options, TERM=kind) as shown:
            assert shown.ended() == 2
            assert "hint: vuemantics-ws watch shows the tables of a running server" in shown.text


def test_serving_with_tables_in_a_pipe_is_refused() -> None:
    outcome = run("serve", "--watch")

    assert outcome.code == 2
    assert outcome.err.startswith("error: --watch: expected a terminal that can show tables\nhint: vuemantics-ws watch ")


def serving(state: Path) -> "contextlib.AbstractContextManager[Terminal]":
    return terminal(
        "serve", "--watch", "--drain", "0", "--port", "0", "--control-port", "0", lines=40, VUEMANTICS_WS_STATE_DIR=str(state)
    )


class TestHeldBack:
    def test_what_is_written_waits_until_it_is_let_go(self) -> None:
        behind = io.StringIO()
        held = HeldBack(behind)

        held.write("one\ntw")
        held.write("o\nthree")

        assert behind.getvalue() == ""
        held.let_go()
        assert behind.getvalue() == "one\ntwo\nthree"

    def test_afterwards_nothing_is_held(self) -> None:
        behind = io.StringIO()
        held = HeldBack(behind)

        held.let_go()
        held.write("one\n")
        held.let_go()

        assert behind.getvalue() == "one\n"

    def test_the_oldest_lines_are_dropped_and_counted(self) -> None:
        behind = io.StringIO()
        held = HeldBack(behind, lines_max=2)

        held.write("one\ntwo\nthree\nfour\nfi")
        held.let_go()

        assert behind.getvalue() == "(2 earlier lines were dropped)\nthree\nfour\nfi"
