"""The options that several commands share, and how help shows examples."""

from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated, TypeVar

import typer

from vuemantics_ws.client.locations import CONTROL_URL, PUBLIC_URL

T = TypeVar("T")

SERVER_PANEL = "Server"

Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="VUEMANTICS_WS_URL", metavar="URL", help="Where browsers connect.", rich_help_panel=SERVER_PANEL
    ),
]
ControlUrl = Annotated[
    str,
    typer.Option(
        "--control",
        envvar="VUEMANTICS_WS_CONTROL",
        metavar="URL",
        help="The server's control port.",
        rich_help_panel=SERVER_PANEL,
    ),
]
Secret = Annotated[
    str | None,
    typer.Option(
        "--secret",
        envvar="VUEMANTICS_WS_SECRET",
        metavar="TEXT",
        help="Make the token here, with the server's secret, instead of asking the control port. "
        "Better given as a variable: other users of the machine can read options.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="One JSON object a line on stdout.")]

DEFAULT_URL = PUBLIC_URL
DEFAULT_CONTROL = CONTROL_URL


def examples(*commands: str) -> str:
    """The end of a command's help. Each works as it stands: tests parse them."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  [cyan]{command}[/cyan]" for command in commands)])


def help_of(command: Callable[..., None]) -> str:
    """A command's docstring, with its paragraphs unwrapped: help wraps them anew."""
    paragraphs = cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def read_option(option: str, read: Callable[[str], T], text: str) -> T:
    """A quantity that was typed.

    Raises:
        BadSetting: the text is none; the message names the option.
    """
    from vuemantics_ws.errors import BadQuantity, BadSetting

    try:
        return read(text)
    except BadQuantity as error:
        raise BadSetting(f"{option}: {error.message}", setting=option, hint=error.hint) from None


def was_typed(context: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line, and comes from no variable and no default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_upload_id(upload_id: str) -> None:
    """Raises:
    BadSetting: no server would take it.
    """
    import re

    from vuemantics_ws.errors import BadSetting
    from vuemantics_ws.messages import UPLOAD_ID_PATTERN

    if not re.match(UPLOAD_ID_PATTERN, upload_id):
        raise BadSetting(
            f"UPLOAD_ID: expected 1 to 128 letters, digits, dots, underscores and hyphens, got {upload_id[:60]!r}",
            setting="UPLOAD_ID",
        )
