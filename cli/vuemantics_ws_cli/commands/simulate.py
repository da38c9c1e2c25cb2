"""``vuemantics-ws simulate``: play scenarios, show them, and judge them."""

from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import SERVER_PANEL, Secret, examples

if TYPE_CHECKING:
    from vuemantics_ws_cli.simulating.playing import Play

EPILOG = examples(
    "vuemantics-ws simulate quickstart",
    "vuemantics-ws simulate quickstart --seed 7 --json",
    "vuemantics-ws simulate ./one.yaml ./two.yaml --junit results.xml",
    "vuemantics-ws simulate quickstart --url ws://127.0.0.1:8765/ws/uploads",
    "vuemantics-ws simulate --clients 50 --follow 5c4e2f0a-9a39-4d0e-8f5f-3f1f3c0a7d11",
)
CLIENTS_PANEL = "Clients without a scenario"

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
        typer.Argument(metavar="SCENARIO", help="Bundled scenarios' names, or files.", show_default=False),
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
    clients: Annotated[
        int | None,
        typer.Option(
            "--clients",
            metavar="NUMBER",
            min=1,
            max=10_000,
            help="Open so many at a server that runs already.",
            rich_help_panel=CLIENTS_PANEL,
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        list[str] | None,
        typer.Option(
            "--follow",
            metavar="UPLOAD_ID",
            help="An upload that all of them follow; may be given again.",
            rich_help_panel=CLIENTS_PANEL,
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="USER",
            help="Whose they are. By default each is somebody else's.",
            rich_help_panel=CLIENTS_PANEL,
            show_default=False,
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            metavar="DURATION",
            help="How long they stay at most, such as 30s. By default until every upload has ended.",
            rich_help_panel=CLIENTS_PANEL,
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="A server that runs already, instead of one that is started.",
            rich_help_panel=SERVER_PANEL,
            show_default=False,
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control", metavar="URL", help="That server's control port.", rich_help_panel=SERVER_PANEL, show_default=False
        ),
    ] = None,
    secret: Secret = None,
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

    The server listens on loopback, on ports of its own, and is gone at the end, however the run ends. With --url it is one that
    runs already: what a bundled scenario says of strangers holds where that was started with --access owner.

    Without a scenario, --clients and --follow open clients at a server that runs already, as --url, --control and their
    variables name it, and show what they see of uploads that somebody else publishes.
    """
    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.options import read_option
    from vuemantics_ws_cli.simulating.session import Session
    from vuemantics_ws_cli.simulating.wanted import Server, read_scenarios, read_visitors

    for option, value in (
        ("--virtual", virtual),
        ("--sweep", sweep),
        ("--shrink", shrink),
        ("--jobs", jobs),
        ("--replay", replay),
        ("--html", html),
    ):
        _not_built(option, value)
    limit_s, duration_s = (
        read_option(option, parse_duration, text) if text is not None else None
        for option, text in (("--time-limit", time_limit), ("--duration", duration))
    )
    server = Server(url, control, secret)
    plays: list[Play]
    if clients is None and not follow and user is None and duration_s is None:
        plays = read_scenarios(scenarios or [], seed, server)
    else:
        plays = [read_visitors(scenarios or [], clients, follow or [], user, duration_s, seed, server)]
    with Session(trace=trace, junit=junit, as_json=as_json, time_limit_s=limit_s) as session:
        code = session.play(plays)
    if code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    raise typer.Exit(code)
