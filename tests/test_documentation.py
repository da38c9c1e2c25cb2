"""What the documentation says is what the code does. ``python -m tests.test_documentation`` writes the tables anew."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.planted_faults import LAWS, table_of
from vuemantics_ws.closing import CLOSINGS
from vuemantics_ws.core.session import ERROR_CODES
from vuemantics_ws.gateway.settings import settings_table
from vuemantics_ws.messages import UploadCompleted, UploadFailed, UploadProgress, read_upload_message
from vuemantics_ws_cli.exit_codes import exit_code_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "settings.md"
LAWS_PAGE = ROOT / "docs" / "laws.md"

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


TABLES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"exit codes": exit_code_table, "close codes": _close_code_table, "error codes": _error_code_table},
    LAWS_PAGE: {law: partial(table_of, law) for law in LAWS},
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


def test_the_events_of_the_protocol_page_are_events() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    events = re.findall(r"```json\n(.*?)```", page, re.DOTALL)

    assert [type(read_upload_message(event.encode())) for event in events] == [UploadProgress, UploadCompleted, UploadFailed]


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
