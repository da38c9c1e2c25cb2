"""A Redis of a run's own, and everything that can befall it."""

import asyncio
import shutil
import signal
import socket
from pathlib import Path

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.real.own_process import OwnProcess
from vuemantics_ws.simulation.redis_line import RedisLine

PROGRAM = "redis-server"
HOW_TO_GET_IT = "install it, for example with apt-get install redis-server or brew install redis"

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.01

_KEEPS = "appendonly"
"""The folder of what it keeps. Every write is in a file of the system's before it is answered, so that a kill loses nothing."""


class RedisProcess(OwnProcess):
    """A ``redis-server`` on a free port of loopback. Started again, it has that port and what it kept.

    It runs in a session of its own, and ends with us: a small process holds a pipe from us, and kills it when that breaks.

    Raises:
        EnvironmentUnfit: there is none on this machine, or it does not start; with what to do.
    """

    def __init__(self, *, program: str = PROGRAM) -> None:
        super().__init__("redis")
        self._program = program
        self.port = _free_port()
        self.line = RedisLine("127.0.0.1", self.port)
        """How the simulator itself speaks to it."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        path = shutil.which(self._program)
        if path is None:
            raise EnvironmentUnfit(f"{self._program} is not on this machine, and this scenario needs it", hint=HOW_TO_GET_IT)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "no", "--appenddirname", _KEEPS, "--daemonize", "no"]
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                path, *options, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        await self._guard.watch(self._process.pid)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self.is_running and not await self.line.answers(within_s=LOOK_EVERY_S * 10):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise self._unfit(f"redis was not ready within {START_TIMEOUT_S:g} s") from None
        if not self.is_running:
            raise self._unfit("redis ended before it was ready")

    def pause(self) -> None:
        """SIGSTOP: connections stay, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def lose_data(self) -> None:
        """What it kept is gone at its next start. It must not run."""
        shutil.rmtree(Path(self._folder.name) / _KEEPS, ignore_errors=True)

    async def answers(self, *, within_s: float) -> bool:
        return await self.line.answers(within_s=within_s)

    async def flush(self) -> int:
        """Everything in it is gone, and nobody is told. Returns how many keys that were."""
        return await self.line.flush()

    async def kill_pubsub(self) -> int:
        """End the connections of all subscribers. Returns how many."""
        return await self.line.kill_pubsub()

    async def run_id(self) -> bytes:
        """What it calls itself, which is another name after each start."""
        said = await self.line.ask("INFO", "server")
        assert isinstance(said, bytes)
        return next(line.partition(b":")[2] for line in said.splitlines() if line.startswith(b"run_id:"))

    async def _end(self) -> None:
        self.line.hang_up()
        await super()._end()


def _free_port() -> int:
    """One that nobody has now. Somebody could take it before Redis does, which then says so."""
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        return int(unbound.getsockname()[1])
