"""A process of a run's own, started and ended with care: whatever happens, nothing of it is left behind."""

import asyncio
import signal
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.real.guard import Guard

LOG_LINES = 20
"""What is shown of its log when it fails."""


class OwnProcess(ABC):
    """Ready between ``async with`` and its end, which kills it if it still runs.

    Its files are in a temporary folder that goes with it.
    """

    def __init__(self, kind: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=f"vuemantics-ws-{kind}-")
        self._log_path = Path(self._folder.name) / f"{kind}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._guard = Guard()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @abstractmethod
    async def start(self) -> None:
        """Start it (again), where it was. Returns once it is ready.

        Raises:
            EnvironmentUnfit: it does not start; with the end of its log.
        """

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The newest. There must have been one."""
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> int:
        """SIGKILL. Returns its exit code, which is -9 where it still ran."""
        process = self.process
        self._guard.dismiss()
        if process.returncode is None:
            process.kill()
        return await process.wait()

    def resume(self) -> None:
        """SIGCONT, after it was paused."""
        self.process.send_signal(signal.SIGCONT)

    def log_end(self) -> list[str]:
        """The last lines that it logged."""
        try:
            return self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        except OSError:
            return []

    def _unfit(self, message: str) -> EnvironmentUnfit:
        lines = self.log_end()
        return EnvironmentUnfit(message, hint="its log ends with:\n" + "\n".join(lines) if lines else None)

    async def _end(self) -> None:
        if self._process is not None:
            await self.kill()
        await self._guard.gone()
        self._folder.cleanup()
