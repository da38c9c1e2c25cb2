"""``vuemantics-ws listen``: one real client, as a browser is one."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.options import DEFAULT_CONTROL, DEFAULT_URL, AsJson, ControlUrl, Secret, Url, examples

if TYPE_CHECKING:
    from vuemantics_ws.client.subscriber import Notice

EPILOG = examples(
    "vuemantics-ws listen holiday --user alice",
    "vuemantics-ws listen holiday beach --user alice --reconnect",
    "vuemantics-ws listen holiday --user alice --until completed --timeout 5m",
    "vuemantics-ws listen holiday --user alice --count 1 --json",
)

TOKEN_TTL_S = 3600.0
"""Of a token that listen asks for. A server ends the connection with it (4005); --reconnect comes back with a new one."""


def listen(
    upload_ids: Annotated[list[str], typer.Argument(metavar="UPLOAD_ID...", help="The uploads to follow.", show_default=False)],
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="USER", help="Who listens. The control port gives a token.", show_default=False),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="VUEMANTICS_WS_TOKEN", metavar="TOKEN", help="A token that you have already.", show_default=False
        ),
    ] = None,
    secret: Secret = None,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, metavar="NUMBER", help="End after so many messages about uploads.", show_default=False),
    ] = None,
    until: Annotated[
        Literal["completed"] | None,
        typer.Option("--until", help="End when every upload has completed, with 1 when one has failed.", show_default=False),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="End with 6 after this long, such as 30s.", show_default=False),
    ] = None,
    reconnect: Annotated[
        bool,
        typer.Option("--reconnect", metavar="", help="Come back as the browser does: ten tries with growing pauses."),
    ] = False,
    url: Url = DEFAULT_URL,
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """Follow uploads, and print every message about them: a line with a bar, or the message itself.

    What else its user follows is left out. A browser never repeats its subscriptions; this client does after a reconnect, so
    it shows the newest state once more.
    """
    import asyncio

    from vuemantics_ws.client.locations import check_url
    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.console import complain
    from vuemantics_ws_cli.options import check_upload_id, read_option
    from vuemantics_ws_cli.tokens import token_source

    check_url(url, setting="--url", schemes=("ws", "wss"))
    for upload_id in upload_ids:
        check_upload_id(upload_id)
    timeout_s = read_option("--timeout", parse_duration, timeout) if timeout is not None else None
    source = token_source(user=user, token=token, secret=secret, control=control, ttl_s=TOKEN_TTL_S)
    listener = _Listener(list(dict.fromkeys(upload_ids)), count=count, until=until, as_json=as_json)
    try:
        raise typer.Exit(asyncio.run(_listen(listener, url, source, reconnect, timeout_s)))
    except TimeoutError:
        counted = "1 message about an upload" if listener.counted == 1 else f"{listener.counted} messages about uploads"
        complain(f"--timeout: {timeout} are over, after {counted}")
        raise typer.Exit(ExitCode.TIMED_OUT) from None


class _Listener:
    """What becomes of each message: where it is shown, and whether it is the last one wanted."""

    def __init__(self, upload_ids: list[str], *, count: int | None, until: str | None, as_json: bool) -> None:
        from vuemantics_ws.ambient import SystemClock
        from vuemantics_ws_cli.console import stdout
        from vuemantics_ws_cli.views.messages import short_names

        self.upload_ids = upload_ids
        self.counted = 0
        self._count = count
        self._unfinished: set[str | None] | None = set(upload_ids) if until is not None else None
        self._as_json = as_json
        self._names = short_names(upload_ids)
        self._console = stdout()
        self._clock = SystemClock()

    def take(self, message: dict[str, Any]) -> ExitCode | None:
        """Show a message. The exit code if nothing more is wanted, else None.

        Raises:
            Refused: the server will never say anything about one of the uploads.
        """
        from vuemantics_ws.errors import Refused
        from vuemantics_ws.messages import upload_id_of

        action, upload_id = message["action"], upload_id_of(message)
        if action in ("subscribed", "unsubscribed"):
            self._acknowledged(message)
            return None
        if upload_id is not None and upload_id not in self.upload_ids:
            return None  # a server sends whatever the user follows, in other tabs too
        self._show(message)
        if action == "error" and message.get("code") != "try_again" and upload_id in self.upload_ids:
            raise Refused(f"{upload_id}: {message.get('code')}: {message.get('message')}")
        if action not in ("upload_progress", "upload_completed", "upload_failed"):
            return None
        self.counted += 1
        if self._unfinished is not None and action == "upload_failed":
            return ExitCode.FAILED
        if self._unfinished is not None and action == "upload_completed":
            self._unfinished.discard(upload_id)
        return ExitCode.OK if self._unfinished == set() or self.counted == self._count else None

    def notice(self, notice: "Notice") -> None:
        """Talk of the connection itself."""
        from vuemantics_ws.client.subscriber import Connected
        from vuemantics_ws.quantities import format_duration
        from vuemantics_ws_cli.console import complain, printable, say

        if isinstance(notice, Connected):
            again = " again, every subscription repeated" if notice.again else ""
            say(f"connected as {printable(notice.user_id)}{again}")
        else:
            pause = format_duration(round(notice.pause_s, 1))
            complain(f"{notice.because}", f"trying again in {pause}, {notice.tries} of {notice.tries_max}", kind="warning")

    def _acknowledged(self, message: dict[str, Any]) -> None:
        from vuemantics_ws_cli.console import printable, say

        if message["action"] == "subscribed" and not message.get("known"):
            say(f"following {printable(str(message.get('upload_id')))}, of which nothing is known yet")

    def _show(self, message: dict[str, Any]) -> None:
        from datetime import UTC, datetime

        from vuemantics_ws_cli.console import emit, json_line
        from vuemantics_ws_cli.views.messages import message_line

        if self._as_json:
            emit(json_line(message))
            return
        at = datetime.fromtimestamp(self._clock.wall(), UTC).astimezone()
        console = self._console
        width = console.width if console.is_terminal else None
        ascii_only = console.options.ascii_only
        console.print(message_line(message, at=at, names=self._names, width=width, ascii_only=ascii_only))


async def _listen(listener: _Listener, url: str, source: Any, reconnect: bool, timeout_s: float | None) -> ExitCode:
    import asyncio
    import contextlib

    from vuemantics_ws.ambient import system_random
    from vuemantics_ws.client.backoff import Backoff
    from vuemantics_ws.client.subscriber import follow
    from vuemantics_ws.errors import EnvironmentUnfit

    messages = follow(
        url,
        listener.upload_ids,
        token=source,
        backoff=Backoff() if reconnect else None,
        dice=system_random(),
        notice=listener.notice,
    )
    async with asyncio.timeout(timeout_s), contextlib.aclosing(messages):
        async for message in messages:
            code = listener.take(message)
            if code is not None:
                return code
    raise EnvironmentUnfit("the server said goodbye", hint="it has nothing more to say: ask its operator why")
