"""A small scenario file, and what tests make of it."""

import pytest

from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.format.scenario import Scenario

SMALL = """\
version: 1
name: small
description: One upload and one tab.
duration: 10s
users: {alice: {}}
uploads:
  - {id: up, owner: alice, pipeline: image}
clients:
  - {id: tab, user: alice}
"""


def read(text: str) -> Scenario:
    return parse_scenario(text, file="x.yaml", environment={})


def problems(text: str) -> list[str]:
    with pytest.raises(BadScenario) as refused:
        read(text)
    return list(refused.value.problems)


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def with_upload(**keys: str) -> str:
    """The small scenario with these keys on its upload."""
    given = {"pipeline": "image", **keys}
    written = ", ".join(f"{key}: {value}" for key, value in given.items())
    return changed("{id: up, owner: alice, pipeline: image}", f"{{id: up, owner: alice, {written}}}")


def with_client(**keys: str) -> str:
    written = "".join(f", {key}: {value}" for key, value in keys.items())
    return changed("{id: tab, user: alice}", f"{{id: tab, user: alice{written}}}")


def expecting(expectation: str) -> str:
    return SMALL + f"expect:\n  - {expectation}\n"
