"""docs/scenarios.md says what the models say. ``python -m tests.test_scenario_page`` writes its tables anew."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.amounts import Model
from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
from vuemantics_ws.simulation.format.clients import TOKEN_KINDS, TokenKind
from vuemantics_ws.simulation.format.expected import Expectation
from vuemantics_ws.simulation.format.faults import FAULTS
from vuemantics_ws.simulation.format.metrics import METRICS
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.probes import PROBES
from vuemantics_ws.simulation.format.reader import examine
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.format.schema import keys_of, models_of, scenario_schema
from vuemantics_ws.simulation.overview import overview_of

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scenarios.md"
README = ROOT / "README.md"
SCHEMA = scenario_schema()
READ_BY_HAND = {"Ending", "EndingShare", "Outcome"}
"""Models that a file has in a short form alone."""

CHOICES_MAX = 12


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(list(head)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _form(described: dict[str, Any]) -> str:
    """What may stand at a key, in words."""
    if "anyOf" in described:
        return ", or ".join(_form(part) for part in described["anyOf"] if part != {"const": 0})
    if "patternErrorMessage" in described:
        return str(described["patternErrorMessage"]).removeprefix("expected ")
    if "const" in described:
        return f"`{json.dumps(described['const'])}`".replace('"', "")
    if "enum" in described:
        names = [f"`{value}`" for value in described["enum"]]
        return "a word" if len(names) > CHOICES_MAX else " ".join(names)
    if described.get("type") == "array":
        return f"a list of {_form(described['items'])}"
    if "$ref" in described or described.get("type") == "object":
        return "keys and values"
    kinds = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return kinds[described["type"]]


def key_table(model: type[Model]) -> str:
    described = SCHEMA if model is Scenario else SCHEMA["$defs"][model.__name__]
    required = described.get("required", [])
    rows = []
    for key, value in described["properties"].items():
        default = "**required**" if key in required else f"`{value['default']}`" if "default" in value else ""
        rows.append([f"`{key}`", _form(value), default, value["description"].replace("|", "\\|")])
    return _table(["key", "what it may be", "default", "what it is"], rows)


def _expectations() -> str:
    """A heading and a table for each kind."""
    parts = []
    for key, field in keys_of(Expectation).items():
        (model,) = (part for part in models_of(Expectation) if part in _models(field.annotation))
        parts.append(f"### {key}\n\n{SCHEMA['$defs'][model.__name__]['description']}\n\n{key_table(model)}")
    return "\n".join(parts)


def _models(annotation: Any) -> list[Any]:
    return [annotation, *(found for inner in get_args(annotation) for found in _models(inner))]


def _networks() -> str:
    def spread(value: Spread) -> str:
        low, high = (f"{bound * 1000:g}ms" for bound in value)
        return low if low == high else f"{low}..{high}"

    rows = []
    for name, profile in BUILT_IN_NETWORKS.items():
        bandwidth = f"`{profile.bandwidth / 1000:g}kB/s`" if profile.bandwidth else ""
        jitter, loss = format_duration(profile.jitter), f"{profile.loss * 100:g}%"
        rows.append([f"`{name}`", f"`{spread(profile.latency)}`", f"`{jitter}`", f"`{loss}`", bandwidth])
    return _table(["network", "latency, one way", "jitter", "loss", "bandwidth"], rows)


def _named(head: str, meanings: dict[Any, str]) -> str:
    return _table([head, "what it means"], [[f"`{name}`", meaning] for name, meaning in meanings.items()])


def _bundled() -> str:
    """What a seed costs was measured, so of that the page itself is the source."""
    measured = dict(
        re.findall(r"^\| `([\w-]+)` \|.*\| ([\d.]+ m?s) \|[^|]*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    rows = []
    for name in bundled_names():
        examined = examine(bundled_text(name), {})
        assert examined.scenario is not None
        overview = overview_of(bundled_text(name), examined)
        sweep = "{}..{}".format(*examined.scenario.sweep) if examined.scenario.sweep else ""
        arms = "virtual" if overview.needs_virtual_time else overview.takes.removeprefix("about ")
        rows.append([f"`{name}`", overview.question, arms, measured.get(name, "not measured"), sweep])
    return _table(["scenario", "what it asks", "real time", "a seed", "sweep"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "table: bundled": _bundled,
    **{f"keys: {model.__name__}": partial(key_table, model) for model in models_of(Scenario)},
    "table: tokens": lambda: _named("kind", TOKEN_KINDS),
    "table: networks": _networks,
    "table: metrics": lambda: _named("metric", METRICS),
    "table: faults": lambda: _named("fault", {name: kind.about for name, kind in FAULTS.items()}),
    "table: probes": lambda: _named("probe", PROBES),
    "expectations": _expectations,
}


def with_tables(text: str) -> str:
    """The page with every table as it should be. A table ends where a line is none of its own."""
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            tables = r"\A\n*(?:(?:### [^\n]*\n+[^\n|#]*\n+)?(?:\|[^\n]*\n)+\n*)*"
            after = re.sub(tables, "", rest)
            text = f"{head}{mark}\n{table()}\n{after}".rstrip("\n") + "\n"
    return text


def test_the_tables_of_the_page_are_those_of_the_models() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert with_tables(text) == text


def test_every_bundled_scenario_says_which_seeds_to_sweep_and_what_one_costs() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("<!-- table: bundled -->")[2].partition("<!--")[0]

    rows = re.findall(r"^\| `([\w-]+)` \|.*\| [\d.]+ m?s \| \d+\.\.\d+ \|$", table, re.MULTILINE)

    assert rows == bundled_names()


def test_every_key_of_the_format_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    expected = {field for _, field in keys_of(Expectation).items()}
    inside = {model.__name__ for field in expected for model in _models(field.annotation) if hasattr(model, "model_fields")}

    for model in models_of(Scenario):
        if model.__name__ not in READ_BY_HAND | inside:
            assert f"<!-- keys: {model.__name__} -->" in text, model
    assert all(f"\n### {key}\n" in text for key in keys_of(Expectation))


def test_every_kind_of_token_has_its_meaning() -> None:
    assert set(get_args(TokenKind)) == set(TOKEN_KINDS)


def _examples() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8") + README.read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- example: (\w+) -->\n```yaml\n(.*?)```", text, re.DOTALL))


REST = {
    "users": "users: {alice: {}, crowd: {count: 20}}\n",
    "uploads": "uploads: [{id: holiday, owner: alice, pipeline: image}]\n",
    "clients": "clients: [{id: tab, user: alice}]\n",
}


@pytest.mark.parametrize("name", _examples())
def test_an_example_of_the_page_is_right(name: str) -> None:
    text = _examples()[name]
    if not re.search("^version:", text, re.MULTILINE):
        rest = "".join(line for section, line in REST.items() if not text.startswith(section))
        text = f"version: 1\nname: example\ndescription: An example.\nduration: 5m\n{rest}{text}"

    examined = examine(text, {})

    assert [problem.at(name) for problem in [*examined.problems, *examined.hints]] == []


def test_the_readme_says_how_many_scenarios_there_are_and_shows_one() -> None:
    digits = ("", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine")
    said = f"twenty{digits[len(bundled_names()) - 20]}"

    assert "scenario" in _examples()
    assert f"{said.capitalize()} come with the project" in README.read_text(encoding="utf-8")


def test_the_bounds_that_the_page_names_are_those_of_the_reader() -> None:
    from vuemantics_ws.simulation.format.amounts import DURATION_MAX
    from vuemantics_ws.simulation.format.reader import EVENTS_MAX, MEMBERS_MAX, SUBSCRIBES_MAX

    text = PAGE.read_text(encoding="utf-8")

    assert f"at most {DURATION_MAX.removesuffix('d')} days" in text
    assert text.count(f"{MEMBERS_MAX:,}") == 3
    assert EVENTS_MAX == SUBSCRIBES_MAX == 1_000_000
    assert text.count(f"{EVENTS_MAX:,}") == 2


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
