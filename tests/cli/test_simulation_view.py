"""A scenario while it runs and its verdict, at any width and without colour."""

import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.simulation.histories import CAT, DOG, Story
from vuemantics_ws.simulation.board import Board, ClientRow, UploadRow
from vuemantics_ws.simulation.checkers import check_laws
from vuemantics_ws.simulation.plan import make_plan
from vuemantics_ws.simulation.reader import parse_scenario
from vuemantics_ws.simulation.report import Report, judge_run
from vuemantics_ws_cli.views.simulation import live, progress_line, record_line, verdict
from vuemantics_ws_cli.views.size import Size


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
