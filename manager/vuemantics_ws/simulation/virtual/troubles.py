"""Sees the faults of our own that the nodes of a run meet: errors that they log, and exceptions that reach nobody."""

import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import here
from vuemantics_ws.simulation.clock.tasks import whose
from vuemantics_ws.simulation.log import Began, Log, Record, Troubled

OURS = logging.getLogger("vuemantics_ws")

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_FRAME = re.compile(r'File "(?:.*/)?((?:vuemantics_ws|asyncio)/[^"]+|[^"/]+)", line (\d+)')


class Troubles:
    """Writes each into the log, with its node. Whatever goes wrong in the simulator itself is kept in ``own``.

    Args:
        now: seconds since the scenario began.
    """

    def __init__(self, log: Log, *, now: Callable[[], float]) -> None:
        self.own: list[str] = []
        self._log = log
        self._now = now
        self._early: list[tuple[str, str]] = []

    @contextmanager
    def seen(self, loop: VirtualLoop) -> Iterator[None]:
        """While it is entered, nothing that is logged here goes anywhere else."""
        handler = _Handler(self._logged)
        propagated, handlers = OURS.propagate, OURS.handlers[:]
        OURS.propagate, OURS.handlers[:] = False, [handler]
        loop.set_exception_handler(self._reached_nobody)
        self._log.listen(self._begin)
        try:
            yield
        finally:
            self._log.unlisten(self._begin)
            OURS.propagate, OURS.handlers[:] = propagated, handlers

    def _logged(self, record: logging.LogRecord) -> None:
        process = here()
        self._tell(process.name if process is not None else "", f"it logged an error: {_brief(record.getMessage())}")

    def _reached_nobody(self, loop: object, context: dict[str, Any]) -> None:
        process, error = whose(context), context.get("exception")
        said = context["message"]
        if isinstance(error, BaseException):
            said = f"{said}: {_brief(''.join(traceback.format_exception(error)), last=True)}"
        self._tell(process.name if process is not None else "", f"an exception reached nobody: {_plain(said)}")

    def _tell(self, process: str, what: str) -> None:
        if not process.startswith("node:"):
            self.own.append(what)
        elif len(self._log):
            self._log.append(Troubled(self._now(), process, what))
        else:
            self._early.append((process, what))

    def _begin(self, record: Record) -> None:
        if isinstance(record, Began):
            early, self._early = self._early, []
            for process, what in early:
                self._log.append(Troubled(record.at, process, what))


class _Handler(logging.Handler):
    def __init__(self, take: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.ERROR)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record)


def _brief(text: str, *, last: bool = False) -> str:
    """One line of it, and where in the code that was: no more, so that the same fault has the same words everywhere."""
    lines = text.strip().splitlines()
    frames = _FRAME.findall(text)
    where = f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
    return _plain(lines[-1 if last else 0]) + where


def _plain(text: str) -> str:
    return _ADDRESS.sub("0x…", text)
