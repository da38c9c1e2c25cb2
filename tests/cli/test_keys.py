"""The bytes of a terminal become keys, however they are cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws_cli.watching.keys import Keys

TYPED = [
    (b"u", ["u"]),
    (b" ", [" "]),
    (b"\r", ["enter"]),
    (b"\n", ["enter"]),
    (b"\t", ["tab"]),
    (b"\x7f", ["backspace"]),
    (b"\x08", ["backspace"]),
    (b"\x15", ["clear"]),
    (b"\x1b[A\x1b[B", ["up", "down"]),
    (b"\x1bOA\x1bOB", ["up", "down"]),
    (b"\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
    (b"\x1b[H\x1b[F\x1b[1~\x1b[4~", ["home", "end", "home", "end"]),
    (b"\x1b[Z", ["backtab"]),
    ("user=zoë".encode(), list("user=zoë")),
    (b"\x1bq", ["escape", "q"]),
    (b"\x1b\x1b[A", ["escape", "up"]),
    (b"\x1b[15~q", ["q"]),
    (b"\x1b[200~q", ["q"]),
    (b"\x01\x00q", ["q"]),
    (b"\xff\xfeq", ["q"]),
]


@pytest.mark.parametrize(("data", "keys"), TYPED)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().feed(data) == keys


@given(st.lists(st.sampled_from([typed for typed in TYPED if b"\xff" not in typed[0]])), st.data())
def test_where_the_bytes_are_cut_makes_no_difference(typed: list[tuple[bytes, list[str]]], data: st.DataObject) -> None:
    whole = b"".join(part for part, _ in typed)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    keys = Keys()

    fed = [key for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) for key in keys.feed(whole[start:end])]

    assert fed == [key for _, expected in typed for key in expected]


@given(st.binary())
def test_no_bytes_make_a_key_that_a_terminal_would_obey(data: bytes) -> None:
    keys = Keys()

    pressed = keys.feed(data) + keys.settle()

    assert all(key.isprintable() for key in pressed)


def test_an_escape_alone_is_the_escape_key_once_nothing_more_comes() -> None:
    keys = Keys()

    pressed = keys.feed(b"\x1b")

    assert pressed == []
    assert keys.unsettled
    assert keys.settle() == ["escape"]
    assert not keys.unsettled
    assert keys.feed(b"q") == ["q"]
