"""Nothing that came over the wire is obeyed by a terminal, and JSON keeps its meaning."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws_cli.console import json_line, printable

OBEYED = ["\x00", "\x07", "\n", "\r", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\u200f", "\ud800"]


@pytest.mark.parametrize("character", OBEYED)
def test_what_a_terminal_obeys_is_written_as_an_escape(character: str) -> None:
    assert printable(f"a{character}b").isascii()
    assert printable(f"a{character}b").startswith("a\\")


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("Überraschung: 日本語 👩‍💻 “quoted” \\ back") == "Überraschung: 日本語 👩‍💻 “quoted” \\ back"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_a_line_of_json_means_the_same_and_is_one_line(value: object) -> None:
    line = json_line(value)

    assert json.loads(line) == value
    assert not set(OBEYED) & set(line)
    assert len(line.splitlines()) == 1
