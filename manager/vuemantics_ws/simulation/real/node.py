"""A node in a process of its own, started and stopped with care."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.setting import VARIABLE_PREFIX
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.real.own_process import OwnProcess
from vuemantics_ws.simulation.system import stops_within_s

GATEWAY = ("-m", "vuemantics_ws.gateway")
"""The program that a node runs: what stands behind the name of the interpreter."""

END_WITH_STDIN = "--end-with-stdin"
"""What the program is told beside; importing its own name for it would import all of it."""

START_TIMEOUT_S = 20.0


class Node(OwnProcess):
    """A gateway of its own, ready between ``async with`` and its end. ``url`` and ``control`` say where.

    It runs in a session of its own, so a Ctrl-C in the terminal is ours to pass on. Leaving the ``with`` kills it, if it still
    runs; :meth:`stop` is the orderly way before. Its stdin is a pipe of ours, so it stops by itself where it is we who are
    killed. Once it has ended it can be started again, on the ports that it had.

    Args:
        program: takes its settings from the environment and prints its URLs, as the gateway does.
        name: what the run calls it.

    Raises:
        EnvironmentUnfit: it does not start; with the end of its log.
    """

    def __init__(self, settings: Settings, *, program: Sequence[str] = GATEWAY, name: str = "node:0") -> None:
        super().__init__("node")
        self.name = name
        self._settings = settings
        self._program = program
        self.url = ""
        self.control = ""

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.returncode

    @property
    def pid(self) -> int:
        return self.process.pid

    async def wait(self) -> int:
        """The exit code, once it has ended."""
        return await self.process.wait()

    async def pause(self) -> None:
        """SIGSTOP: the system still takes connections for it, and it does nothing, not even end where we do."""
        await self._guard.watch(self.pid)
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        super().resume()
        self._guard.dismiss()

    async def stop(self) -> int:
        """SIGTERM, then its exit code: -9 where it had to be killed because it did not end in time."""
        process = self.process
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(stops_within_s(self._settings)):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def start(self) -> None:
        try:
            with self._log_path.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *self._program,
                    END_WITH_STDIN,
                    env=_environment(self._settings, self._folder.name),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise EnvironmentUnfit(f"a node cannot be started: {(error.strerror or str(error)).lower()}") from None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise self._unfit(f"a node was not ready within {START_TIMEOUT_S:g} s") from None
        try:
            ready = json.loads(line)
            self.url, self.control = ready["url"], ready["control"]
        except (ValueError, KeyError, TypeError):
            raise self._unfit("a node ended before it was ready") from None
        ports: dict[str, Any] = {"port": urlsplit(self.url).port, "control_port": urlsplit(self.control).port}
        self._settings = dataclasses.replace(self._settings, **ports)


def _environment(settings: Settings, folder: str) -> dict[str, str]:
    """Ours, less every setting in it, so that a node is what the scenario says and nothing else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIX)}
    sources = Path(__file__).resolve().parents[3]
    if sources.name != "site-packages":  # a checkout that is not installed
        inherited["PYTHONPATH"] = os.pathsep.join([str(sources), *filter(None, [inherited.get("PYTHONPATH")])])
    return {**inherited, **settings.to_environment(), f"{VARIABLE_PREFIX}STATE_DIR": folder}
