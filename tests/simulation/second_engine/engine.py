"""A second engine: simloop, an event loop in virtual time, with a network in memory, that nobody of this project wrote.

What holds on it holds for another reason than that our own loop is kind. Among all that is ready it draws what runs next, by
the dice of a seed or by the priorities of PCT (Burckhardt et al., ASPLOS 2010), where asyncio and our loop go by turns; so it
finds orders of things that timing alone does not bring about. It wants Python 3.12.

A failure says with which seed it came. pytest's options ``--simloop-replay SEED`` and ``--simloop-policy pct`` play it again,
``--simloop-seeds N`` looks further.
"""

import asyncio
import functools
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import pytest

Program = Callable[[], Coroutine[Any, Any, None]]

POLICIES = ("random", "pct")

LASTS_MAX_S = 600.0
"""Virtual seconds."""

needs_engine = pytest.mark.skipif(sys.version_info < (3, 12), reason="simloop, the second engine, wants Python 3.12")


class Host(Protocol):
    """A machine of the engine's world. What is started on it, and whatever that starts, belongs to it."""

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...


class Network(Protocol):
    """What lies between hosts."""

    def host(self, name: str) -> Host: ...
    def set_defaults(self, *, latency: tuple[float, float]) -> None: ...
    def set_flow_control(self) -> None:
        """Bytes that a peer has not read wait with their writer."""
        ...

    def partition(self, *groups: set[str]) -> None: ...
    def heal(self) -> None: ...


class Loop(Protocol):
    """What the engine's loop has beside what all loops have."""

    seed: int
    net: Network

    def trace_hash(self) -> str:
        """Of all that it has decided."""
        ...


class Found(Protocol):
    """A failure that the engine found. ``seeds_passed`` counts the seeds before it that showed nothing."""

    seed: int
    seeds_passed: int
    exception: Exception


def engine() -> Loop:
    """The running loop, as the engine's."""
    return cast(Loop, asyncio.get_running_loop())


def explore(program: Program, *, seeds: int) -> None:
    """Run the program under many seeds, by both ways of scheduling. Raises whatever the first run raises that does."""
    import simloop

    with _quick_collections():
        for policy in POLICIES:
            simloop.sim_test(seeds=seeds, policy=policy)(_bounded(program))()


def search(program: Program, *, seeds: int, policy: str = "random") -> Found | None:
    """The first seed under which the program fails."""
    import simloop

    with _quick_collections():
        return cast(Found | None, simloop.explore(_bounded(program), range(seeds), policy=policy))


def decisions(program: Program, seed: int) -> str:
    """A fingerprint of all that the engine decided in one run."""
    import simloop

    loop = simloop.SimLoop(seed)
    try:
        loop.run_until_complete(program())
        return str(loop.trace_hash())
    finally:
        loop.close()


def _bounded(program: Program) -> Program:
    """A node always has something to do, so whoever waits for ever would have the engine go on for ever."""

    @functools.wraps(program)
    async def bounded() -> None:
        async with asyncio.timeout(LASTS_MAX_S):
            await program()

    return bounded


@contextmanager
def _quick_collections() -> Iterator[None]:
    """The engine collects garbage after each run, and all that pytest has imported need not be looked at each time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
