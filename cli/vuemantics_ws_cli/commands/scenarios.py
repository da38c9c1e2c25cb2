"""``vuemantics-ws scenarios``: what can be played, and whether a file can be."""

from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import AsJson, examples

if TYPE_CHECKING:
    from vuemantics_ws.simulation.format.reader import Examined

EPILOG = examples(
    "vuemantics-ws scenarios",
    "vuemantics-ws scenarios --show quickstart > my-scenario.yaml",
    "vuemantics-ws scenarios --schema > scenario.schema.json",
    "vuemantics-ws scenarios --check my-scenario.yaml",
    "vuemantics-ws scenarios --check *.yaml",
)


def scenarios(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="With --check: more files to check.", show_default=False)
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check",
            metavar="FILE",
            help="Say whether this file can be played, or all that is wrong in it; repeatable.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            "--show", metavar="NAME", help="Print the text of a bundled scenario, to begin your own with.", show_default=False
        ),
    ] = None,
    schema: Annotated[
        bool,
        typer.Option("--schema", metavar="", help="Print the JSON Schema of the format, for editors that complete and check."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the bundled scenarios, with the question that each answers.

    A scenario file says who is there, what is uploaded, and what must come of it; docs/scenarios.md has every key. A copy of
    the JSON Schema beside your files is found by editors through the comment at the top of every bundled scenario.

    --check exits with 0 when all files can be played, and else with 2 after every error of each, with its line and its key.
    """
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.simulation.format.bundled import bundled_schema, bundled_text
    from vuemantics_ws_cli.console import emit

    given = [option for option, value in (("--check", check), ("--show", show), ("--schema", schema)) if value]
    if len(given) > 1:
        raise BadSetting(f"{given[1]}: expected one of --check, --show and --schema", setting=given[1])
    if more and not check:
        raise BadSetting(f"{more[0]}: expected --check before a file", setting="FILE", hint="a scenario is played by simulate")
    if as_json and (show or schema):
        raise BadSetting(f"--json: {given[0]} has a form of its own", setting="--json")
    if show:
        emit(bundled_text(show).rstrip("\n"))
    elif schema:
        emit(bundled_schema().rstrip("\n"))
    elif check:
        found = [_check(file, as_json=as_json) for file in (*check, *(more or []))]
        if any(found) and len(found) > 1 and not as_json:
            _sum_up(found)
        raise typer.Exit(ExitCode.USAGE if any(found) else ExitCode.OK)
    else:
        _list(as_json=as_json)


def _list(*, as_json: bool) -> None:
    from dataclasses import asdict

    from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
    from vuemantics_ws.simulation.format.reader import examine
    from vuemantics_ws.simulation.overview import overview_of
    from vuemantics_ws_cli.console import emit, json_line, stdout
    from vuemantics_ws_cli.views.scenarios import scenario_table

    texts = {name: bundled_text(name) for name in bundled_names()}
    overviews = {name: overview_of(text, examine(text)) for name, text in texts.items()}
    if as_json:
        for name, overview in overviews.items():
            emit(json_line({"name": name, **asdict(overview)}))
    else:
        console = stdout()
        console.print(scenario_table(overviews, console.width), soft_wrap=False)


def _check(file: str, *, as_json: bool) -> int:
    """How many errors keep a file from being played, told on the way."""
    from dataclasses import asdict

    from vuemantics_ws.errors import BadScenario
    from vuemantics_ws.simulation.format.bundled import resolve_scenario
    from vuemantics_ws.simulation.format.reader import examine, read_text
    from vuemantics_ws.simulation.overview import overview_of, problems_as_json
    from vuemantics_ws_cli.console import complain_of, emit, json_line, printable
    from vuemantics_ws_cli.views.scenarios import summary

    try:
        text = read_text(resolve_scenario(file), file)
    except BadScenario as error:
        if as_json:
            unreadable = {"file": file, "line": None, "path": "", "message": error.message, "not_yet": False}
            emit(json_line({"file": file, "ok": False, "problems": [unreadable], "hints": []}))
        else:
            complain_of(error)
        return 1
    examined = examine(text)
    overview = overview_of(text, examined)
    if as_json:
        found = problems_as_json(file, examined)
        emit(json_line({"file": file, "ok": not examined.problems, **found, **asdict(overview)}))
    else:
        _tell(file, examined)
        if not examined.problems:
            emit(f"{printable(file)}: {printable(summary(overview))}")
    return len(examined.problems)


def _sum_up(found: list[int]) -> None:
    from vuemantics_ws_cli.console import say

    errors, bad = sum(found), sum(map(bool, found))
    say(f"{errors} {'error' if errors == 1 else 'errors'} in {bad} of {len(found)} files")


def _tell(file: str, examined: "Examined") -> None:
    from vuemantics_ws_cli.console import complain

    for problem in examined.problems:
        complain(problem.at(file))
    for hint in examined.hints:
        complain(hint.at(file), kind="warning")
