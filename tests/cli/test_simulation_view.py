"""A scenario while it runs, at any width and without colour."""

import re
from typing import Any

import pytest
from rich.cells import cell_len

from tests.cli.drawing import drawn
from tests.simulation.judging.histories import CAT, Story
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.board import Board, ClientRow, FaultRow, NodeRow, UploadRow
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws_cli.views.simulation import Course, LawsSoFar, live, progress_line
from vuemantics_ws_cli.views.size import Size


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


LAWS = LawsSoFar(
    check_laws(Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1).history())
)


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
        text = "\n".join(drawn(live(busy_board(), LawsSoFar(), title="busy", size=Size(80, 40, True)), width=80))

        assert re.search(r"#+-+ +60 %", text)
        assert "█" not in text

    def test_what_moves_is_shown_first_where_there_is_no_room(self) -> None:
        text = "\n".join(drawn(live(busy_board(400, 400), LawsSoFar(), title="busy", size=Size(80, 24)), width=80))

        assert "upload-0 " in text
        assert "upload-1 " not in text
        assert "client-1 " in text
        assert re.search(r"and \d+ more", text)

    @pytest.mark.parametrize("width", [80, 160])
    def test_how_far_it_is_stands_at_the_top(self, width: int) -> None:
        board = busy_board()
        board.events, board.states, board.pulse = 41, 1234, [0, 1, 2, 4, *[8] * 21]
        board.latency.update([0.0012, 0.004])
        course = Course(lasts_s=24.6, events=83)

        first, second, *_ = drawn(live(board, LawsSoFar(), title="busy", size=Size(width, 40), course=course), width=width)

        assert re.fullmatch(r"busy  █+░+  12\.3 of 24\.6 s", first.rstrip())
        assert first.count("█") == first.count("░")
        assert re.fullmatch(r"41 of 83 events, 1,234 states  [▁▂▃▄▅▆▇█]+ 16/s  p50 1\.2 ms, p99 4\.0 ms", second.rstrip())

    def test_laws_that_were_not_judged_again_are_not_said_to_be_of_now(self) -> None:
        old = LawsSoFar(LAWS.laws, 3.0, is_old=True)

        text = "\n".join(drawn(live(busy_board(), old, title="busy", size=Size(80, 40)), width=80))

        assert "laws at 3.0 s: order violated" in text

    @pytest.mark.parametrize("width", [80, 160])
    def test_a_crowd_is_shown_by_its_entries(self, width: int) -> None:
        board = busy_board(uploads=200, clients=0)
        for entry, count in (("tab", 990), ("phone", 10)):
            for number in range(count):
                name = f"{entry}:{number}"
                board.clients[name] = ClientRow(name, "alice", "open" if number % 2 else "away", 3, 1)
        board.uploads["0"].version = Version(1, 2)
        board.uploads["0"].show(1, "tab", Version(1, 1))

        lines = drawn(live(board, LAWS, title="busy", size=Size(width, 30)), width=width)

        text = "\n".join(lines)
        assert "500 of 1,000 clients connected" in text
        assert re.search(r"tab +990 of 990 +495 +495 +0 +2,970 +1$", text, re.MULTILINE)
        assert re.search(r"phone +10 of 10 +5 +5 +0 +30 +0$", text, re.MULTILINE)
        assert re.search(r"and 1\d\d more", text)
        assert len(lines) <= 30
        assert max(cell_len(line) for line in lines) <= width

    def test_what_ended_last_comes_before_what_ended_before(self) -> None:
        board = Board(phase="running")
        for number in range(9):
            board.uploads[str(number)] = UploadRow(f"upload-{number}", "completed", percent=100, ended_at_s=number)

        text = "\n".join(drawn(live(board, LawsSoFar(), title="t", size=Size(80, 24)), width=80))

        assert re.findall(r"upload-\d", text) == [f"upload-{number}" for number in range(8, 3, -1)]

    def test_a_server_that_is_being_started_is_said_to_be(self) -> None:
        assert "starting a server" in "\n".join(drawn(live(Board(), LawsSoFar(), title="t", size=Size(80, 24)), width=80))

    def test_how_to_look_into_the_server_stands_below_while_there_is_one(self) -> None:
        board = busy_board()
        board.control = "http://127.0.0.1:41234"

        def last() -> str:
            return drawn(live(board, LawsSoFar(), title="t", size=Size(80, 40)), width=80)[-1].strip()

        assert last() == "in another terminal: vuemantics-ws watch --control http://127.0.0.1:41234"
        board.phase = "over"
        assert "watch" not in last()

    def test_a_line_for_where_nothing_moves_says_as_much(self) -> None:
        assert progress_line(busy_board()) == "  12.3 s  2 of 4 uploads ended, 1 of 5 clients connected, 0 states received"


class TestWhatBreaks:
    def board(self) -> Board:
        board = busy_board(500, 500)
        board.nodes = {
            f"node:{number}": NodeRow(f"node:{number}", "degraded" if number else "ready", 200) for number in range(3)
        }
        board.faults = {1: FaultRow("redis.flush", "redis", 3.0, 3.0), 2: FaultRow("redis.hang", "redis", 9.0)}
        return board

    @pytest.mark.parametrize("width", [60, 80, 160])
    @pytest.mark.parametrize("height", [24, 40])
    def test_nodes_and_faults_are_shown_and_all_still_fits(self, width: int, height: int) -> None:
        lines = drawn(live(self.board(), LAWS, title="busy, seed 1", size=Size(width, height)), width=width)

        assert max(cell_len(line) for line in lines) <= width
        assert len(lines) <= height
        assert "node:0 ready 200  node:1 degraded 200  node:2 degraded 200" in "\n".join(lines)
        assert "faults: redis.hang of redis since 9.0 s" in "\n".join(lines)

    def test_a_line_of_plain_text_says_what_is_broken_now(self) -> None:
        assert progress_line(self.board()).endswith(", broken: redis.hang of redis")
        assert "broken" not in progress_line(busy_board())
