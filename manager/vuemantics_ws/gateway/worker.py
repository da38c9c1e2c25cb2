"""A node in a process of its own, one of several that a supervisor runs on one port."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from vuemantics_ws.gateway.settings import SETTINGS, Settings

PROGRAM = ("-m", "vuemantics_ws.gateway", "--end-with-stdin", "--share-port")
"""What stands behind the name of the interpreter."""

UNFIT = 3
"""The exit code where there is no process to give one."""

START_TIMEOUT_S = 20.0
"""How long a process may take until it listens, before it is killed."""

LINE_BYTES_MAX = 64 * 1024
"""A longer line of its log is written in parts."""


class Worker:
    """One place among the workers: one process after the other has it, never two at once.

    A process stops by itself where it is we who are killed, since its stdin is a pipe of ours. It runs in a session of its own,
    so a Ctrl-C in the terminal is ours to pass on. What it logs is written to our stderr, with its number before each line.

    Args:
        program: takes its settings from the environment and prints its URLs, as the gateway does.
    """

    def __init__(self, number: int, program: Sequence[str] = PROGRAM) -> None:
        self.number = number
        self._program = program
        self.pid: int | None = None
        """Of the newest process."""
        self.control: str | None = None
        """Where that one's control port is; None while it does not listen."""
        self.listens = asyncio.Event()
        """Set while it does."""
        self.starts = 0
        """How many processes have come so far as to listen."""
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self, settings: Settings, handed: Mapping[str, str]) -> int:
        """Start a process and wait for its end. ``handed`` are variables beside its settings.

        Being cancelled kills it.

        Returns:
            Its exit code, less than 0 where a signal ended it.
        """
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                env=_environment(settings, handed),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self._say(f"error: it cannot be started: {(error.strerror or str(error)).lower()}")
            return UNFIT
        self.pid = process.pid
        assert process.stdout is not None
        assert process.stderr is not None
        log = asyncio.ensure_future(self._write_on(process.stderr))
        try:
            if self._stopping:
                process.terminate()
            await self._wait_until_it_listens(process, process.stdout)
            return await process.wait()
        finally:
            self.listens.clear()
            self.control = None
            if process.returncode is None:
                process.kill()
                await process.wait()
            await log

    def stop(self) -> None:
        """Have its process drain; called again, have it end at once. The process that is being started stops as well."""
        number = signal.SIGINT if self._stopping else signal.SIGTERM  # two of a kind might become one on their way
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _wait_until_it_listens(self, process: asyncio.subprocess.Process, stdout: asyncio.StreamReader) -> None:
        """Or until it has ended, or was killed because it took too long."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await stdout.readline()
        except TimeoutError:
            self._say(f"error: it did not listen within {START_TIMEOUT_S:g} s")
            process.kill()
            return
        if line:
            self.control = json.loads(line)["control"]
            self.starts += 1
            self.listens.set()

    async def _write_on(self, stderr: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stderr.read(LINE_BYTES_MAX):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                lines.append(rest)
                rest = b""
            for line in lines:
                self._say(line.decode(errors="replace"))
        if rest:
            self._say(rest.decode(errors="replace"))

    def _say(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more, and the process must not wait for that
            sys.stderr.write(f"worker {self.number}: {line}\n")
            sys.stderr.flush()


def _environment(settings: Settings, handed: Mapping[str, str]) -> dict[str, str]:
    """Ours, with these settings and no others."""
    ours = {setting.variable for setting in SETTINGS.values()}
    return {name: value for name, value in os.environ.items() if name not in ours} | settings.to_environment() | dict(handed)
