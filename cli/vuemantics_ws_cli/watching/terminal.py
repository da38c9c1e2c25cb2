"""A terminal while live tables are shown on it: its keys one by one, and everything put back at the end."""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from vuemantics_ws_cli.watching.keys import Keys

SETTLE_S = 0.05
"""How long the rest of a key's bytes may take. After that a lone escape was the escape key."""


class Keyboard:
    """Tells which keys are pressed. Where stdin is no terminal, none ever are."""

    def __init__(self, pressed: Callable[[list[str]], None], left: Callable[[], None]) -> None:
        """``left`` is called when the terminal is gone."""
        self._pressed, self._left = pressed, left
        self._keys = Keys()
        self._settling: asyncio.TimerHandle | None = None
        self._file = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return self._file is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keys come one by one and are not echoed. Ctrl-C and Ctrl-Z stay what they are."""
        if self._file is None:
            yield
            return
        loop = asyncio.get_running_loop()
        before = termios.tcgetattr(self._file)
        try:
            tty.setcbreak(self._file, termios.TCSADRAIN)
            loop.add_reader(self._file, self._read, self._file)
            yield
        finally:
            loop.remove_reader(self._file)
            if self._settling is not None:
                self._settling.cancel()
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._file, termios.TCSADRAIN, before)

    def _read(self, file: int) -> None:
        try:
            data = os.read(file, 4096)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(file)
            self._left()
            return
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        self._tell(self._keys.feed(data))
        if self._keys.unsettled:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, lambda: self._tell(self._keys.settle()))

    def _tell(self, keys: list[str]) -> None:
        if keys:
            self._pressed(keys)


@contextlib.contextmanager
def signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    """Call these in the loop when a signal comes. Afterwards each is what it was."""
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def suspend() -> None:
    """Stop as Ctrl-Z does, and return when somebody lets us go on."""
    ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, ours)
