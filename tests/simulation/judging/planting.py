"""How a fault is planted in this process: something takes the place of a part of the server."""

import asyncio
from collections.abc import Callable
from typing import Any

FAULTS: dict[str, Callable[[], None]] = {}
"""By name: what plants each of them. Its docstring says what is wrong."""


def fault(plant: Callable[[], None]) -> Callable[[], None]:
    """One of them, named like its function with hyphens."""
    FAULTS[plant.__name__.replace("_", "-")] = plant
    return plant


def patch(owner: Any, name: str, replacement: object) -> None:
    """Take the place of what is there; a name that is not there any more is a fault of the fault."""
    assert hasattr(owner, name), f"{owner.__name__} has no {name}"
    setattr(owner, name, replacement)


def later(delay_s: float, callback: Callable[..., object], *arguments: object) -> None:
    asyncio.get_running_loop().call_later(delay_s, callback, *arguments)
