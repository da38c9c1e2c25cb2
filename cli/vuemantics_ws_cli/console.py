"""Where words go: data to stdout, talk to stderr.

Whatever came over the wire passes through :func:`printable` or :func:`json_line` first, since a terminal obeys the control
characters that it is sent.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from vuemantics_ws.errors import BadScenario
    from vuemantics_ws_cli.views.size import Size

COLUMNS_IN_A_PIPE = 160
"""A pipe has no width of its own."""

# Control characters, the two separators that some terminals take for a line's end, what turns the direction of text around,
# and halves of characters, which no encoding can write.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ReaderGone(Exception):
    """Whoever read our stdout has had enough: ``listen … | head``."""


def printable(text: str) -> str:
    """The text with every character that a terminal would obey written as an escape."""
    return _OBEYED.sub(_escape, text)


def json_line(value: Any) -> str:
    """One line of JSON that means the same and that no terminal obeys."""
    return _OBEYED.sub(
        lambda match: f"\\u{ord(match.group()):04x}", json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )


def stdout() -> "Console":
    """For data. Plain in a pipe and where NO_COLOR is set; a line is never wrapped in a pipe."""
    from rich.console import Console

    class DataConsole(Console):
        def on_broken_pipe(self) -> None:
            raise ReaderGone

    return DataConsole(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> "Console":
    """For talk, and for whatever moves. Where nobody listens any more it goes nowhere, which is no reason to stop."""
    from rich.console import Console

    class TalkConsole(Console):
        def on_broken_pipe(self) -> None:
            _forget(sys.stderr)

    return TalkConsole(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def size_of(console: "Console") -> "Size":
    """The terminal's size as it is now. In a pipe as wide as COLUMNS says."""
    from vuemantics_ws_cli.views.size import Size

    told = console.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    return Size(console.width if told else COLUMNS_IN_A_PIPE, console.height, console.options.ascii_only)


def emit(line: str) -> None:
    """One line of data, at once: whoever reads a pipe wants it now.

    Raises:
        ReaderGone: nobody reads any more.
    """
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def say(message: "str | Text") -> None:
    """Talk to the person. A long line is the terminal's to wrap."""
    with _whether_heard_or_not():
        stderr().print(message, soft_wrap=True)


def complain(message: str, hint: str | None = None, *, kind: str = "error") -> None:
    """``error: …``, then ``hint: …``. Never wrapped, so that they can be searched for."""
    from rich.text import Text

    console = stderr()
    style = "bold red" if kind == "error" else "bold yellow"
    for line, text, colour in ((kind, message, style), ("hint", hint, "bold cyan")):
        if text:
            words = Text.assemble((f"{line}:", colour), " ", printable_lines(text))
            with _whether_heard_or_not():
                console.print(words, soft_wrap=True)


@contextlib.contextmanager
def _whether_heard_or_not() -> Iterator[None]:
    """A full disk, or a terminal that is gone, is no reason to stop: the exit code still tells."""
    try:
        yield
    except OSError:
        _forget(sys.stderr)


def complain_of(error: "BadScenario") -> None:
    """Each of its problems as an error of its own."""
    for problem in error.problems:
        complain(problem)


def printable_lines(text: str) -> str:
    """Like :func:`printable`, but several lines stay several."""
    return "\n".join(printable(line) for line in text.split("\n"))


def forget_stdout() -> None:
    """After :class:`ReaderGone`: what Python still flushes at its exit goes nowhere."""
    _forget(sys.stdout)


def _forget(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
