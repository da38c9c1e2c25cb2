"""Ctrl-C where it does no harm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

LetThrough = Callable[[], AbstractContextManager[None]]


@contextmanager
def interrupts_held() -> Iterator[LetThrough]:
    """Hold a SIGINT back until the end, but for what is done in the context managers that this gives: they let it through.

    For what must be put back as it was, however it ends. Who sends a second one gets through at once. Outside of the main
    thread, which alone is interrupted, this does nothing, as where SIGINT has no handler of Python's.
    """
    before = signal.getsignal(signal.SIGINT)
    passes = is_held = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_held
        is_second, is_held = is_held, not passes and not is_held
        if passes or is_second:
            assert callable(before)
            before(number, frame)

    @contextmanager
    def let_through() -> Iterator[None]:
        nonlocal passes
        try:
            passes = True
            yield
        finally:
            passes = False

    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield let_through
        return
    try:
        signal.signal(signal.SIGINT, handle)
        yield let_through
    finally:
        signal.signal(signal.SIGINT, before)
        if is_held:
            signal.raise_signal(signal.SIGINT)
