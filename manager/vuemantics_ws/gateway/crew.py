"""The workers of one machine: all started, each started again when it ends, all stopped together."""

import asyncio
import dataclasses
import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.gateway.worker import PROGRAM, Worker
from vuemantics_ws.quantities import format_duration

logger = logging.getLogger(__name__)

PAUSE_S_LEAST, PAUSE_S_MAX = 0.5, 30.0
"""How long a worker that ends again and again has to wait, doubled each time."""

STEADY_S = 60.0
"""One that has lived for so long may start again at once."""

ADOPTERS = 2
"""So many workers hear plain publishers: each more would ask Redis the same once more."""

STOP_MARGIN_S = 5.0
"""How much longer than its drain a worker may take to end before it is killed."""


class Crew:
    """So many workers with the same settings. Must be made inside the loop that runs it.

    Args:
        settings: with the port that they share, and a node name that each adds its number to.
        handed: variables that each gets beside its settings.
        program: what each runs.
    """

    def __init__(self, settings: Settings, count: int, handed: Mapping[str, str], *, program: Sequence[str] = PROGRAM) -> None:
        self.workers = [Worker(number, program) for number in range(1, count + 1)]
        self._settings = settings
        self._handed = handed
        self._keepers: list[asyncio.Task[int]] = []
        self._stopping = asyncio.Event()
        self.ended = asyncio.Event()
        """Set once all have stopped."""

    @property
    def name(self) -> str:
        """What people call all of them."""
        return self._settings.node_name or ""

    @property
    def state(self) -> str:
        """``ready`` or ``draining``."""
        return "draining" if self._stopping.is_set() else "ready"

    @property
    def controls(self) -> list[str]:
        """The control ports of those that listen."""
        return [worker.control for worker in self.workers if worker.control is not None]

    def name_of(self, worker: Worker) -> str:
        """What people call its node."""
        return f"{self._settings.node_name}/{worker.number}"

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [worker.pid for worker in self.workers if worker.pid is not None]

    @property
    def restarts(self) -> int:
        """How often one was there again after it had ended."""
        return sum(max(0, worker.starts - 1) for worker in self.workers)

    async def start(self) -> int | None:
        """Returns None once all of them listen, or the exit code of one that ended before it ever did.

        The first one goes ahead: what keeps it from listening would keep all of them from it, and is said once.
        """
        first, *others = self.workers
        codes = [await self._start(first)]
        if codes == [None]:
            codes = await asyncio.gather(*map(self._start, others))
        return next((code for code in codes if code is not None), None)

    async def stop(self, at_once: asyncio.Event) -> None:
        """Have all of them drain, at once where that is set. Who takes too long is killed: nobody is left afterwards."""
        self._stopping.set()
        close_s = self._settings.close_timeout_s + STOP_MARGIN_S
        hurry = asyncio.ensure_future(at_once.wait())
        await self._end(self._settings.drain_s + close_s, hurry)
        hurry.cancel()
        await self._end(close_s)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self.ended.set()

    async def _end(self, within_s: float, *sooner: asyncio.Future[Any]) -> None:
        running = [keeper for keeper in self._keepers if not keeper.done()]
        if not running:
            return
        for worker in self.workers:
            worker.stop()
        ended: asyncio.Future[Any] = asyncio.ensure_future(asyncio.wait(running))
        await asyncio.wait([ended, *sooner], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()

    async def _start(self, worker: Worker) -> int | None:
        keeper = asyncio.ensure_future(self._keep(worker))
        self._keepers.append(keeper)
        listens = asyncio.ensure_future(worker.listens.wait())
        await asyncio.wait([keeper, listens], return_when=asyncio.FIRST_COMPLETED)
        listens.cancel()
        return keeper.result() if keeper.done() else None

    async def _keep(self, worker: Worker) -> int:
        """Returns the exit code of the last process, where there is to be no other."""
        now = asyncio.get_running_loop().time
        pause_s: float | None = None
        while True:
            began = now()
            code = await worker.run(self._settings_of(worker), self._handed)
            if self._stopping.is_set() or not worker.starts:
                return code
            pause_s = pause_after(pause_s, lived_s=now() - began)
            logger.warning(
                "worker %d (process %d) ended with %s: it starts again %s",
                *(worker.number, worker.pid, _ending(code), f"in {format_duration(pause_s)}" if pause_s else "at once"),
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
                return code

    def _settings_of(self, worker: Worker) -> Settings:
        adopt = self._settings.adopt and worker.number <= ADOPTERS
        return dataclasses.replace(self._settings, node_name=self.name_of(worker), adopt=adopt)


def pause_after(pause_s: float | None, *, lived_s: float) -> float:
    """For how long a worker waits until it starts again. ``pause_s`` is how long it waited the time before."""
    if pause_s is None or lived_s >= STEADY_S:
        return 0.0
    return min(max(PAUSE_S_LEAST, 2 * pause_s), PAUSE_S_MAX)


def _ending(code: int) -> str:
    return f"code {code}" if code >= 0 else signal.Signals(-code).name
