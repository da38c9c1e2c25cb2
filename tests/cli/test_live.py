"""The live tables as a person has them: the real program on a terminal, with a real server."""

import contextlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.frames import frame, page
from tests.cli.program import Server, free_port, read_until, run, running, server
from tests.cli.terminal import Terminal, terminal

pytestmark = pytest.mark.slow

FAST = ("--every", "250ms")


@pytest.fixture
def watched(open_server: Server, upload_id: str) -> Iterator[Terminal]:
    """Tables of an upload of this test's own, which stands at 40 %."""
    run("publish", upload_id, "40", *open_server.at_control)
    with terminal("watch", *FAST, "--filter", f"upload={upload_id}", *open_server.at_control) as shown:
        shown.shows("40 %")
        yield shown


def is_left_as_it_was(shown: Terminal) -> bool:
    cursor = shown.written.rfind(b"\x1b[?25h") > shown.written.rfind(b"\x1b[?25l")
    return cursor and not shown.alternate and shown.attributes() == shown.before


class TestWatching:
    def test_what_happens_is_seen(self, watched: Terminal, open_server: Server, upload_id: str) -> None:
        watched.shows("node:0  ready", "DEVELOPMENT MODE", "uploads  rows 1-1 of", f"filter upload={upload_id}")

        run("publish", upload_id, "60", *open_server.at_control)

        watched.shows(" 60 %")
        assert watched.alternate

    def test_keys_lead_from_view_to_view(self, watched: Terminal) -> None:
        watched.press("s")
        watched.shows("followers  ", "follows  ")

        watched.press("c")
        watched.shows("connections  ", "error: connections have no field 'upload'")

        watched.press("\t")
        watched.shows("nodes  ", "error: nodes have no field 'upload'")

        watched.press("\t")
        watched.shows("uploads  rows 1-1 of", "40 %")

    def test_who_is_connected_and_who_follows_what_is_seen(self, open_server: Server, upload_id: str) -> None:
        user = f"u{upload_id[-6:]}"
        with running("listen", upload_id, "--user", user, *open_server.at_url) as listener:
            read_until(listener.stderr, "following")
            with terminal("watch", *FAST, "--connections", "--filter", f"user={user}", *open_server.at_control) as shown:
                assert re.search(rf"^ +\d+  {user} +open ", shown.shows(user, "  open "), re.MULTILINE)

                shown.press("s")

                text = shown.shows("followers  rows 1-1", "follows  rows 1-1")
                assert re.search(rf"^{upload_id[:8]}\S* +unpublished +1 +1  {user}$", text, re.MULTILINE)
                assert re.search(rf"^{user} +\d+ +1  {upload_id[:8]}\S* unpublished$", text, re.MULTILINE)

    def test_a_filter_is_edited_in_place(self, watched: Terminal, upload_id: str) -> None:
        watched.press("/")
        watched.shows("Enter applies  Esc leaves")
        watched.press("\x15percent<99\x7f0 and upload=nobody")
        watched.shows("filter: percent<90 and upload=nobody")
        watched.press("\r")

        watched.shows("filter percent<90 and upload=nobody", "none of them matches")

    def test_a_filter_that_is_left_with_escape_stays_what_it_was(self, watched: Terminal, upload_id: str) -> None:
        watched.press("/xyz")
        watched.shows(f"filter: upload={upload_id}xyz")

        watched.press("\x1b")

        watched.shows_no_more("Enter applies")
        watched.shows(f"filter upload={upload_id}  default order", " 40 %")

    def test_a_bad_filter_is_complained_about_and_can_be_mended(self, watched: Terminal, upload_id: str) -> None:
        watched.press("/\x15precent>3\r")
        watched.shows("error: filter, character 1: expected a field, got 'precent': did you mean perce", " 40 %")

        watched.press("/")
        watched.shows("filter: precent>3")
        watched.press("\x15upload=nobody\r")

        watched.shows("filter upload=nobody", "none of them matches")

    def test_a_sort_is_marked_and_reversed(self, watched: Terminal) -> None:
        watched.press("ooo")
        watched.shows("percent ▼", "sort -percent")

        watched.press("r")
        watched.shows("percent ▲", "sort percent")

        watched.press("OOO")
        watched.shows("default order")

    def test_paused_tables_stand_still_until_they_go_on(self, watched: Terminal, open_server: Server, upload_id: str) -> None:
        watched.press(" ")
        watched.shows("PAUSED since ")
        run("publish", upload_id, "70", *open_server.at_control)
        watched.press("?")
        watched.shows("edit the filter")
        watched.press("x")
        assert " 40 %" in watched.shows("PAUSED since ", " %", "q quit")

        frames_pass = ("watch", *FAST, "--json", "--count", "3", *open_server.at_control)

        run(*frames_pass)
        watched.wrote_nothing()  # but for the rest of what was being drawn
        run(*frames_pass)

        assert watched.wrote_nothing()

        watched.press(" ")

        watched.shows_no_more("PAUSED")
        watched.shows(" 70 %")

    def test_pages_are_turned(self, open_server: Server, upload_id: str) -> None:
        for number in range(30):
            run("publish", f"{upload_id}-{number:02}", "40", *open_server.at_control)
        with terminal("watch", "--filter", f"upload={upload_id}-*", *open_server.at_control) as shown:
            rows = int(re.findall(r"rows 1-(\d+) of 30", shown.shows("rows 1-", " of 30"))[0])

            shown.press("\x1b[6~")
            shown.shows(f"rows {rows + 1}-{2 * rows} of 30")
            shown.press("j")
            shown.shows(f"rows {rows + 2}-{2 * rows + 1} of 30")
            shown.press("\x1b[F")
            shown.shows(f"rows {31 - rows}-30 of 30", f"{upload_id}-29")
            shown.press("\x1b[H")
            shown.shows(f"rows 1-{rows} of 30")

    def test_another_size_is_another_layout(self, watched: Terminal, upload_id: str) -> None:
        assert upload_id not in watched.text.partition("uploads  rows")[2].partition("filter")[0]

        watched.resize(160, 48)
        watched.shows(f"{upload_id}  ", "connections    rate")
        watched.resize(20, 10)

        watched.shows("node:0", "uploads  rows", upload_id[:8])

    def test_help_shows_the_keys(self, watched: Terminal) -> None:
        watched.press("?")
        watched.shows("edit the filter: Enter applies it", "quit")

        watched.press("x")

        watched.shows(" 40 %")


class TestTheEnd:
    @pytest.mark.parametrize("key", ["q", "\x03"])
    def test_q_and_ctrl_c_exit_0_and_leave_the_terminal_as_it_was(self, watched: Terminal, key: str) -> None:
        assert watched.attributes() != watched.before

        watched.press(key)

        assert watched.ended() == 0
        assert is_left_as_it_was(watched)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_so_does_a_signal(self, watched: Terminal, number: signal.Signals) -> None:
        watched.process.send_signal(number)

        assert watched.ended() == 0
        assert is_left_as_it_was(watched)

    def test_a_count_and_a_duration_end_it_too(self, open_server: Server) -> None:
        for options in (("--count", "2"), ("--duration", "500ms")):
            with terminal("watch", *FAST, *options, *open_server.at_control) as shown:
                assert shown.ended() == 0
                assert b"node:0" in shown.written
                assert is_left_as_it_was(shown)

    def test_a_bad_filter_at_the_start_never_takes_the_screen(self, open_server: Server) -> None:
        with terminal("watch", "--filter", "uplaod=1", *open_server.at_control) as shown:
            assert shown.ended() == 2
            assert b"\x1b[?1049h" not in shown.written
            assert "hint: did you mean upload?" in shown.text

    def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(self, open_server: Server) -> None:
        script = 'set -m; "$@"; stty -a | grep -o "[- ]icanon"; printf "stopped "; fg >/dev/null; echo "ended $?"'
        with terminal("watch", *FAST, *open_server.at_control, shell=script + "; read line") as shown:
            shown.shows("node:0")
            shown.press("\x1a")
            shown.writes(b" icanon\r\nstopped ")
            shown.writes(b"quit", times=2)

            shown.press("q")

            shown.shows("ended 0")
            assert shown.written.count(b"\x1b[?1049h") == shown.written.count(b"\x1b[?1049l") == 2


class TestTheServer:
    def test_one_that_goes_away_is_waited_for_and_comes_back(self, tmp_path: Path) -> None:
        ports = ("--port", str(free_port()), "--control-port", str(free_port()))
        with server(tmp_path, *ports) as first, terminal("watch", *FAST, *first.at_control) as shown:
            shown.shows("node:0  ready")
            first.process.terminate()

            shown.shows("node:0  GONE", "no server since ", "s ago), still trying")
            with server(tmp_path, *ports):
                shown.shows("node:0  ready")
                assert "no server since" not in shown.text
                shown.press("q")
                assert shown.ended() == 0

    def test_one_that_sends_nonsense_leaves_the_terminal_as_it_was(self) -> None:
        with sending(frame(), frame(page("uploads", rows=[{}]))) as control, terminal("watch", "--control", control) as shown:
            assert shown.ended() == 70
            assert b"\x1b[?1049h" in shown.written
            assert "error: a fault of ours: KeyError" in shown.text
            assert is_left_as_it_was(shown)


@contextlib.contextmanager
def sending(*frames: dict[str, Any]) -> Iterator[str]:
    """Something that is no server of ours, and says this to whoever watches."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for said in frames:
                self.wfile.write(json.dumps(said).encode() + b"\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as stranger:
        thread = threading.Thread(target=stranger.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{stranger.server_port}"
        finally:
            stranger.shutdown()
            thread.join()


class TestTerminals:
    def test_one_that_cannot_move_gets_lines(self, open_server: Server) -> None:
        with terminal("watch", *FAST, "--count", "2", *open_server.at_control, TERM="dumb") as shown:
            assert shown.ended() == 0
            assert shown.written.count(b"node:0") == 2
            assert b"\x1b" not in shown.written

    def test_one_without_a_keyboard_offers_no_keys(self, open_server: Server) -> None:
        with terminal("watch", *FAST, *open_server.at_control, shell='"$@" </dev/null') as shown:
            assert "q quit" not in shown.shows("Ctrl-C ends it")

            shown.press("\x03")

            shown.ended()
            assert not shown.alternate

    def test_no_colour_means_no_colour(self, open_server: Server) -> None:
        with terminal("watch", *FAST, *open_server.at_control, NO_COLOR="1") as shown:
            shown.shows("node:0")

            assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", shown.written)

    def test_one_without_blocks_gets_ascii(self, open_server: Server) -> None:
        with terminal("watch", *FAST, *open_server.at_control, PYTHONIOENCODING="ascii") as shown:
            assert shown.shows("loop lag").isascii()

    def test_once_writes_one_frame_and_leaves_it_there(self, open_server: Server) -> None:
        with terminal("watch", "--once", *open_server.at_control) as shown:
            assert shown.ended() == 0
            assert "node:0  ready" in shown.text
            assert b"\x1b[?1049h" not in shown.written
