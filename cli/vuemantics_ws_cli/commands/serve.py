"""``vuemantics-ws serve``: one node, alone or around a Redis. Its options are the settings, made of their declarations."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws.gateway.setting import Setting
from vuemantics_ws.gateway.settings import SETTINGS, Settings, given_by
from vuemantics_ws_cli.options import AsJson, examples, was_typed

if TYPE_CHECKING:
    from vuemantics_ws.gateway.run import Ready

EPILOG = examples(
    "vuemantics-ws serve",
    "vuemantics-ws serve --watch",
    "vuemantics-ws serve --port 9000 --access owner --grace 1m",
    "vuemantics-ws serve --port 0 --control-port 0 --json",
    "vuemantics-ws serve --redis redis://127.0.0.1:6379 --node-name web-1",
    "vuemantics-ws serve --redis redis://127.0.0.1:6379 --workers 4",
    "VUEMANTICS_WS_SECRET=… vuemantics-ws serve --host 0.0.0.0 --access owner --origin https://app.example.org",
)


WORKERS_MAX = 256

WatchIt = Annotated[
    bool, typer.Option("--watch", metavar="", help="Show the live tables here, in place of the log, until q is pressed.")
]
Workers = Annotated[
    str,
    typer.Option(
        "--workers",
        envvar="VUEMANTICS_WS_WORKERS",
        show_envvar=False,
        metavar="NUMBER|auto",
        help="So many processes on the public port, through Redis one system; auto: one for each core. Default: 1.",
        show_default=False,
        rich_help_panel="Listening",
    ),
]


def serve(context: typer.Context, workers: str, watch: bool, as_json: bool, **given: str | list[str] | None) -> None:
    """Run a server: the port that browsers connect to, and the control port that publishers use.

    With --redis any number of servers, on any number of machines, are one system. It starts while Redis is away, and is ready
    (/readyz) once it is there. Keep a password out of the command line: VUEMANTICS_WS_REDIS.

    On loopback and without a secret it is in development mode: the control port gives tokens to whoever asks. Any other
    address wants --secret and --access.

    Every option has its variable: --auth-timeout is VUEMANTICS_WS_AUTH_TIMEOUT, and the option wins. Durations and sizes are
    written with their units: 250ms, 30s, 5m, 64KiB.

    With --workers several processes share the public port, and one that ends is started again. Limits count for each of them.

    With --watch this terminal shows the tables of vuemantics-ws watch; what the server says meanwhile is shown when they end.

    Ctrl-C, SIGTERM or SIGHUP drains the connections over --drain and exits with 0. A second one ends it at once.
    """
    import contextlib
    import logging
    import os
    import signal
    import sys

    typed = {name: value for name, value in given.items() if was_typed(context, name)}
    settings = read_settings(typed, os.environ)
    count = read_workers(workers, settings)
    if watch:
        check_tables_fit(as_json=as_json)
    from vuemantics_ws_cli.watching.own_tables import OwnTables

    with OwnTables() if watch else contextlib.nullcontext() as tables:
        logging.basicConfig(
            level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )

        def ready(ready: "Ready") -> None:
            announce(ready, settings, as_json=as_json)
            if tables is not None:
                tables.show(ready.control)

        if count > 1:
            from vuemantics_ws.gateway.supervisor import supervise

            code = supervise(settings, workers=count, ready=ready)
        else:
            from vuemantics_ws.gateway.run import run

            code = run(settings, ready=ready)
    for late in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(late, signal.SIG_IGN)  # the stop is over: a second Ctrl-C must not make a failure of it
    raise typer.Exit(code)


def read_workers(text: str, settings: Settings) -> int:
    """How many processes are wanted.

    Raises:
        BadSetting: it is no such number, or there is nothing through which they would hear of each other.
    """
    import os

    from vuemantics_ws.errors import BadSetting

    if text == "auto":
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    else:
        count = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if not 1 <= count <= WORKERS_MAX:
        raise BadSetting(f"--workers: expected 1 to {WORKERS_MAX} or auto, got {text[:40]!r}", setting="--workers")
    if count > 1 and settings.redis is None:
        raise BadSetting(
            f"--workers: expected --redis, since {count} processes hear of each other through it",
            setting="--workers",
            hint="start a Redis, and name it: --redis redis://127.0.0.1:6379",
        )
    return count


def check_tables_fit(*, as_json: bool) -> None:
    """Raises:
    BadSetting: there is no terminal for tables, or a program reads what is written.
    """
    import os
    import sys

    from vuemantics_ws.errors import BadSetting

    hint = "vuemantics-ws watch shows the tables of a running server, in any terminal"
    if as_json:
        raise BadSetting("expected --watch or --json, got both", setting="--watch", hint=hint)
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        raise BadSetting("--watch: expected a terminal that can show tables", setting="--watch", hint=hint)


def read_settings(typed: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """Options win over variables. A variable that is set and empty is not the same as one that is not set.

    Raises:
        BadSetting: as it was spelled, as an option or as a variable.
    """
    variables = given_by(environment)

    def spelled(setting: Setting) -> str:
        return setting.variable if setting.name in variables and setting.name not in typed else setting.option

    return Settings.read({**variables, **typed}, spelled=spelled)


def announce(ready: "Ready", settings: Settings, *, as_json: bool) -> None:
    """Say that the server is ready: for a program one line on stdout, for a person on stderr."""
    import dataclasses

    from vuemantics_ws_cli.console import emit, json_line, say
    from vuemantics_ws_cli.version import version
    from vuemantics_ws_cli.views.serving import banner

    if as_json:
        emit(json_line(dataclasses.asdict(ready)))
        return
    access, development = settings.resolved_access, settings.development
    count, most = len(ready.workers), settings.connections_max
    workers = f"{count}, each for up to {most:,} connections, {count * most:,} together" if count else None
    say(
        banner(
            version=version(),
            url=ready.url,
            control=ready.control,
            access=access,
            development=development,
            redis=settings.redis_place,
            workers=workers,
        )
    )


def _help_of(setting: Setting) -> str:
    default = f" Default: {setting.default_text}." if setting.default_text else ""
    return f"{setting.about[:1].upper()}{setting.about[1:]}.{default}".replace("[", "\\[")


def _options() -> inspect.Signature:
    """A parameter for each setting, all of them text: the settings read it, as they read variables and files."""
    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for setting in SETTINGS.values():
        option = typer.Option(
            setting.option,
            envvar=setting.variable,
            show_envvar=False,
            metavar="" if setting.panel == "Limits" else setting.metavar,
            help=_help_of(setting),
            show_default=False,
            rich_help_panel=setting.panel,
        )
        kind = list[str] if setting.several else str
        parameters.append(
            inspect.Parameter(
                setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    for name, default, annotation in (("workers", "1", Workers), ("watch", False, WatchIt), ("as_json", False, AsJson)):
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    return inspect.Signature(parameters)


serve.__signature__ = _options()  # type: ignore[attr-defined]
