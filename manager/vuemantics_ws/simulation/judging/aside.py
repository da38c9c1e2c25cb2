"""The laws so far, judged in a process of its own: a thread would hold up the loop of those whose time is measured."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from vuemantics_ws.simulation.judging.findings import Verdict
from vuemantics_ws.simulation.log import Record, to_ndjson

NICENESS = 10
"""It waits where somebody else wants the processor."""


class LawSoFar(NamedTuple):
    """What a law says of a log that goes on."""

    name: str
    verdict: Verdict


_LAWS = msgspec.json.Decoder(list[LawSoFar])


class Aside:
    """Judges a log while it grows. Its process runs between ``async with`` and its end, however that comes."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vuemantics_ws.simulation.judging"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is not for it
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def judge(self, records: Sequence[Record]) -> list[LawSoFar] | None:
        """The laws, with these records added to those of the calls before. None where the process has gone."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(to_ndjson(records) + b"\n")
            await process.stdin.drain()
            return _LAWS.decode(await process.stdout.readline())
        except (OSError, msgspec.DecodeError):
            return None
