"""``vuemantics-ws simulate``: play scenarios, show them, and judge them."""

from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import examples

if TYPE_CHECKING:
    from vuemantics_ws.simulation.plan import Plan

EPILOG = examples(
    "vuemantics-ws simulate quickstart",
    "vuemantics-ws simulate quickstart --seed 7 --json",
    "vuemantics-ws simulate ./one.yaml ./another.yaml --junit results.xml --trace run.ndjson",
)

NOT_BUILT = {
    "--virtual": "playing in virtual time",
    "--sweep": "playing many seeds",
    "--shrink": "making a failing scenario smaller",
    "--jobs": "playing at once what is played one after the other",
    "--replay": "playing a trace again",
    "--html": "a timeline in HTML",
}


def _not_built(option: str, value: object) -> None:
    from vuemantics_ws.errors import BadSetting

    if value not in (None, False):
        raise BadSetting(f"{option}: {NOT_BUILT[option]} is not built yet", setting=option)


def simulate(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SCENARIO]...", help="Bundled scenarios' names, or files.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="NUMBER", min=0, help="By default the file's own.", show_default=False),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option("--time-limit", metavar="DURATION", help="End with 6 after this long, such as 5m.", show_default=False),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            "--trace", metavar="FILE", help="Write all that happened there, one JSON object a line.", show_default=False
        ),
    ] = None,
    junit: Annotated[
        str | None,
        typer.Option("--junit", metavar="FILE", help="Write the verdicts there as JUnit results.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="The verdict as one JSON object on stdout; of several, all in one.")
    ] = False,
    virtual: Annotated[bool, typer.Option("--virtual", metavar="", hidden=True, help="Not built yet.")] = False,
    sweep: Annotated[str | None, typer.Option("--sweep", metavar="SEEDS", hidden=True, help="Not built yet.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink", metavar="", hidden=True, help="Not built yet.")] = False,
    jobs: Annotated[str | None, typer.Option("--jobs", metavar="NUMBER", hidden=True, help="Not built yet.")] = None,
    replay: Annotated[str | None, typer.Option("--replay", metavar="FILE", hidden=True, help="Not built yet.")] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", hidden=True, help="Not built yet.")] = None,
) -> None:
    """Play scenarios on real sockets against a server that is started for them, one after the other, and judge what happened.

    Uploads, clients and the laws so far are shown while one runs; then comes the verdict on every law of delivery and on every
    expectation of the file. Exits with 0 when all of them hold, and with 1 when one does not, or when nothing was seen that
    could have broken it. Ctrl-C shows what was seen until then, and exits with 130.

    The server listens on loopback, on ports of its own, and is gone at the end, however the run ends.
    """
    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.options import read_option
    from vuemantics_ws_cli.simulating.session import Session

    for option, value in (
        ("--virtual", virtual),
        ("--sweep", sweep),
        ("--shrink", shrink),
        ("--jobs", jobs),
        ("--replay", replay),
        ("--html", html),
    ):
        _not_built(option, value)
    time_limit_s = read_option("--time-limit", parse_duration, time_limit) if time_limit is not None else None
    plans = _read(scenarios or [], seed)
    with Session(trace=trace, junit=junit, as_json=as_json, time_limit_s=time_limit_s) as session:
        code = session.play(plans)
    if code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    raise typer.Exit(code)


def _read(scenarios: list[str], seed: int | None) -> "list[tuple[Plan, str]]":
    """Each scenario's plan with the command line that plays it again. All are read before the first is played.

    Raises:
        BadScenario: one of them is wrong; all that is wrong with it is told.
        BadSetting: there is none.
    """
    import shlex

    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.simulation.bundled import bundled_names, resolve_scenario
    from vuemantics_ws.simulation.plan import make_plan
    from vuemantics_ws.simulation.reader import load_scenario

    if not scenarios:
        names = ", ".join(bundled_names())
        raise BadSetting("SCENARIO: expected one at least", setting="SCENARIO", hint=f"a file, or one of: {names}")
    plans = []
    for scenario in scenarios:
        read = load_scenario(resolve_scenario(scenario))
        plan = make_plan(read, read.seed if seed is None else seed)
        plans.append((plan, shlex.join(["vuemantics-ws", "simulate", scenario, "--seed", str(plan.seed)])))
    return plans
