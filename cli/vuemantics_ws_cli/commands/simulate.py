"""``vuemantics-ws simulate``: play scenarios, show them, and judge them."""

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import SERVER_PANEL, Secret, examples, was_typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vuemantics_ws_cli.simulating.session import Turn

EPILOG = examples(
    "vuemantics-ws simulate quickstart",
    "vuemantics-ws simulate quickstart --seed 7 --json",
    "vuemantics-ws simulate ./one.yaml ./two.yaml --junit results.xml",
    "vuemantics-ws simulate late-join --virtual --seed 7",
    "vuemantics-ws simulate late-join --sweep 1..1000 --shrink",
    "vuemantics-ws simulate --replay run.ndjson",
    "vuemantics-ws simulate quickstart --url ws://127.0.0.1:8765/ws/uploads",
    "vuemantics-ws simulate --clients 50 --follow 5c4e2f0a-9a39-4d0e-8f5f-3f1f3c0a7d11",
)
CLIENTS_PANEL = "Clients without a scenario"

VIRTUAL_PANEL = "Virtual time"


class Broker(StrEnum):
    """What carries events between the nodes of a run in virtual time."""

    SIMULATED = "simulated"
    REDIS = "redis"


def simulate(
    context: typer.Context,
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
    virtual: Annotated[
        bool,
        typer.Option(
            "--virtual",
            metavar="",
            help="Play in virtual time: nothing is waited for, and the same seed is the same run.",
            rich_help_panel=VIRTUAL_PANEL,
        ),
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="SEEDS",
            help="Play all these seeds in virtual time, such as 1..500, until one fails; file: those of the scenario.",
            rich_help_panel=VIRTUAL_PANEL,
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="NUMBER",
            min=1,
            max=1024,
            help="How many processes a sweep plays on. By default one for each core.",
            rich_help_panel=VIRTUAL_PANEL,
            show_default=False,
        ),
    ] = None,
    broker: Annotated[
        Broker | None,
        typer.Option(
            "--broker",
            metavar="simulated|redis",
            help="What is between the nodes: the simplest that is right, or ours for Redis with a Redis in memory. "
            "By default Redis where the scenario breaks it or cuts a node off from it, else the simplest.",
            rich_help_panel=VIRTUAL_PANEL,
            show_default=False,
        ),
    ] = None,
    shrink: Annotated[
        bool,
        typer.Option(
            "--shrink",
            metavar="",
            help="Where a seed fails, look for the smallest scenario that still does, and write it to NAME-shrunk.yaml.",
            rich_help_panel=VIRTUAL_PANEL,
        ),
    ] = False,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            help="Play again what --trace wrote in virtual time, and compare event by event.",
            rich_help_panel=VIRTUAL_PANEL,
            show_default=False,
        ),
    ] = None,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", hidden=True, help="Not built yet.")] = None,
) -> None:
    """Play scenarios one after the other, on real sockets against a server that is started for them or in virtual time, and
    judge what happened.

    Uploads, clients and the laws so far are shown while one runs; then comes the verdict on every law of delivery and on every
    expectation of the file. Exits with 0 when all of them hold, and with 1 when one does not, or when nothing was seen that
    could have broken it. Ctrl-C shows what was seen until then, and exits with 130.

    The server listens on loopback, on ports of its own, and is gone at the end, however the run ends. With --url it is one that
    runs already: what a bundled scenario says of strangers holds where that was started with --access owner.

    With --virtual the same file is played in virtual time: an hour of trouble takes seconds, and the same seed gives the same
    run, event by event. --sweep plays many seeds so, stops at the lowest that fails, and plays that once more in full. A seed
    that gives another run the second time exits with 5.

    Without a scenario, --clients and --follow open clients at a server that runs already, as --url, --control and their
    variables name it, and show what they see of uploads that somebody else publishes.
    """
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.options import read_option
    from vuemantics_ws_cli.simulating.session import Session

    if html is not None:
        raise BadSetting("--html: a timeline in HTML is not built yet", setting="--html")
    limit_s, duration_s = (
        read_option(option, parse_duration, text) if text is not None else None
        for option, text in (("--time-limit", time_limit), ("--duration", duration))
    )
    _refuse_to_overwrite({"--trace": trace, "--junit": junit}, [*(scenarios or []), *([replay] if replay else [])])
    visits = clients is not None or bool(follow) or user is not None or duration_s is not None
    turns: Sequence[Turn]
    if virtual or sweep is not None or replay is not None:
        _refuse_of_real_time(context, "--replay" if replay is not None else "--sweep" if sweep is not None else "--virtual")
        from vuemantics_ws_cli.simulating.wanted_virtual import Wanted, read_replays, read_virtual

        if jobs is not None and sweep is None:
            _refuse("--jobs: expected --sweep, too", "jobs")
        if replay is not None:
            _refuse_of_others(context)
            turns = read_replays(replay)
        else:
            turns = read_virtual(scenarios or [], Wanted(seed, sweep, jobs, broker.value if broker else None, shrink))
    else:
        _refuse_of_virtual_time(context)
        from vuemantics_ws_cli.simulating.wanted import Server, read_scenarios, read_visitors

        server = Server(url, control, secret)
        if visits:
            turns = [read_visitors(scenarios or [], clients, follow or [], user, duration_s, seed, server)]
        else:
            turns = read_scenarios(scenarios or [], seed, server)
    with Session(trace=trace, junit=junit, as_json=as_json, time_limit_s=limit_s) as session:
        code = session.play(turns)
    if code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    raise typer.Exit(code)


def _refuse_of_real_time(context: typer.Context, option: str) -> None:
    """What is about a server that runs already."""
    for name in ("url", "control", "secret", "clients", "follow", "user", "duration"):
        if was_typed(context, name):
            _refuse(f"--{name}: in virtual time there is no server that runs already: expected it or {option}, got both", name)


def _refuse_of_virtual_time(context: typer.Context) -> None:
    for name in ("jobs", "broker", "shrink"):
        if was_typed(context, name):
            beside = "--sweep" if name == "jobs" else "--virtual or --sweep"
            _refuse(f"--{name}: expected {beside}, too", name)


def _refuse_of_others(context: typer.Context) -> None:
    """A trace says itself what was played."""
    for name in ("scenarios", "seed", "sweep", "broker", "shrink"):
        if was_typed(context, name):
            option = "SCENARIO" if name == "scenarios" else f"--{name}"
            _refuse(f"{option}: the trace says itself what was played: expected it or --replay, got both", name)


def _refuse_to_overwrite(written: "dict[str, str | None]", read: "list[str]") -> None:
    """What is read, or written already, nobody writes over."""
    taken = {_place_of(path): f"{path} is what is read" for path in read}
    for option, path in written.items():
        if path is not None and path != os.devnull:
            place = _place_of(path)
            if place in taken:
                _refuse(f"{option}: {taken[place]}: expected another file", option.removeprefix("--"))
            taken[place] = f"{path} is what {option} writes"


def _place_of(path: str) -> "str | tuple[int, int]":
    """The same for every name of a file."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _refuse(message: str, name: str) -> NoReturn:
    from vuemantics_ws.errors import BadSetting

    raise BadSetting(message, setting=f"--{name}")
