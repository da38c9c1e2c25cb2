"""Runs one after the other, and what is to come of them together: an exit code, and the files that were asked for."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from vuemantics_ws.simulation.log import Log, to_ndjson
from vuemantics_ws_cli.console import complain
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.cutting_short import Deadline
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.output_file import OutputFile
from vuemantics_ws_cli.simulating.playing import Play
from vuemantics_ws_cli.simulating.telling import tell, tell_as_json
from vuemantics_ws_cli.views.junit import junit
from vuemantics_ws_cli.views.results import Played, Swept

_ENDS_ALL = (ExitCode.INTERRUPTED, ExitCode.TIMED_OUT)


class Turn(Protocol):
    """Something that is played."""

    def play(self, log: Log, *, quiet: bool, time_limit_s: float | None) -> Ended:
        """Play it into ``log``, and judge it. Nothing is left behind, however it ends."""
        ...


class Session:
    """Plays what it is given. Use it as a context manager: files are written at its end.

    Args:
        trace, junit: where to write, or None.
        time_limit_s: for all runs together.

    Raises:
        BadSetting: a file cannot be opened.
        EnvironmentUnfit: a file could not be written, at the end of the ``with``.
    """

    def __init__(self, *, trace: str | None, junit: str | None, as_json: bool, time_limit_s: float | None) -> None:
        self._files = ExitStack()
        self._trace = self._files.enter_context(OutputFile("--trace", trace))
        self._junit = self._files.enter_context(OutputFile("--junit", junit))
        self._as_json = as_json
        self._time_limit_s = time_limit_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._files.__exit__(kind, error, trace)

    def play(self, turns: Sequence[Turn]) -> ExitCode:
        """Play each of them, and tell its verdict. The worst code counts.

        Being interrupted, or running out of time, ends all of it: what was seen until then is told.

        Raises:
            EnvironmentUnfit: a node does not start, or the server is not there.
        """
        deadline = Deadline(self._time_limit_s)
        worst = ExitCode.OK
        results: list[Played | Swept] = []
        try:
            for each in turns:
                log = Log()
                if isinstance(each, Play):
                    log.listen(lambda record: self._trace.write(to_ndjson([record])))  # what is killed has been seen
                ended = each.play(log, quiet=self._as_json, time_limit_s=deadline.left_s)
                if ended.trace is not None and self._trace.is_wanted:
                    self._trace.write(ended.trace())
                if ended.result is not None:
                    results.append(ended.result)
                    if not self._as_json:
                        tell(ended.result)
                worst = max(worst, ended.code)
                if ended.code in _ENDS_ALL:
                    break
        finally:
            self._write(results, several=len(turns) > 1)
        if worst is ExitCode.TIMED_OUT:
            complain(f"--time-limit: the time is over, with {len(results)} of {len(turns)} scenarios begun")
        return worst

    def _write(self, results: Sequence[Played | Swept], *, several: bool) -> None:
        if self._as_json and results:
            tell_as_json(results, several=several)
        self._junit.write(junit(results).encode())
