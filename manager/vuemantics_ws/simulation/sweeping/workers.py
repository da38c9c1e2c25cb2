"""Seeds spread over processes, a few at a time for each.

The processes are started anew and never forked, with hashes of strings that do not differ between them. None outlives us: it
ends when the pipe from us breaks, however we end.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.sweeping.outcome import Outcome
from vuemantics_ws.simulation.virtual.run import VirtualOptions

PROGRAM = (sys.executable, "-m", "vuemantics_ws.simulation.sweeping")

CHUNK_S = 0.25
"""How long a process should play before it asks for more: long enough for asking to cost nothing beside it."""

CHUNK_MAX = 256
LINE_BYTES_MAX = 16 * 1024 * 1024


class WorkerDied(VuemanticsError):
    """A process that played seeds ended, and nobody had told it to. ``seeds`` are those that it had been given."""

    def __init__(self, how: str, seeds: range) -> None:
        given = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
        super().__init__(
            f"the process that played {given} {how}",
            hint="too little memory is what ends processes most often: --jobs says how many play at once",
        )
        self.seeds = seeds


class Order(Struct, frozen=True):
    """What a process plays. The seeds follow, in :class:`Chunk`."""

    text: str
    options: VirtualOptions


class Chunk(Struct, frozen=True):
    """Seeds to be played in order, both included, until one fails."""

    first: int
    last: int


_OUTCOMES = msgspec.json.Decoder(Outcome)


async def spread(order: Order, seeds: range, jobs: int, take: Callable[[Outcome], None]) -> None:
    """Play the seeds on so many processes, until none is left or one fails and all below it have been played.

    ``take`` is called with each outcome, in the order in which they come.

    Raises:
        WorkerDied: a process ended before its time.
    """
    await _Spreading(order, seeds, jobs, take).run()


class _Spreading:
    def __init__(self, order: Order, seeds: range, jobs: int, take: Callable[[Outcome], None]) -> None:
        self._order = order
        self._left = seeds
        self._jobs = min(jobs, len(seeds))
        self._take = take
        self._mean_s: float | None = None
        """How long a seed takes, the newest counting most."""
        self._failed: int | None = None
        self._at: dict[asyncio.Task[None], int] = {}
        """The seed that each is playing."""

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._jobs):
                    group.create_task(self._work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None  # what came first has ended the others

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        async with Worker(self._order) as worker:
            while self._left:
                count = self._chunk()
                chunk, self._left = self._left[:count], self._left[count:]
                self._at[task] = chunk[0]
                async for outcome in worker.play(chunk):
                    self._at[task] = outcome.seed + 1
                    self._learn(outcome)
                    if self._failed is not None and self._failed <= self._at[task]:
                        break
            del self._at[task]

    def _learn(self, outcome: Outcome) -> None:
        self._mean_s = outcome.took_s if self._mean_s is None else 0.9 * self._mean_s + 0.1 * outcome.took_s
        self._take(outcome)
        if outcome.holds or (self._failed is not None and self._failed < outcome.seed):
            return
        self._failed = outcome.seed
        self._left = self._left[:0]
        for task in [task for task, seed in self._at.items() if seed > outcome.seed]:
            del self._at[task]
            task.cancel()

    def _chunk(self) -> int:
        """How many seeds are given at once: fewer towards the end, so that nobody waits long for the last to end."""
        if self._mean_s is None:
            return 1
        enough = int(CHUNK_S / max(self._mean_s, CHUNK_S / CHUNK_MAX))
        return max(1, min(enough, len(self._left) // (2 * self._jobs)))


class Worker:
    """A process that plays what it is given. It runs between ``async with`` and its end, however that comes."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        debug = os.environ.get("VUEMANTICS_WS_DEBUG") == "1"
        self._process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if debug else asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # a Ctrl-C is not for it
        )
        self._tell(self._order)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await _outlast(process)

    async def play(self, seeds: range) -> AsyncIterator[Outcome]:
        """The outcome of each, in order; after one that fails no more.

        Raises:
            WorkerDied: the process has ended.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        self._tell(Chunk(seeds[0], seeds[-1]))
        for _ in seeds:
            line = await process.stdout.readline()
            if not line.endswith(b"\n"):
                raise WorkerDied(_how(await process.wait()), seeds)
            outcome = _OUTCOMES.decode(line)
            yield outcome
            if not outcome.holds:
                return

    def _tell(self, what: Struct) -> None:
        """Never more than a process takes at once, so nothing is waited for. Whether it has ended, reading tells."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")


async def _outlast(process: asyncio.subprocess.Process) -> None:
    """Wait until it has ended, whoever cancels that: nobody else would."""
    waiting, cancelled = asyncio.ensure_future(process.wait()), False
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
