"""``vuemantics-ws watch``: live tables of a running server."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.listing import Scope, UploadFilter, UploadSort
from vuemantics_ws_cli.options import DEFAULT_CONTROL, AsJson, ControlUrl, examples

if TYPE_CHECKING:
    from rich.console import Console

    from vuemantics_ws.client.control import Control
    from vuemantics_ws_cli.watching.browsing import Query, View

EPILOG = examples(
    "vuemantics-ws watch",
    "vuemantics-ws watch --subscriptions --filter user=alice",
    "vuemantics-ws watch --connections --filter 'state=stalled or pending>64k' --sort=-pending",
    "vuemantics-ws watch --nodes",
    "vuemantics-ws watch --once",
    "vuemantics-ws watch --json --count 2 --every 250ms",
)

VIEW_PANEL = "What is shown"
EVERY_S_MIN, EVERY_S_MAX = 0.25, 60.0
ROWS_IN_A_PIPE = 50
ROWS_LEAST = 5
LINES_BESIDE_ROWS = 14
"""What stands around the rows of one frame, at most."""


def watch(
    uploads: Annotated[
        bool, typer.Option("--uploads", metavar="", help="How each upload does. The default.", rich_help_panel=VIEW_PANEL)
    ] = False,
    subscriptions: Annotated[
        bool,
        typer.Option(
            "--subscriptions", metavar="", help="Who follows each upload; what each user follows.", rich_help_panel=VIEW_PANEL
        ),
    ] = False,
    connections: Annotated[
        bool, typer.Option("--connections", metavar="", help="How each connection does.", rich_help_panel=VIEW_PANEL)
    ] = False,
    nodes: Annotated[bool, typer.Option("--nodes", metavar="", help="How each node does.", rich_help_panel=VIEW_PANEL)] = False,
    filter: UploadFilter = "",  # noqa: A002 - the option's name
    sort: UploadSort = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="NUMBER",
            min=1,
            max=500,
            help="At most so many rows of each table. By default what the terminal has room for, and 50 in a pipe.",
            show_default=False,
        ),
    ] = None,
    scope: Scope = "cluster",
    every: Annotated[str, typer.Option("--every", metavar="DURATION", help="How often, from 250ms to 60s.")] = "1s",
    once: Annotated[bool, typer.Option("--once", metavar="", help="Show one frame and end.")] = False,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, metavar="NUMBER", help="End after so many frames.", show_default=False),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="DURATION", help="End after this long, such as 30s.", show_default=False),
    ] = None,
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """Watch a running server: what it does, what is wrong, and a table of uploads, subscriptions, connections or nodes.

    Around a Redis it is all nodes at once; --nodes is a table of them.

    On a terminal the tables are live, and ? shows the keys. In a pipe each frame is a block of text as wide as COLUMNS says,
    160 by default; with --json it is one object.

    Ends with 0 on q and on Ctrl-C. A server that goes away is waited for; one that was never there exits with 3.
    """
    import asyncio
    import contextlib

    from vuemantics_ws.client.locations import check_url
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.options import read_option
    from vuemantics_ws_cli.watching.browsing import Query

    check_url(control, setting="--control", schemes=("http", "https"))
    every_s = read_option("--every", parse_duration, every)
    if not EVERY_S_MIN <= every_s <= EVERY_S_MAX:
        raise BadSetting(f"--every: expected 250ms to 60s, got {every}", setting="--every")
    duration_s = read_option("--duration", parse_duration, duration) if duration is not None else None
    if once and count is not None:
        raise BadSetting("expected --once or --count, got both", setting="--once")
    wanted = _Wanted(
        query=Query(_view(uploads=uploads, subscriptions=subscriptions, connections=connections, nodes=nodes), filter, sort),
        scope=scope,
        limit=limit,
        every_s=every_s,
        count=1 if once else count,
        once=once,
        duration_s=duration_s,
        as_json=as_json,
    )
    with contextlib.suppress(TimeoutError, KeyboardInterrupt):
        asyncio.run(_watch(wanted, control))
    raise typer.Exit(ExitCode.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What was asked for, read and checked."""

    query: "Query"
    scope: Scope
    limit: int | None
    every_s: float
    count: int | None
    once: bool
    duration_s: float | None
    as_json: bool


def _view(**wanted: bool) -> "View":
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws_cli.watching.browsing import ASKED

    named = [view for view in ASKED if wanted[view]]
    if len(named) > 1:
        raise BadSetting(
            f"expected one view, got --{named[0]} and --{named[1]}",
            setting=f"--{named[1]}",
            hint="on a terminal u, s, c and n switch between them",
        )
    return named[0] if named else "uploads"


async def _watch(wanted: "_Wanted", url: str) -> None:
    """Until enough has been shown. On a terminal tables that move, elsewhere one block or one object after the other."""
    import asyncio

    from vuemantics_ws.ambient import SystemClock, system_random
    from vuemantics_ws.client.control import Control
    from vuemantics_ws_cli.console import stdout
    from vuemantics_ws_cli.watching.browsing import Browsing

    console = stdout()
    moves = console.is_terminal and not console.is_dumb_terminal and not wanted.as_json and not wanted.once
    async with asyncio.timeout(wanted.duration_s), Control(url) as control:
        if not moves:
            await _write(wanted, control, console)
            return
        from vuemantics_ws_cli.watching.live import LiveTables

        tables = LiveTables(
            control,
            Browsing(wanted.query),
            console=console,
            clock=SystemClock(),
            dice=system_random(),
            scope=wanted.scope,
            limit=wanted.limit,
            every_s=wanted.every_s,
            count=wanted.count,
        )
        await tables.run()


async def _write(wanted: "_Wanted", control: "Control", console: "Console") -> None:
    import contextlib
    from datetime import UTC, datetime

    from vuemantics_ws.ambient import system_random
    from vuemantics_ws.quantities import format_duration
    from vuemantics_ws_cli.console import complain, emit, json_line, size_of
    from vuemantics_ws_cli.views.watching import block
    from vuemantics_ws_cli.watching.frames import Gone, frames

    size = size_of(console)
    fits = console.is_terminal and not wanted.as_json
    rows = max(ROWS_LEAST, size.height - LINES_BESIDE_ROWS) if fits else ROWS_IN_A_PIPE
    asked = frames(
        control,
        wanted.query,
        scope=wanted.scope,
        limit=wanted.limit or rows,
        every_s=wanted.every_s,
        dice=system_random(),
        keep_trying=False,
    )
    written = 0
    async with contextlib.aclosing(asked):
        async for said in asked:
            if isinstance(said, Gone):
                pause = format_duration(round(said.pause_s, 1))
                complain(said.because.message, f"trying again in {pause}", kind="warning")
                continue
            if wanted.as_json:
                emit(json_line(said))
            else:
                at = datetime.fromtimestamp(said["at"], UTC).astimezone()
                console.print(block(said, at=at, size=size), soft_wrap=True)
            written += 1
            if written == wanted.count:
                return
