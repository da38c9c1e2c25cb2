"""``vuemantics-ws simulate``: play a scenario, show it, and judge it."""

from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import examples

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO

    from vuemantics_ws.simulation.board import Board
    from vuemantics_ws.simulation.log import Log
    from vuemantics_ws.simulation.plan import Plan
    from vuemantics_ws.simulation.report import Report

EPILOG = examples(
    "vuemantics-ws simulate quickstart",
    "vuemantics-ws simulate quickstart --seed 7 --json",
    "vuemantics-ws simulate ./my-scenario.yaml --trace run.ndjson",
)

FRAMES_PER_S = 8
LINES_EVERY_S = 1.0
LAWS_EVERY_S = 1.0
JUDGED_MEANWHILE_MAX = 20_000
"""Records up to which the laws are judged while the run goes on. Beyond it that would cost the run its time."""


def simulate(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="A bundled scenario's name, or a file.", show_default=False)
    ],
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="NUMBER", min=0, help="By default the file's own.", show_default=False),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            "--trace", metavar="FILE", help="Write all that happened there, one JSON object a line.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="The verdict as one JSON object on stdout.")] = False,
) -> None:
    """Play a scenario on real sockets against a server that is started for it, and judge what happened.

    Uploads, clients and the laws so far are shown while it runs; then comes the verdict on every law of delivery and on every
    expectation of the file. Exits with 0 when all of them hold, and with 1 when one does not, or when nothing was seen that
    could have broken it.

    The server listens on loopback, on ports of its own, and is gone at the end, however the run ends.
    """
    import asyncio
    import shlex

    from vuemantics_ws.simulation.bundled import resolve_scenario
    from vuemantics_ws.simulation.log import Log, to_ndjson
    from vuemantics_ws.simulation.plan import make_plan
    from vuemantics_ws.simulation.reader import load_scenario

    path = resolve_scenario(scenario)
    read = load_scenario(path)
    plan = make_plan(read, read.seed if seed is None else seed)
    log = Log()
    with _Trace(trace) as written:
        log.listen(lambda record: written.write(to_ndjson([record])))
        try:
            report = asyncio.run(_play(plan, log, as_json=as_json))
        except asyncio.CancelledError:  # SIGTERM or SIGHUP
            raise KeyboardInterrupt from None
    _tell(report, replay=shlex.join(["vuemantics-ws", "simulate", scenario, "--seed", str(plan.seed)]), as_json=as_json)
    raise typer.Exit(ExitCode.OK if report.holds else ExitCode.FAILED)


class _Trace:
    """A file for all that happens, or none. What cannot be written is told at the end, since a run has to go on.

    Raises:
        BadSetting: the file cannot be opened.
        EnvironmentUnfit: it could not be written, at the end of the ``with``.
    """

    def __init__(self, path: str | None) -> None:
        from vuemantics_ws.errors import BadSetting

        self._path = path
        self._file: BinaryIO | None = None
        self._failed: OSError | None = None
        if path is not None:
            try:
                self._file = open(path, "wb")  # noqa: SIM115 - closed at the end of the with
            except OSError as error:
                raise BadSetting(f"--trace: {path} cannot be written: {_reason(error)}", setting="--trace") from None

    def write(self, data: bytes) -> None:
        if self._file is not None and self._failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failed = error

    def __enter__(self) -> "_Trace":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None") -> None:
        from vuemantics_ws.errors import EnvironmentUnfit

        if self._file is not None:
            try:
                self._file.close()
            except OSError as failed:
                self._failed = self._failed or failed
        if self._failed is not None and error is None:
            raise EnvironmentUnfit(f"--trace: {self._path} could not be written: {_reason(self._failed)}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _tell(report: "Report", *, replay: str, as_json: bool) -> None:
    """The verdict, on stdout."""
    from vuemantics_ws.simulation.report import to_json
    from vuemantics_ws_cli.console import emit, json_line, stdout
    from vuemantics_ws_cli.views.simulation import verdict

    if as_json:
        emit(json_line({**to_json(report), "versions": _versions(), "replay": replay}))
        return
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    stdout().print(verdict(report, replay=replay, versions=versions))


def _versions() -> dict[str, str]:
    """What may make another run differ."""
    import platform
    from importlib.metadata import version as version_of

    from vuemantics_ws_cli.version import version

    return {"vuemantics-ws": version(), "Python": platform.python_version(), "websockets": version_of("websockets")}


async def _play(plan: "Plan", log: "Log", *, as_json: bool) -> "Report":
    """The run, with whatever is shown of it meanwhile."""
    import asyncio
    import contextlib
    import signal

    from vuemantics_ws.ambient import SystemClock
    from vuemantics_ws.simulation.run import run_real

    playing = asyncio.ensure_future(run_real(plan, log, clock=SystemClock()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(NotImplementedError, ValueError):  # not on this system, or not in this thread
            loop.add_signal_handler(number, playing.cancel)
    showing = asyncio.ensure_future(_show(plan, log, as_json=as_json))
    try:
        report = await playing
    finally:
        showing.cancel()
        await asyncio.wait([showing])
    if not showing.cancelled():
        showing.result()
    return report


async def _show(plan: "Plan", log: "Log", *, as_json: bool) -> None:
    """Show how the run stands, until cancelled: tables that move on a terminal, a line a second elsewhere."""
    from vuemantics_ws.simulation.board import Board
    from vuemantics_ws_cli.console import printable, say, stderr

    if as_json:
        return
    board = Board()
    log.listen(board.take)
    title, description = f"{plan.scenario.name}, seed {plan.seed}", printable(plan.scenario.description)
    console = stderr()
    if console.is_terminal and not console.is_dumb_terminal:
        say(description)
        await _show_tables(board, log, title)
    else:
        say(f"{title}: {description}")
        await _show_lines(board)


async def _show_lines(board: "Board") -> None:
    import asyncio

    from vuemantics_ws_cli.console import say
    from vuemantics_ws_cli.views.simulation import progress_line

    while True:
        await asyncio.sleep(LINES_EVERY_S)
        if board.phase != "starting":
            say(progress_line(board))


async def _show_tables(board: "Board", log: "Log", title: str) -> None:
    import asyncio

    from rich.live import Live

    from vuemantics_ws.simulation.checkers import check_laws
    from vuemantics_ws.simulation.findings import Finding
    from vuemantics_ws.simulation.history import History
    from vuemantics_ws_cli.console import stderr
    from vuemantics_ws_cli.views.simulation import live
    from vuemantics_ws_cli.views.size import Size

    console = stderr()
    loop = asyncio.get_running_loop()
    laws: list[Finding] = []
    judge_at = 0.0
    with Live(console=console, auto_refresh=False) as screen:

        def refresh() -> None:
            size = Size(console.width, console.height, console.options.ascii_only)
            screen.update(live(board, laws, title=title, size=size), refresh=True)

        try:
            while True:
                if board.phase != "starting" and loop.time() >= judge_at and len(log) < JUDGED_MEANWHILE_MAX:
                    laws = check_laws(History(log))
                    judge_at = loop.time() + LAWS_EVERY_S
                refresh()
                await asyncio.sleep(1 / FRAMES_PER_S)
        finally:
            laws = []  # the verdict has them
            refresh()
