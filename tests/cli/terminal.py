"""A pseudo terminal with a program on it: keys go in, and what a person would see comes out."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pyte

PATIENCE_S = 20.0
"""How long a test waits for what must be shown. Nothing takes as long, unless it is broken."""


class Terminal:
    """Waits for what the screen shows, never for a time to pass."""

    def __init__(self, command: list[str], environment: dict[str, str], *, columns: int, lines: int) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, self._theirs = pty.openpty()
        self._set_size(columns, lines)
        self.written = b""
        self.before = self.attributes()
        self.process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    @property
    def text(self) -> str:
        """What stands there, line by line, without blanks at the ends."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def alternate(self) -> bool:
        """Whether the program shows the alternate screen, so that the person's own is kept."""
        return self.written.rfind(b"\x1b[?1049h") > self.written.rfind(b"\x1b[?1049l")

    def attributes(self) -> list[Any]:
        """Echo, line editing and the rest of it."""
        return termios.tcgetattr(self._theirs)

    def shows(self, *words: str) -> str:
        """Wait until all of these stand on the screen; returns all that stands there."""
        self._wait(lambda: all(word in self.text for word in words), f"expected {words!r}")
        return self.text

    def shows_no_more(self, words: str) -> str:
        self._wait(lambda: words not in self.text, f"expected no {words!r}")
        return self.text

    def writes(self, data: bytes, *, times: int = 1) -> None:
        """Wait until the program has written this, so many times since it began."""
        self._wait(lambda: self.written.count(data) >= times, f"expected {data!r}")

    def wrote_nothing(self) -> bool:
        """Whether the program has been silent since whatever was read last."""
        before = len(self.written)
        self._read(0)
        return len(self.written) == before

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def ended(self) -> int:
        """Wait for the end of the program; returns its exit code."""
        self._wait(lambda: self.process.poll() is not None, "expected the program to end")
        self._read(0)
        return self.process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _wait(self, done: Any, expected: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"{expected}, and saw:\n{self.text}"
            self._read(0.05)

    def _read(self, timeout_s: float) -> None:
        while select.select([self._ours], [], [], timeout_s)[0]:
            data = os.read(self._ours, 65536)
            self.written += data
            self._stream.feed(data)
            timeout_s = 0


@contextlib.contextmanager
def terminal(*arguments: str, columns: int = 80, lines: int = 24, shell: str = "", **environment: str) -> Iterator[Terminal]:
    """``vuemantics-ws`` with these arguments on a terminal; with a ``shell`` script, that, which finds them as ``"$@"``."""
    command = [sys.executable, "-m", "vuemantics_ws_cli", *arguments]
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    shown = Terminal(
        ["sh", "-c", shell, "sh", *command] if shell else command,
        {**inherited, "TERM": "xterm-256color", **environment},
        columns=columns,
        lines=lines,
    )
    try:
        yield shown
    finally:
        shown.close()
