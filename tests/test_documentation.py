"""What the documentation says is what the code does. ``python -m tests.test_documentation`` writes the tables anew."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.simulation.judging.planted_faults import LAWS, table_of
from vuemantics_ws.closing import CLOSINGS
from vuemantics_ws.core.session import ERROR_CODES
from vuemantics_ws.gateway.metrics import METRICS, metrics_table
from vuemantics_ws.gateway.settings import settings_table
from vuemantics_ws.gateway.worker_metrics import SUPERVISOR_METRICS
from vuemantics_ws.messages import UploadCompleted, UploadFailed, UploadProgress, read_upload_message
from vuemantics_ws_cli.app import app
from vuemantics_ws_cli.exit_codes import exit_code_table
from vuemantics_ws_cli.views.watching import KEYS
from vuemantics_ws_cli.watching.browsing import SORTS, View

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "settings.md"
LAWS_PAGE = ROOT / "docs" / "laws.md"
METRICS_PAGE = ROOT / "docs" / "metrics.md"
WATCHING = ROOT / "docs" / "watching.md"
BOARD = ROOT / "docs" / "grafana-board.json"

_SETTINGS_HEAD = """# Settings

Each has an option of `vuemantics-ws serve`, an environment variable, and a key in a scenario's `server.config` (the option's
name with underscores). Durations and sizes have units: `250ms`, `30s`, `5m`, `64KiB`, `1MiB`, `20/s`.

"""


def _close_code_table() -> str:
    rows = ["| code | meaning | what a client should do | comes back |", "| --- | --- | --- | --- |"]
    for code, closing in CLOSINGS.items():
        rows.append(f"| {code:d} | {closing.meaning} | {closing.cure} | {'yes' if closing.reconnects else 'no'} |")
    return "\n".join(rows) + "\n"


def _error_code_table() -> str:
    rows = ["| code | cause | cure |", "| --- | --- | --- |"]
    rows += [f"| `{code}` | {cause} | {cure} |" for code, (cause, cure) in ERROR_CODES.items()]
    return "\n".join(rows) + "\n"


def _key_table() -> str:
    rows = ["| key | what it does |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| {key} | {does} |" for key, does in KEYS.items())]) + "\n"


TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"exit codes": exit_code_table, "close codes": _close_code_table, "error codes": _error_code_table},
    LAWS_PAGE: {law: partial(table_of, law) for law in LAWS},
    METRICS_PAGE: {"metrics": metrics_table, "supervisor": partial(metrics_table, SUPERVISOR_METRICS)},
    WATCHING: {"keys": _key_table},
}


def _with_tables(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES[page].items():
        head, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        after = re.sub(r"\A\n*(\|[^\n]*\n)*\n*", "", rest)
        text = f"{head}{mark}\n{table()}\n{after}"
    return text


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert all(f"<!-- table: {name} -->" in text for name in TABLES[page])
    assert _with_tables(page) == text


def test_the_page_of_settings_has_every_setting() -> None:
    assert SETTINGS.read_text(encoding="utf-8") == _SETTINGS_HEAD + settings_table()


def test_every_link_inside_the_repository_leads_somewhere() -> None:
    for page in [README, *ROOT.joinpath("docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def _commands_of_the_readme() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.startswith("vuemantics-ws ")]


@pytest.mark.parametrize("command", _commands_of_the_readme())
def test_every_option_in_the_readme_is_one(command: str) -> None:
    words = shlex.split(command)
    run = [sys.executable, "-m", "vuemantics_ws_cli", words[1], "--help"]
    said = subprocess.run(run, check=True, capture_output=True, text=True, env={"COLUMNS": "200", "PATH": ""}).stdout

    for option in (word for word in words if word.startswith("--")):
        assert f"{option} " in said, option


@pytest.mark.parametrize("view", SORTS)
def test_the_page_about_watching_has_every_column(view: View) -> None:
    columns = re.findall(r"^\| ([a-z_, ]+) \|", WATCHING.read_text(encoding="utf-8"), re.MULTILINE)
    known = {name for names in columns for name in names.split(", ")}

    assert {sort.removeprefix("-") for sort in SORTS[view]} <= known


def _commands_about_watching() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", WATCHING.read_text(encoding="utf-8"), re.DOTALL)
    return [line.partition(" | ")[0] for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("command", _commands_about_watching())
def test_every_command_on_the_page_about_watching_parses(command: str) -> None:
    _, name, *arguments = shlex.split(command)

    typer.main.get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_the_events_of_the_protocol_page_are_events() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    events = re.findall(r"```json\n(.*?)```", page, re.DOTALL)

    assert [type(read_upload_message(event.encode())) for event in events] == [UploadProgress, UploadCompleted, UploadFailed]


def _metrics_in(query: str) -> set[str]:
    """The metrics that a query names; of a histogram what it is called altogether."""
    histograms = {metric.full_name for metric in METRICS if metric.kind == "histogram"}
    named = set(re.findall(r"vuemantics_ws_[a-z_]+", query))
    return {stem if (stem := re.sub("_(bucket|sum|count)$", "", name)) in histograms else name for name in named}


KNOWN_METRICS = {metric.full_name for metric in (*METRICS, *SUPERVISOR_METRICS)}


def test_what_to_be_woken_by_is_read_of_metrics_that_there_are() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", METRICS_PAGE.read_text("utf-8"), re.DOTALL)]
    (rules,) = [group["rules"] for block in blocks for group in block.get("groups", ())]

    for rule in rules:
        assert {"alert", "expr"} <= set(rule)
        assert _metrics_in(rule["expr"])
        assert _metrics_in(rule["expr"]) <= KNOWN_METRICS, rule["alert"]


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


def test_the_board_is_one_that_grafana_imports() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}

    assert (board["uid"], board["title"], board["schemaVersion"]) == ("vuemantics-ws", "vuemantics-ws", 39)
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert _metrics_in(variables["instance"]["query"]["query"]) <= KNOWN_METRICS
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(set(panel["gridPos"]) == {"h", "w", "x", "y"} for panel in board["panels"])
    taken = [
        (panel["gridPos"]["y"], panel["gridPos"]["x"] + column)
        for panel in board["panels"]
        for column in range(panel["gridPos"]["w"])
    ]
    assert len(set(taken)) == len(taken), "no two panels lie on one another"
    for panel in _panels():
        assert {"title", "description", "datasource", "targets", "fieldConfig", "options"} <= set(panel)
        for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            assert source == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_the_board_shows_metrics_that_there_are() -> None:
    shown = set()
    for panel in _panels():
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"], panel["title"]
            assert _metrics_in(target["expr"]) <= KNOWN_METRICS, panel["title"]
            shown |= _metrics_in(target["expr"])

    assert {metric.full_name for metric in METRICS if metric.kind == "histogram"} <= shown


def test_the_readme_names_the_two_commands() -> None:
    text = README.read_text(encoding="utf-8")

    for name in ("quickstart", "test"):
        command = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", text)
        assert command is not None
        assert command[1].startswith("python3 -m venv .venv && .venv/bin/pip install ")


if __name__ == "__main__":
    for written in TABLES:
        written.write_text(_with_tables(written), encoding="utf-8")
    SETTINGS.write_text(_SETTINGS_HEAD + settings_table(), encoding="utf-8")
