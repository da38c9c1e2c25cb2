"""Keeps the machine's time, chance and identity out of what runs in virtual time.

Our own code takes a clock, dice and a process id (:mod:`vuemantics_ws.ambient`). Whatever of it reaches for the machine's all
the same, by way of ambient too, raises. Others may: the libraries that we use, and asyncio. Their time is the machine's; their
chance comes from dice, so that it is the same in each run. An identity has a length, and so has the message that it is in.

Not seen are what is written in C, as ``datetime.now``, ``time.localtime()`` and a ``random.Random()`` without a seed, and a
name that was imported out of its module before, as with ``from time import monotonic``. The linter refuses those.
"""

import importlib
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vuemantics_ws.simulation.clock.refusing import refuse

OURS = "vuemantics_ws"

TIME = (
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("process_time", "process_time_ns", "thread_time", "thread_time_ns"),
)
_TAKE_A_CLOCK = "take a Clock, or the loop's time()"
_TAKE_DICE = "take a random.Random, or a factory"

Function = Callable[..., Any]


@contextmanager
def guard(dice: random.Random) -> Iterator[None]:
    """While it is entered, our own code gets neither time, chance nor identity from the machine, and nobody of this thread
    sleeps.

    Args:
        dice: what ``secrets``, ``os.urandom`` and the functions of ``random`` draw from when others call them.

    Inside it raises, where they are called, :class:`~vuemantics_ws.simulation.clock.refusing.NotVirtual`.
    """
    thread = threading.get_ident()
    state = random.getstate()
    random.seed(dice.getrandbits(64))
    replaced = [
        (module, name, getattr(module, name), function)
        for module_name, name, function in _guarded(dice, thread)
        for module in [importlib.import_module(module_name)]
    ]
    for module, name, _, function in replaced:
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, name, original, _ in replaced:
            setattr(module, name, original)
        random.setstate(state)


def _guarded(dice: random.Random, thread: int) -> Iterator[tuple[str, str, Function]]:
    """What is replaced, each by its module and name."""
    for name in TIME:
        yield "time", name, _for_others(_original("time", name), "time", f"time.{name}", _TAKE_A_CLOCK, thread)
    yield "time", "sleep", _for_nobody(_original("time", "sleep"), thread)
    for module, name, instead in (("os", "getpid", "take a process id"), ("socket", "gethostname", "take a name")):
        yield module, name, _for_others(_original(module, name), "identity", f"{module}.{name}", instead, thread)
    for name, original in vars(random).items():
        if isinstance(getattr(original, "__self__", None), random.Random):  # a function of the one that all share
            yield "random", name, _for_others(original, "chance", f"random.{name}", _TAKE_DICE, thread)
    for name in ("uuid1", "uuid4"):
        yield "uuid", name, _for_others(_original("uuid", name), "chance", f"uuid.{name}", _TAKE_DICE, thread)
    from_dice: list[tuple[str, str, Function]] = [
        ("os", "urandom", dice.randbytes),
        ("secrets", "token_bytes", lambda size=None: dice.randbytes(32 if size is None else size)),
        ("secrets", "randbits", dice.getrandbits),
        ("secrets", "randbelow", dice.randrange),
        ("secrets", "choice", dice.choice),
        ("secrets", "token_hex", _original("secrets", "token_hex")),  # made of token_bytes, as the next
        ("secrets", "token_urlsafe", _original("secrets", "token_urlsafe")),
    ]
    for module, name, function in from_dice:
        yield module, name, _for_others(function, "chance", f"{module}.{name}", _TAKE_DICE, thread, _original(module, name))


def _original(module: str, name: str) -> Function:
    function: Function = getattr(importlib.import_module(module), name)
    return function


def _for_others(
    function: Function, what: str, who: str, instead: str, thread: int, elsewhere: Function | None = None
) -> Function:
    """The function for whoever is not ours. In other threads nothing changes: there, ``elsewhere`` is called by all."""
    caller, current = sys._getframe, threading.get_ident
    elsewhere = elsewhere or function
    others: set[str] = set()  # websockets alone asks for each frame that a browser sends

    def guarded(*arguments: Any, **options: Any) -> Any:
        if current() != thread:
            return elsewhere(*arguments, **options)
        name = caller(1).f_globals.get("__name__", "")
        if name not in others:
            if name.partition(".")[0] == OURS:
                refuse(f"real {what}", f"{who} in {name}", instead)
            others.add(name)
        return function(*arguments, **options)

    return guarded


def _for_nobody(original: Function, thread: int) -> Function:
    def guarded(seconds: float) -> None:
        if threading.get_ident() == thread:
            name = sys._getframe(1).f_globals.get("__name__", "")
            refuse("time to sleep", f"time.sleep in {name}", "await asyncio.sleep")
        original(seconds)

    return guarded
