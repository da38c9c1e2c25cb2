"""YAML is read as people mean it, and what is no plain file is refused with the line where it stands."""

from typing import Any

import pytest

from vuemantics_ws.simulation.format.source import DEPTH_MAX, read_source, show_path


def read(text: str, **environment: str) -> Any:
    source = read_source(text, environment)
    assert source.problems == []
    return source.data


def wrong(text: str, **environment: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in read_source(text, environment).problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1", 1),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("yes", "yes"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("1e400", "1e400"),
        ("0x10", "0x10"),
        ("007", "007"),
        ("2026-01-01", "2026-01-01"),
        ("5s", "5s"),
        ("0s..5s", "0s..5s"),
        ("[a, 1]", ["a", 1]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
    ],
)
def test_a_value_is_what_it_looks_like(written: str, meant: Any) -> None:
    assert read(f"key: {written}") == {"key": meant}


def test_every_key_and_entry_has_its_line() -> None:
    source = read_source("a: 1\nb:\n  - c: 2\n  - {d: 3,\n     e: 4}\n", {})

    assert [source.line_of(path) for path in (("a",), ("b",), ("b", 0, "c"), ("b", 1), ("b", 1, "e"))] == [1, 2, 3, 4, 5]
    assert source.line_of(("b", 1, "missing")) == 4


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "an empty file"),
        ("# a comment", 1, "an empty file"),
        ("\nnull", 2, "expected a scenario, got nothing"),
        ('a: "\\ud800"', 1, "whole characters"),
        ('"\\ud800": a', 1, "whole characters in a key"),
        ('a: "\\U00110000"', 1, "an escape that stands for no character"),
        ("a: 1\nb: [1, 2", 2, "expected YAML"),
        ("a: 1\n b: 2", 2, "expected YAML"),
        ("a: 1\nb: \x07", 1, "expected YAML"),
        ("a: &x 1\nb: *x", 1, "no anchors"),
        ("a: 1\nb: *x", 2, "no aliases"),
        ("a: !!python/object:os.system 1", 1, "no tags"),
        ("a: !!binary aGk=", 1, "no tags"),
        ("a: 1\n---\nb: 2", 2, "one document"),
        ("a: 1\nb: 2\na: 3", 3, "the key stands twice, first in line 1"),
        ("? [a]\n: 1", 1, "a key that is text"),
        ("a: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), 1, "at most 32 levels"),
        ("a: " + "[" * 100_000, 1, "at most 32 levels"),
        ("# " + "x" * 1024 * 1024, 1, "at most 1024 KiB"),
    ],
)
def test_what_is_no_plain_file_is_refused(text: str, line: int, said: str) -> None:
    found = wrong(text)

    assert found[0][0] == line
    assert said in found[0][1]


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 200))

    assert len(wrong(bomb)) > 200


def test_the_environment_fills_in_scalars() -> None:
    text = "seed: ${env:SEED|3}\nname: run-${env:NAME}\nquoted: '${env:SEED|3}'"

    assert read(text, NAME="x") == {"seed": 3, "name": "run-x", "quoted": "3"}
    assert read(text, NAME="x", SEED="9")["seed"] == 9


def test_the_environment_cannot_write_keys() -> None:
    assert read("a: ${env:X}", X="{b: 1}") == {"a": "{b: 1}"}
    assert read("${env:X}: 1", X="b") == {"${env:X}": 1}


def test_a_variable_without_value_and_default_is_an_error() -> None:
    assert wrong("a: 1\nb: ${env:MISSING}")[0][0] == 2
    assert "the environment has no MISSING" in wrong("a: 1\nb: ${env:MISSING}")[0][1]


def test_a_path_is_shown_as_people_read_it() -> None:
    assert show_path(("clients", 2, "leave", "how")) == "clients[2].leave.how"
