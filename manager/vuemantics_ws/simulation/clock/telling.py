"""Words for a person about what runs, waits and spins in virtual time."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from types import CodeType
from typing import Any

from vuemantics_ws.simulation.clock.process import process_of

ROOTS = ("vuemantics_ws", "site-packages")
"""Paths are told from there on, else with their last folder."""

LINES_MAX = 20
"""Of tasks or callbacks that one error lists."""

TEXT_MAX = 200

AWAITED = {"cr": "cr_await", "gi": "gi_yieldfrom", "ag": "ag_await"}
"""By the prefix of their attributes, where coroutines, generators and asynchronous generators tell whom they await."""


def listed(lines: Sequence[str]) -> str:
    """One a line, and how many more there are."""
    shown = [f"  {line[:TEXT_MAX]}" for line in lines[:LINES_MAX]]
    if len(lines) > LINES_MAX:
        shown.append(f"  and {len(lines) - LINES_MAX} more")
    return "\n".join(shown)


def told(task: "asyncio.Task[Any]") -> str:
    """Its name, whose it is, and where it waits."""
    return f"{task.get_name()} of {_owner(task)}, at {where(task)}"


def where(task: "asyncio.Task[Any]") -> str:
    """The innermost place outside of asyncio at which it is suspended, and in what of asyncio it waits there.

    As far as coroutines and generators tell whom they await.
    """
    place, inside = "an unknown place", ""
    waiting: Any = task.get_coro()
    for _ in range(sys.getrecursionlimit()):
        kind = next((kind for kind in AWAITED if hasattr(waiting, f"{kind}_code")), None)
        if kind is None:
            break
        code, frame = getattr(waiting, f"{kind}_code"), getattr(waiting, f"{kind}_frame")
        if PurePath(code.co_filename).parent.name == "asyncio":
            inside = f" in {code.co_qualname}"
        else:
            place, inside = _place(code, code.co_firstlineno if frame is None else frame.f_lineno), ""
        waiting = getattr(waiting, AWAITED[kind])
    return place + inside


def most_often(handles: Iterable[asyncio.Handle], counted: "Counter[str]") -> None:
    """Count what is about to run, by what it is."""
    for handle in handles:
        callback: Any = handle._callback  # type: ignore[attr-defined]
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, asyncio.Task):
            counted[f"{owner.get_name()} of {_owner(owner)}, {_entered(owner)}"] += 1
        elif callback is not None:
            process = process_of(handle._context)  # type: ignore[attr-defined]
            counted[f"{_name(callback)} of {process.name if process else 'the world'}"] += 1


def _entered(task: "asyncio.Task[Any]") -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return "a coroutine" if code is None else _place(code, code.co_firstlineno)


def _owner(task: "asyncio.Task[Any]") -> str:
    process = getattr(task, "process", None)
    return "the world" if process is None else process.name + (" (paused)" if process.is_paused else "")


def _name(callback: Any) -> str:
    while hasattr(callback, "func"):  # a partial
        callback = callback.func
    code = getattr(callback, "__code__", None)
    return _place(code, code.co_firstlineno) if code is not None else getattr(callback, "__qualname__", type(callback).__name__)


def _place(code: CodeType, line: int) -> str:
    parts = PurePath(code.co_filename).parts
    start = max((at for at, part in enumerate(parts) if part in ROOTS), default=len(parts) - 2)
    return f"{'/'.join(parts[max(0, start) :])}:{line} {code.co_qualname}"
