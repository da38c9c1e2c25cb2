"""``docs/moving.md`` speaks of what there is."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

import vuemantics_ws
from vuemantics_ws import CloseCode, ConnectionManager, Verdict

GUIDE = (Path(__file__).parents[2] / "docs" / "moving.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "code", [textwrap.dedent(block) for block in re.findall(r"(?m)^ *```python\n(.*?)```", GUIDE, re.DOTALL)]
)
def test_the_code_of_the_guide_to_moving_is_code_and_its_names_exist(code: str) -> None:
    tree = compile(code, "docs/moving.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "vuemantics_ws":
            assert {alias.name for alias in node.names} <= set(vuemantics_ws.__all__)


def test_the_guide_to_moving_speaks_of_what_there_is() -> None:
    manager = ConnectionManager()
    for name in re.findall(r"\bmanager\.(\w+)", GUIDE):
        assert hasattr(manager, name), name
    for code in re.findall(r"(?m)^\| (\d{4}) \|", GUIDE):
        assert CloseCode(int(code))
    for value in re.findall(r"`(\w+)`", GUIDE[GUIDE.index("`receipt.verdict` says so") :].partition("\n- ")[0])[1:]:
        assert Verdict(value)
