"""Tables of a server in the server's own terminal, drawn by a process of their own, and what the server says meanwhile."""

import asyncio
import contextlib
import io
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import TextIO

HELD_LINES_MAX = 1000

END_TIMEOUT_S = 5.0
"""How long tables that are told to end may take."""


class HeldBack(io.TextIOBase):
    """A stream that keeps what is written to it, the newest lines of it, until it is let go. Then it is the stream behind it.

    May be written to by several threads.
    """

    def __init__(self, behind: TextIO, *, lines_max: int = HELD_LINES_MAX) -> None:
        self._behind = behind
        self._lines: deque[str] = deque(maxlen=lines_max)
        self._begun = ""
        self._dropped = 0
        self._free = False
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        with self._lock:
            if self._free:
                return self._behind.write(text)
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._dropped += len(self._lines) == self._lines.maxlen
                self._lines.append(line)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            if self._free:
                self._behind.flush()

    def fileno(self) -> int:
        return self._behind.fileno()

    def isatty(self) -> bool:
        return self._behind.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._behind.encoding

    def let_go(self) -> None:
        """Write what was held back, and say how much of it was dropped. From now on nothing is held."""
        with self._lock:
            if self._free:
                return
            self._free = True
            if self._dropped:
                self._behind.write(f"({self._dropped} earlier lines were dropped)\n")
            self._behind.write("".join(f"{line}\n" for line in self._lines) + self._begun)
            self._behind.flush()
            self._lines.clear()


class OwnTables:
    """Runs ``watch`` on the terminal that this process has. What it would write to stderr there waits until the tables end.

    Use it as a context manager around all that may write there; the tables are ended at the end, if they still run. While they
    do, Ctrl-Z means nothing: this process would stop before the tables have given the terminal back.
    """

    def __init__(self) -> None:
        self._before = sys.stderr
        self._held = HeldBack(sys.stderr)
        self._tables: subprocess.Popen[bytes] | None = None
        self._waiting: threading.Thread | None = None
        self._suspending = signal.getsignal(signal.SIGTSTP)

    def __enter__(self) -> "OwnTables":
        if self._before.isatty():
            sys.stderr = self._held
        return self

    def show(self, control: str) -> None:
        """Show the tables of the server with this control port. Returns at once. Must be called in the loop."""
        command = [sys.executable, "-m", "vuemantics_ws_cli", "watch", "--control", control]
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self._tables = subprocess.Popen(command)  # noqa: S603 - it is ourselves
        self._waiting = threading.Thread(target=self._wait, args=(self._tables, asyncio.get_running_loop()), name="tables")
        self._waiting.start()

    def __exit__(self, *_: object) -> None:
        if self._tables is not None and self._waiting is not None:
            self._tables.terminate()
            self._waiting.join(END_TIMEOUT_S)
            self._tables.kill()  # it cannot write: somebody stopped the terminal
            self._waiting.join()
        self._give_back()
        sys.stderr = self._before

    def _wait(self, tables: "subprocess.Popen[bytes]", loop: asyncio.AbstractEventLoop) -> None:
        tables.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and so does all of this
            loop.call_soon_threadsafe(self._give_back)

    def _give_back(self) -> None:
        """The terminal is this process's own again."""
        signal.signal(signal.SIGTSTP, self._suspending)
        self._held.let_go()
