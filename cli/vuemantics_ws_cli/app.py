"""``vuemantics-ws``: the commands, and what becomes of an error.

Every command is imported here, so none of them may import at its top what only running needs.
"""

import errno
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from typing import Annotated

import typer

from vuemantics_ws.errors import BadScenario, VuemanticsError
from vuemantics_ws_cli.commands import connections, kick, listen, publish, scenarios, serve, simulate, token, uploads, watch
from vuemantics_ws_cli.console import ReaderGone, complain, complain_of, forget_stdout
from vuemantics_ws_cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from vuemantics_ws_cli.options import examples, help_of

PROGRAM = "vuemantics-ws"

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # typer has no public name for it
_Problem: type[Exception] = typer.BadParameter.__mro__[2]


def _show_version(wanted: bool) -> None:
    if wanted:
        from vuemantics_ws_cli.version import version

        typer.echo(f"{PROGRAM} {version()}")
        raise typer.Exit


def _epilog() -> str:
    codes = "\n".join(f"  [cyan]{code:>3d}[/cyan]  {meaning}" for code, meaning in MEANINGS.items())
    started = examples(
        "vuemantics-ws simulate quickstart",
        "vuemantics-ws serve",
        "vuemantics-ws listen holiday --user alice",
        "vuemantics-ws publish holiday 50",
        "vuemantics-ws watch",
    )
    return f"[bold]Exit codes[/bold]\n{codes}\n\n{started}"


app = typer.Typer(
    name=PROGRAM,
    help="Live upload progress over WebSockets: serve it, publish it, listen to it, watch it, simulate it.",
    epilog=_epilog(),
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_COMMANDS = {
    "serve": serve,
    "publish": publish,
    "listen": listen,
    "watch": watch,
    "connections": connections,
    "uploads": uploads,
    "kick": kick,
    "token": token,
    "simulate": simulate,
    "scenarios": scenarios,
}
for _name, _module in _COMMANDS.items():
    _command = getattr(_module, _name)
    app.command(_name, help=help_of(_command), epilog=_module.EPILOG)(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and return its exit code. Raises nothing."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an encoding without our bars is no reason to stop
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if not arguments:
            with redirect_stdout(sys.stderr):
                _run(["--help"])
            return ExitCode.USAGE
        ended = _run(arguments)
        return ended if isinstance(ended, int) else ExitCode.OK
    except BadScenario as error:
        complain_of(error)
        return exit_code_of(error)
    except VuemanticsError as error:
        complain(error.message, error.hint)
        return exit_code_of(error)
    except ReaderGone:
        forget_stdout()
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except _UsageError as error:
        return _explain_usage(error)
    except _Problem as error:
        complain(str(error))
        return ExitCode.USAGE
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            return _own_up(error)
        complain(f"what was to be written cannot be: {os.strerror(error.errno).lower()}")
        forget_stdout()
        return ExitCode.UNFIT
    except Exception as error:  # noqa: BLE001 - the edge of the program
        return _own_up(error)


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a full disk says to whoever writes, and a terminal that is gone. Files that are named tell of it themselves."""


def _open_what_is_closed() -> None:
    """A stream that somebody closed becomes one of nothing: the next file that is opened would take its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as the process runs


def _run(arguments: Sequence[str]) -> object:
    return typer.main.get_command(app).main(args=arguments, prog_name=PROGRAM, standalone_mode=False)


def _explain_usage(error: Exception) -> ExitCode:
    """Typer's own words for a wrong command line, in our form."""
    context = getattr(error, "ctx", None)
    words = error.format_message() if hasattr(error, "format_message") else str(error)
    message, _, suggestion = words.partition(" Did you mean ")
    message = message.partition(" (Possible options: ")[0].partition(", unable to parse ")[0]
    message = message.replace(": Value error, ", ": ").replace(": Input should be ", ": expected ")
    likely = get_close_matches(getattr(error, "option_name", ""), getattr(error, "possibilities", None) or [], n=1)
    nearest = suggestion.rstrip("?") or "".join(likely)
    path = context.command_path if context is not None else PROGRAM
    complain(message[:1].lower() + message[1:].rstrip("."), f"did you mean {nearest}?" if nearest else f"see: {path} --help")
    return ExitCode.USAGE


def _own_up(error: Exception) -> ExitCode:
    if os.environ.get("VUEMANTICS_WS_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    complain(
        f"a fault of ours: {type(error).__name__}",  # its words may quote a secret or a payload
        f"VUEMANTICS_WS_DEBUG=1 shows where: report that, with {PROGRAM} --version, on the project's issue tracker",
    )
    return ExitCode.FAULT
