"""Numbers are written for people."""

import pytest

from vuemantics_ws_cli.views.figures import figures, seconds, spark


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 ms"), (0.00041, "0.4 ms"), (0.0099, "9.9 ms"), (0.00999, "10 ms"), (0.0124, "12 ms"), (0.9994, "999 ms"),
        (0.9996, "1.00 s"), (1.25, "1.25 s"), (99.994, "99.99 s"), (99.996, "100 s"), (3600.0, "3600 s"),
    ],
)  # fmt: skip
def test_a_duration_has_the_figures_that_matter(value: float, text: str) -> None:
    assert seconds(value) == text


def test_figures_are_named_and_have_their_unit() -> None:
    assert figures({"p50_s": 0.0012, "p99_s": 1.5, "most": 300_000, "most_a_second": 2.5}) == (
        "p50 1.2 ms, p99 1.50 s, most 300,000, most a second 2.5"
    )
    assert figures({}) == ""


def test_a_sparkline_shows_the_last_of_it_beside_the_largest() -> None:
    assert spark([9, 0, 1, 2, 4, 8], 5) == "▁▂▃▅█"
    assert spark([0, 1, 8], 5, ascii_only=True) == "_.#"
    assert spark([0, 0], 5) == "▁▁"
    assert spark([], 5) == ""
