"""``vuemantics-ws token``: a token on stdout, and nothing else."""

from typing import Annotated

import typer

from vuemantics_ws_cli.options import DEFAULT_CONTROL, AsJson, ControlUrl, Secret, examples

EPILOG = examples(
    "vuemantics-ws token alice",
    "vuemantics-ws token alice --ttl 30s --json",
    "VUEMANTICS_WS_SECRET=… vuemantics-ws token alice --ttl 8h",
)


def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whom the token is for.", show_default=False)],
    ttl: Annotated[str, typer.Option("--ttl", metavar="DURATION", help="How long it is good, such as 30s, 1h or 7d.")] = "1h",
    secret: Secret = None,
    control: ControlUrl = DEFAULT_CONTROL,
    as_json: AsJson = False,
) -> None:
    """Print a token for a user.

    Asks a server in development mode for one. With the secret the token is made here, whatever the server's mode: HS256, type
    access, token_version 1.
    """
    import asyncio
    import dataclasses

    from vuemantics_ws.quantities import parse_duration
    from vuemantics_ws_cli.console import emit, json_line
    from vuemantics_ws_cli.options import read_option
    from vuemantics_ws_cli.tokens import issue

    ttl_s = read_option("--ttl", parse_duration, ttl)
    issued = asyncio.run(issue(user, secret=secret, control=control, ttl_s=ttl_s))
    emit(json_line(dataclasses.asdict(issued)) if as_json else issued.token)
