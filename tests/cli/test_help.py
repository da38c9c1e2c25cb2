"""Help tells what there is, and its examples work."""

import os
import re
import shlex

import pytest
import typer

from tests.cli.program import run
from vuemantics_ws.gateway.settings import SETTINGS
from vuemantics_ws.messages import Stage
from vuemantics_ws_cli.app import app

COMMANDS = ["serve", "publish", "listen", "watch", "connections", "uploads", "kick", "token", "simulate", "scenarios"]
CLIENTS = {"VUEMANTICS_WS_URL": "--url", "VUEMANTICS_WS_CONTROL": "--control"}

group = typer.main.get_command(app)


def parameters(command: str) -> list[object]:
    return list(group.commands[command].params)  # type: ignore[attr-defined]


def examples(command: str) -> list[str]:
    """What stands at the end of a command's help."""
    shown = run(command, "--help").out if command else run("--help").out
    _, _, last = shown.partition("Examples")
    return [" ".join(line.split()) for line in re.split(r"\n(?=\s+(?:VUE\S+ )?vuemantics-ws )", last) if line.strip()]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_ends_with_examples_that_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    found = examples(command)

    assert len(found) >= 2
    for example in found:
        words = shlex.split(example.partition(" > ")[0])
        while "=" in words[0]:
            words.pop(0)
        program, name, *arguments = words
        assert program == "vuemantics-ws"
        assert name in COMMANDS
        assert name == (command or name)
        group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_says_what_it_is(command: str) -> None:
    silent = [getattr(parameter, "name", "") for parameter in parameters(command) if not getattr(parameter, "help", "")]

    assert silent == []


@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_is_cut_on_a_narrow_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    shown = run(command, "--help").out

    for parameter in parameters(command):
        for option in getattr(parameter, "opts", []) if not getattr(parameter, "hidden", False) else []:
            assert not option.startswith("--") or re.search(rf"{option}\b", shown), option


def test_every_setting_is_an_option_of_serve_with_its_variable() -> None:
    options = {option: parameter for parameter in parameters("serve") for option in getattr(parameter, "opts", [])}

    for setting in SETTINGS.values():
        assert getattr(options[setting.option], "envvar", None) == setting.variable
        assert getattr(options[setting.option], "rich_help_panel", None) == setting.panel
    assert {"Listening", "Security", "Redis", "Delivery", "Limits"} == {setting.panel for setting in SETTINGS.values()}


@pytest.mark.parametrize(("variable", "option"), CLIENTS.items())
def test_clients_find_the_server_by_option_or_variable(variable: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = "ws" if option == "--url" else "http"
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:1")

    outcome = run("listen", "x", *(["--token", "a.b.c"] if option == "--url" else ["--user", "alice"]))

    assert outcome.code == 3
    assert f"{scheme}://127.0.0.1:1" in outcome.err


def test_every_stage_of_the_pipeline_stands_in_the_help_of_publish() -> None:
    stages = set(Stage) - {Stage.COMPLETED, Stage.FAILED}
    option = next(parameter for parameter in parameters("publish") if getattr(parameter, "name", "") == "stage")

    assert {stage for stage in stages if stage not in getattr(option, "help", "")} == set()


def test_no_colour_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b" not in run("serve", "--help").out
    assert os.environ["NO_COLOR"] == "1"
