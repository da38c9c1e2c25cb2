"""Whatever a file holds, the reader answers with a scenario that can be planned, or with errors that say where and what."""

import json
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.simulation.format.mutations import FILES, mutated_files
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import Examined, examine
from vuemantics_ws.simulation.overview import overview_of
from vuemantics_ws.simulation.planning.plan import make_plan

SAID = re.compile(
    r"expected |there is no |(the key|'.+') stands twice|the environment has no |a plain publisher |.+ not built yet$"
)
"""How an error of ours begins."""


def check(text: str) -> Examined:
    examined = examine(text, {"HOME": "/home"})
    lines = len(text.splitlines()) + 1
    for problem in examined.problems:
        assert SAID.match(problem.message), problem
        assert 1 <= problem.line <= lines
        assert "\n" not in problem.at("x.yaml").encode("unicode_escape").decode()
    assert examined.problems == sorted(examined.problems, key=lambda problem: problem.line)
    assert (examined.scenario is None) is bool(examined.problems)
    places = [(problem.path, problem.message) for problem in examined.problems]
    assert len(set(places)) == len(places)
    overview_of(text, examined)
    return examined


@given(mutated_files(), st.integers(0, 3))
def test_a_mutated_file_is_a_plan_or_errors(mutated: Any, seed: int) -> None:
    examined = check(json.dumps(mutated, ensure_ascii=False))

    if examined.scenario is not None:
        assert make_plan(examined.scenario, seed).clients


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(ANYTHING)
def test_any_data_at_all_is_answered(data: Any) -> None:
    check(json.dumps(data, ensure_ascii=False))


@given(st.sampled_from(sorted(FILES)), st.integers(0, 3000), st.integers(0, 40), st.text(max_size=12))
@example("quickstart", 0, 0, "%YAML 9.9\n---\n")
@example("quickstart", 0, 0, '"\\U00110000": 1\n')
@example("quickstart", 0, 0, '"\\ud800": 1\n')
@example("quickstart", 0, 0, "? {a: b}\n: c\n")
@example("quickstart", 0, 0, "<<: {version: 2}\n")
@example("quickstart", 0, 0, "\ufeff")
def test_a_garbled_file_is_answered(name: str, at: int, cut: int, put_in: str) -> None:
    text = bundled_text(name)

    check(text[:at] + put_in + text[at + cut :])
