"""Bundled scenarios are found by name, are right, and open with the question that they answer."""

from pathlib import Path

import pytest

from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.bundled import bundled_folder, bundled_names, resolve_scenario
from vuemantics_ws.simulation.plan import make_plan
from vuemantics_ws.simulation.reader import load_scenario


def test_quickstart_is_bundled() -> None:
    assert "quickstart" in bundled_names()
    assert resolve_scenario("quickstart").name == "quickstart.yaml"


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_scenario_can_be_planned_and_opens_with_its_question(name: str) -> None:
    path = resolve_scenario(name)

    scenario = load_scenario(path, {})

    assert scenario.name == name
    assert make_plan(scenario, scenario.seed).clients
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith("?")


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("", encoding="utf-8")

    assert resolve_scenario(str(path)) == path


def test_a_bundled_name_wins_over_a_file_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert resolve_scenario("quickstart").parent == bundled_folder()
    assert resolve_scenario("./quickstart") == Path("quickstart")


def test_what_is_neither_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadScenario, match=r"quickstrat: there is no such file.*quickstart"):
        resolve_scenario("quickstrat")
