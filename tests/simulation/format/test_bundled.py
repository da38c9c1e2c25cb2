"""Bundled scenarios are found by name, are right, and open with the question that they answer."""

from pathlib import Path

import pytest

from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.format.bundled import (
    bundled_folder,
    bundled_names,
    bundled_text,
    question_of,
    resolve_scenario,
)
from vuemantics_ws.simulation.format.reader import examine, parse_scenario
from vuemantics_ws.simulation.overview import overview_of
from vuemantics_ws.simulation.planning.plan import make_plan


def test_quickstart_is_bundled() -> None:
    assert "quickstart" in bundled_names()
    assert resolve_scenario("quickstart").name == "quickstart.yaml"


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_scenario_is_right_and_opens_with_its_question(name: str) -> None:
    text = bundled_text(name)

    examined = examine(text, {})

    assert [problem.at(name) for problem in examined.problems] == []
    assert examined.hints == []
    assert examined.data["name"] == name
    assert question_of(text) == text.splitlines()[0].removeprefix("# ")
    assert [line for line in text.splitlines() if len(line) > 140] == []


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_scenario_can_be_planned_with_any_luck(name: str) -> None:
    scenario = parse_scenario(bundled_text(name), file=name, environment={})

    for seed in (scenario.seed, 2, 77):
        plan = make_plan(scenario, seed)

        assert plan.clients
        assert plan.last_action_s < scenario.duration, "the hard stop is for what goes wrong"
        assert all(plan.will_end(upload) for upload in plan.uploads if upload.ends)


@pytest.mark.parametrize(("name", "least", "most"), [("quickstart", 4, 15), ("many-tabs", 4, 15), ("regenerate", 4, 20)])
def test_what_people_try_first_is_over_soon(name: str, least: float, most: float) -> None:
    text = bundled_text(name)

    takes_s = overview_of(text, examine(text, {})).takes_s

    assert takes_s is not None
    assert least < takes_s < most


def test_a_thousand_browsers_are_a_thousand() -> None:
    text = bundled_text("crowd")

    overview = overview_of(text, examine(text, {}))

    assert (overview.clients, overview.uploads) == (1000, 200)
    assert overview.needs == "needs 1000 open files"


def test_what_only_virtual_time_can_do_says_so() -> None:
    text = bundled_text("clock-jump")

    assert overview_of(text, examine(text, {})).needs == "needs virtual time"


def test_the_question_of_a_file_is_the_comment_at_its_top() -> None:
    assert question_of("# Is it\n# so? Perhaps.\nversion: 1\n# no?") == "Is it so?"
    assert question_of("# no question\nversion: 1 # is it?") == ""


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("", encoding="utf-8")

    assert resolve_scenario(str(path)) == path


def test_a_bundled_name_wins_over_a_file_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert resolve_scenario("quickstart").parent == bundled_folder()
    assert resolve_scenario("./quickstart") == Path("quickstart")


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(BadScenario) as refused:
        resolve_scenario(str(tmp_path))

    assert refused.value.message == f"{tmp_path}: expected a file, got a folder"


def test_what_is_neither_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadScenario, match=r"quickstrat: there is no such file.*\(did you mean quickstart\?\)"):
        resolve_scenario("quickstrat")
    with pytest.raises(BadScenario, match=r"\(there is: auth-matrix, .*token-expiry, two-nodes\)"):
        resolve_scenario("zzz")


def test_a_name_that_no_file_can_have_is_refused_as_such() -> None:
    with pytest.raises(BadScenario, match=r"x{100}: file name too long"):
        resolve_scenario("x" * 5_000)
