"""One line that moves on a terminal while something is computed; elsewhere a line now and then. On stderr."""

import contextlib
from collections.abc import Callable, Iterator
from threading import Event, Thread

from rich.live import Live
from rich.text import Text

from vuemantics_ws_cli.console import say, stderr
from vuemantics_ws_cli.views.size import Size

FRAMES_PER_S = 8
LINES_FIRST_AFTER_S = 2.0
LINES_EVERY_S_MAX = 60.0
"""Lines come ever further apart, up to this: the log of a long sweep is read by people, too."""


@contextlib.contextmanager
def moving(line: Callable[[Size | None], Text], *, quiet: bool) -> Iterator[None]:
    """Show ``line`` meanwhile, and nothing of it afterwards on a terminal.

    It is called in another thread, with the room that there is; with None for a line that stays.
    """
    console = stderr()
    if quiet:
        yield
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(
            get_renderable=lambda: line(Size(console.width, console.height, console.options.ascii_only)),
            console=console,
            refresh_per_second=FRAMES_PER_S,
            transient=True,
        ):
            yield
    else:
        with _lines(line):
            yield


@contextlib.contextmanager
def _lines(line: Callable[[Size | None], Text]) -> Iterator[None]:
    over = Event()

    def tell() -> None:
        pause_s, last = LINES_FIRST_AFTER_S, None
        while not over.wait(pause_s):
            pause_s, said = min(1.5 * pause_s, LINES_EVERY_S_MAX), line(None)
            if said != last:
                say(said)
            last = said

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
