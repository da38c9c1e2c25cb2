"""What is written as a file is read as the same data, and looks as if a person had written it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.format.mutations import mutated_files
from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
from vuemantics_ws.simulation.format.reader import examine, examine_data
from vuemantics_ws.simulation.format.source import read_source
from vuemantics_ws.simulation.format.writing import WIDTH, to_yaml


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_scenario_is_the_same_when_it_was_written(name: str) -> None:
    examined = examine(bundled_text(name), {})

    again = examine(to_yaml(examined.data), {})

    assert again.data == examined.data
    assert again.scenario == examined.scenario == examine_data(examined.data).scenario


@pytest.mark.parametrize("name", bundled_names())
def test_no_line_is_long_and_no_entry_is_spread_out_without_need(name: str) -> None:
    lines = to_yaml(examine(bundled_text(name), {}).data).splitlines()

    assert [line for line in lines if len(line) > WIDTH and not line.startswith("description: ")] == []
    assert len(lines) < 80


def test_a_file_looks_as_people_write_it() -> None:
    data = {
        "faults": [{"for": "3s", "do": "node.pause", "at": "5s", "target": "node:1"}],
        "version": 1,
        "seed": 7,
        "name": "small",
        "description": "One upload, and one tab: it is small.",
        "clients": [
            {"only": [0, 17], "id": "tab", "join": {"around": "up.terminal", "spread": "50ms"}, "user": "u", "count": 20}
        ],
        "duration": "1m30s",
        "uploads": [{"id": "up", "outcome": {"completed": "97%", "failed": "3%"}, "owner": "u", "pipeline": "image"}],
        "users": {"u": {"count": 3}},
        "server": {"config": {"uvloop": False, "grace": 0}},
    }

    assert (
        to_yaml(data, comment="Is it small?\nVery.")
        == """\
# Is it small?
# Very.
# yaml-language-server: $schema=scenario.schema.json
version: 1
name: small
description: "One upload, and one tab: it is small."
seed: 7
duration: 1m30s
server: {config: {uvloop: false, grace: 0}}
users: {u: {count: 3}}
uploads:
  - {id: up, owner: u, pipeline: image, outcome: {completed: 97%, failed: 3%}}
clients:
  - {id: tab, user: u, count: 20, only: [0, 17], join: {around: up.terminal, spread: 50ms}}
faults:
  - {at: 5s, do: node.pause, target: "node:1", for: 3s}
"""
    )


def test_what_is_too_long_for_a_line_has_several() -> None:
    stages = [{"stage": "vision_analysis", "for": "700ms", "steps": number} for number in range(1, 6)]

    text = to_yaml({"uploads": [{"id": "up", "owner": "u", "pipeline": stages}]})

    assert text.splitlines()[1:] == [
        "uploads:",
        "  - id: up",
        "    owner: u",
        "    pipeline:",
        *(f"      - {{stage: vision_analysis, for: 700ms, steps: {number}}}" for number in range(1, 6)),
    ]


WORDS = [
    *("yes", "0", "-", "~", "~5s", "null", "true", "1.5", "a: b", "a #b", "node:0", "12:30", " x", "5s..9s", "é", "?x", "1e5"),
    *("*a", "&a", "!t", "%x", "@x", "`x", "a,b", "[a", "{a", "a]", "'", '"', "\\", "|", ">", "...", "---", "\x85", "\u2028"),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.integers(-(10**6), 10**6).map(lambda number: number / 1000)
    | TEXT
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["users", "uploads", "clients", "name", "odd key", "server"]), VALUES, min_size=1))
def test_whatever_a_file_can_hold_is_read_as_it_was_written(data: Any) -> None:
    source = read_source(to_yaml(data), {})

    assert [problem for problem in source.problems if "levels" not in problem.message] == []
    assert source.data == data or source.problems


@settings(max_examples=20)
@given(mutated_files().filter(lambda data: isinstance(data, dict)))
def test_plain_data_is_examined_as_its_text_is(data: Any) -> None:
    source = read_source(to_yaml(data), {})
    if source.problems or source.data != data:
        return  # no file holds such data

    written, plain = examine(to_yaml(data), {}), examine_data(data)

    assert written.scenario == plain.scenario
    assert sorted(problem.message for problem in written.problems if " line " not in problem.message) == sorted(
        problem.message for problem in plain.problems if " line " not in problem.message
    )
