"""The line that moves: it tells how far something is, and never breaks."""

import pytest

from vuemantics_ws.simulation.shrinking.search import Shrunk
from vuemantics_ws.simulation.sweeping.sweep import Progress
from vuemantics_ws_cli.views.moving import run_line, shrink_line, sweep_line
from vuemantics_ws_cli.views.size import Size


@pytest.mark.parametrize("width", [20, 80, 160])
def test_a_line_leaves_room_for_what_a_terminal_writes_of_an_interrupt(width: int) -> None:
    size = Size(width, 24)
    lines = [
        run_line("a-scenario-with-a-long-name, seed 123456789", at_s=12.3, lasts_s=300.0, took_s=0.5, size=size),
        sweep_line("late-join", Progress(312, 1_000_000, 6.5, None), took_s=6.5, size=size),
        shrink_line("late-join", Shrunk({}, 12, 3, 1, 0), size=size),
    ]

    for line in lines:
        assert line.cell_len <= width - 2
        assert "\n" not in line.plain


def test_a_run_tells_how_far_it_is_and_how_fast() -> None:
    line = run_line("late-join, seed 7", at_s=150.0, lasts_s=300.0, took_s=0.5, size=None)

    assert line.plain == "late-join, seed 7: 2m30s of 5m00s in 0.5s, 300 times as fast as real time"


def test_half_of_the_bar_is_full_when_half_is_done() -> None:
    line = run_line("late-join, seed 7", at_s=150.0, lasts_s=300.0, took_s=0.5, size=Size(160, 24))

    assert (line.plain.count("█"), line.plain.count("░")) == (20, 20)


def test_a_terminal_without_blocks_gets_a_bar_as_well() -> None:
    line = sweep_line("late-join", Progress(5, 10, 1.0, None), took_s=1.0, size=Size(160, 24, ascii_only=True))

    assert line.plain.isascii()
    assert "#" * 20 + "-" * 20 in line.plain


def test_a_sweep_tells_the_seed_that_fails() -> None:
    line = sweep_line("late-join", Progress(40, 1000, 2.0, 17), took_s=2.0, size=None)

    assert line.plain == "late-join: 40 of 1,000 seeds in 2.0s, 20.0 a second, seed 17 fails"


def test_what_is_made_smaller_tells_what_is_left() -> None:
    line = shrink_line("late-join", Shrunk({}, 12, 3, 1, 0), size=None)

    assert line.plain == "late-join: 3 clients, 1 upload, 0 faults left after 12 tries"
