"""``vuemantics-ws publish``: say how an upload is doing, once or as a whole run."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import DEFAULT_CONTROL, SERVER_PANEL, AsJson, ControlUrl, examples, was_typed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from vuemantics_ws.client.control import Receipt
    from vuemantics_ws.simulation.pipeline import PipelineName
    from vuemantics_ws_cli.destinations import Destination
    from vuemantics_ws_cli.events import Cue, Said

EPILOG = examples(
    "vuemantics-ws publish holiday 50",
    "vuemantics-ws publish holiday completed --description 'A beach at dusk'",
    "vuemantics-ws publish holiday failed --error 'The file is damaged'",
    "vuemantics-ws publish new --run video --speed 20x --owner alice",
    "vuemantics-ws publish holiday 90 --attempt 1 --seq 7 --json",
    "vuemantics-ws publish holiday 50 --redis redis://localhost",
)

SAID_PANEL = "What is said"


def publish(
    context: typer.Context,
    upload_id: Annotated[
        str, typer.Argument(metavar="UPLOAD_ID", help="Which upload; new makes a UUID and prints it.", show_default=False)
    ],
    progress: Annotated[
        str | None, typer.Argument(metavar="PROGRESS", help="0 to 100, completed or failed.", show_default=False)
    ] = None,
    run: Annotated[
        Literal["image", "video"] | None,
        typer.Option("--run", help="Play a whole pipeline with real pauses, instead of PROGRESS.", show_default=False),
    ] = None,
    speed: Annotated[str, typer.Option("--speed", metavar="FACTOR", help="How many times as fast --run plays.")] = "1x",
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            metavar="STAGE",
            help="By default the percent's: queued, extracting_frames, vision_analysis, description_audit, "
            "embedding_generation or indexing.",
            rich_help_panel=SAID_PANEL,
            show_default=False,
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message",
            metavar="TEXT",
            help="What a person reads. By default the stage's own.",
            rich_help_panel=SAID_PANEL,
            show_default=False,
        ),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option("--error", metavar="TEXT", help="What went wrong.", rich_help_panel=SAID_PANEL, show_default=False),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option(
            "--description", metavar="TEXT", help="What completed found.", rich_help_panel=SAID_PANEL, show_default=False
        ),
    ] = None,
    audit_score: Annotated[
        int | None,
        typer.Option(
            "--audit-score",
            metavar="NUMBER",
            min=0,
            max=100,
            help="How good it is.",
            rich_help_panel=SAID_PANEL,
            show_default=False,
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            "--owner",
            metavar="USER",
            help="Whose upload it is. A server with --access owner shows it to nobody else.",
            show_default=False,
        ),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(
            "--attempt", metavar="NUMBER", min=1, help="With --seq: the event's version. Without: the next.", show_default=False
        ),
    ] = None,
    seq: Annotated[
        int | None,
        typer.Option(
            "--seq", metavar="NUMBER", min=1, help="With --run the first event's; it counts up from there.", show_default=False
        ),
    ] = None,
    control: ControlUrl = DEFAULT_CONTROL,
    redis: Annotated[
        str | None,
        typer.Option(
            "--redis",
            envvar="VUEMANTICS_WS_REDIS",
            metavar="URL",
            help="Publish to all nodes around this Redis, instead of to a server.",
            rich_help_panel=SERVER_PANEL,
            show_default=False,
        ),
    ] = None,
    redis_prefix: Annotated[
        str,
        typer.Option(
            "--redis-prefix",
            envvar="VUEMANTICS_WS_REDIS_PREFIX",
            metavar="TEXT",
            help="Of all keys and channels, as the nodes have it.",
            rich_help_panel=SERVER_PANEL,
        ),
    ] = "vuemantics-ws:",
    as_json: AsJson = False,
) -> None:
    """Publish how an upload is doing, and print the verdict.

    Stage, status and message follow from the percent as in the real pipeline, unless they are given. Exits with 7 when the
    event is dropped: it is older than what is known, or comes after the end.
    """
    import asyncio

    from vuemantics_ws.ambient import SystemClock, new_upload_id, timestamp
    from vuemantics_ws.client.locations import check_url
    from vuemantics_ws.quantities import parse_factor
    from vuemantics_ws_cli.console import emit
    from vuemantics_ws_cli.destinations import open_destination
    from vuemantics_ws_cli.events import Said, cue_of
    from vuemantics_ws_cli.options import check_upload_id, read_option

    said = Said(stage=stage, message=message, error=error, description=description, audit_score=audit_score)
    factor = read_option("--speed", parse_factor, speed)
    version = _version(attempt, seq)
    made = upload_id == "new"
    upload_id = new_upload_id() if made else upload_id
    check_upload_id(upload_id)
    check_url(control, setting="--control", schemes=("http", "https"))
    cues = _cues_of_a_run(upload_id, run, progress, said, version) if run is not None else []
    cues = cues or [cue_of(upload_id, _required(progress), said, timestamp(SystemClock()), version=version)]
    if not made:
        _warn_unless_uuid(upload_id)
    elif not as_json:
        emit(upload_id)
    output = _Output(upload_id, as_json=as_json, bar=run is not None)
    destination = open_destination(control, _redis_meant(context, redis), redis_prefix)
    raise typer.Exit(asyncio.run(_publish(cues, factor, destination, owner, output)))


def _redis_meant(context: typer.Context, redis: str | None) -> str | None:
    """A --control that was typed outweighs a variable, which may be there for a node."""
    from vuemantics_ws.errors import BadSetting

    if not was_typed(context, "control"):
        return redis
    if was_typed(context, "redis"):
        raise BadSetting("expected --redis without --control", setting="--redis", hint="an event goes one way")
    return None


def _required(progress: str | None) -> str:
    from vuemantics_ws.errors import BadSetting

    if progress is None:
        raise BadSetting("expected PROGRESS, or --run", setting="PROGRESS", hint="0 to 100, completed or failed")
    return progress


def _cues_of_a_run(
    upload_id: str, name: "PipelineName", progress: str | None, said: "Said", version: tuple[int, int] | None
) -> list["Cue"]:
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws_cli.events import cues_of_pipeline

    more = [progress, *said.options()] if progress is not None else said.options()
    if more:
        raise BadSetting(f"expected --run without {more[0]}", setting="--run", hint="a run says everything by itself")
    return cues_of_pipeline(upload_id, name, version=version)


def _version(attempt: int | None, seq: int | None) -> tuple[int, int] | None:
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.messages import VERSION_NUMBER_MAX

    if attempt is None and seq is None:
        return None
    if attempt is None or seq is None:
        given, missing = ("--attempt", "--seq") if seq is None else ("--seq", "--attempt")
        raise BadSetting(f"{given}: expected {missing} beside it", setting=given)
    if max(attempt, seq) > VERSION_NUMBER_MAX:
        raise BadSetting(f"--attempt, --seq: expected at most {VERSION_NUMBER_MAX}", setting="--attempt")
    return attempt, seq


def _warn_unless_uuid(upload_id: str) -> None:
    from uuid import UUID

    from vuemantics_ws_cli.console import complain

    try:
        canonical = str(UUID(upload_id)) == upload_id.lower()
    except ValueError:
        canonical = False
    if not canonical:
        complain(
            f"{upload_id} is no UUID: the server takes it, but the application's page drops what is about it", kind="warning"
        )


class _Output:
    """A line of data for each verdict; of a run that a person watches a bar, and only the last line."""

    def __init__(self, upload_id: str, *, as_json: bool, bar: bool) -> None:
        from vuemantics_ws_cli.console import stderr
        from vuemantics_ws_cli.views.publishing import run_bar

        console = stderr()
        self.bar = run_bar(console, shown=bar and console.is_terminal and not as_json)
        self._task = self.bar.add_task(upload_id, total=100, stage="")
        self._as_json = as_json

    def take(self, cue: "Cue", receipt: "Receipt", *, last: bool) -> None:
        import dataclasses

        from vuemantics_ws_cli.console import emit, json_line

        self.bar.update(self._task, completed=cue.percent, stage=cue.stage)
        if self._as_json:
            emit(json_line({**dataclasses.asdict(receipt), "stage": cue.stage, "progress_percent": cue.percent}))
        elif last:
            self.bar.stop()
            self._print(receipt)

    def _print(self, receipt: "Receipt") -> None:
        from vuemantics_ws_cli.console import stdout
        from vuemantics_ws_cli.views.publishing import receipt_line

        stdout().print(receipt_line(receipt), soft_wrap=True)


async def _publish(
    cues: list["Cue"],
    speed: float,
    opening: "AbstractAsyncContextManager[Destination]",
    owner: str | None,
    output: _Output,
) -> ExitCode:
    """Publish each event when it is due, until the last one or the first that is dropped."""
    import asyncio

    from vuemantics_ws.ambient import SystemClock, timestamp
    from vuemantics_ws_cli.console import complain
    from vuemantics_ws_cli.views.publishing import REJECTED, rejection

    clock, loop = SystemClock(), asyncio.get_running_loop()
    async with opening as destination:
        with output.bar:
            started = loop.time()
            for cue in cues:
                await asyncio.sleep(max(0.0, started + cue.at_s / speed - loop.time()))
                receipt = await destination.publish(cue.event(timestamp(clock)), owner)
                rejected = receipt.verdict in REJECTED
                output.take(cue, receipt, last=rejected or cue is cues[-1])
                if rejected:
                    complain(*rejection(receipt))
                    return ExitCode.REJECTED
                if owner is None and cue is cues[0] and await destination.hides(receipt.upload_id):
                    message = "nobody owns this upload, so the server shows it to nobody"
                    complain(message, "--owner alice names its owner", kind="warning")
    return ExitCode.OK
