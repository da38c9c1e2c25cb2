"""``vuemantics-ws kick``: close a connection, or all of a user's."""

from typing import TYPE_CHECKING, Annotated

import typer

from vuemantics_ws_cli.options import DEFAULT_CONTROL, AsJson, ControlUrl, examples

if TYPE_CHECKING:
    from vuemantics_ws.client.control import Kicked

EPILOG = examples(
    "vuemantics-ws kick 12",
    "vuemantics-ws kick 12 --node web-1:8765",
    "vuemantics-ws kick --user alice",
    "vuemantics-ws kick --user alice --for-good --json",
)


def kick(
    connection: Annotated[
        int | None,
        typer.Argument(
            metavar="CONNECTION", min=0, help="Its number, as vuemantics-ws connections shows it.", show_default=False
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Every connection of this user instead.", show_default=False)
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node", metavar="NAME", help="The node that has the connection, where there are several.", show_default=False
        ),
    ] = None,
    for_good: Annotated[
        bool,
        typer.Option("--for-good", metavar="", help="The browser stays away until its page is opened again (1000, not 1012)."),
    ] = False,
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """Close a connection, or every connection of a user. Their browsers come back by themselves, unless it is --for-good.

    A user's connections are closed on every node. A connection's number counts on its node: --node says which, and without it
    the one that is asked is meant.

    What a user follows is kept for the server's grace time in either case. Exits with 4 where there is no such connection, or
    no connection of that user.
    """
    import asyncio

    from vuemantics_ws.client.locations import check_url
    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws_cli.console import complain, emit, json_line, say

    if (connection is None) == (user is None):
        got = "neither" if user is None else "both"
        raise BadSetting(
            f"expected CONNECTION or --user, got {got}", setting="CONNECTION", hint="vuemantics-ws connections lists them"
        )
    if node is not None and connection is None:
        raise BadSetting("expected --node with CONNECTION: a user is on all nodes", setting="--node", hint="leave it out")
    check_url(control, setting="--control", schemes=("http", "https"))
    kicked = asyncio.run(_kick(control, connection, user, node=node, for_good=for_good))
    count = kicked.count
    as_line = json_line({"kicked": count, "missing": kicked.missing})
    emit(as_line if as_json else f"closed {count} connection{'' if count == 1 else 's'}")
    for name in kicked.missing:
        complain(f"{name} did not answer, so what it has may still be there", "try again", kind="warning")
    if for_good:
        say("with 1000: the browser stays away until its page is opened again")
    else:
        say("with 1012: the browser comes back by itself; --for-good keeps it away")


async def _kick(control: str, connection: int | None, user: str | None, *, node: str | None, for_good: bool) -> "Kicked":
    from vuemantics_ws.client.control import Control
    from vuemantics_ws.errors import Refused

    async with Control(control) as server:
        try:
            if connection is not None:
                return await server.kick(connection, node=node, for_good=for_good)
            assert user is not None
            return await server.kick_user(user, for_good=for_good)
        except Refused as error:
            hint = error.hint or "vuemantics-ws connections lists who is connected"
            raise Refused(error.message, hint=hint) from None
