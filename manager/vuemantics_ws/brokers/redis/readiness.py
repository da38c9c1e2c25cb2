"""Whether Redis can do all that is asked of it, and since when."""

import logging
from collections.abc import Callable

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.redis.faults import cure_of

logger = logging.getLogger(__name__)


class Readiness:
    """Joins what several sources say: what each complains of last, until it complains no more.

    It says so in the log when the first complaint comes and when the last one goes, and never between.

    Args:
        gaps: how often something may have been missed so far.
    """

    def __init__(self, clock: Clock, server: str, *, gaps: Callable[[], int]) -> None:
        self._clock = clock
        self._server = server
        self._gaps = gaps
        self._gaps_before = 0
        self._complaints: dict[bytes, str] = {}
        self._began = False
        self.since = clock.monotonic()

    @property
    def reason(self) -> str | None:
        """What is wrong, None where nothing is."""
        if not self._began:
            return f"{self._server} has not answered yet"
        return next(iter(self._complaints.values()), None)

    def note(self, source: bytes, complaint: str | None) -> None:
        """What a source says now; None where all is well."""
        complained = bool(self._complaints)
        if complaint is not None:
            self._complaints[source] = complaint
        else:
            self._complaints.pop(source, None)
        if not self._began or complained is not bool(self._complaints):
            self._turn(complaint)

    def clear(self) -> None:
        """Nobody complains any more."""
        for source in list(self._complaints) or [b""]:
            self.note(source, None)

    def _turn(self, complaint: str | None) -> None:
        is_first, self._began = not self._began, True
        now = self._clock.monotonic()
        lasted_s, self.since = now - self.since, now
        if complaint is not None:
            cure = cure_of(complaint)
            hint = f"; hint: {cure}" if cure is not None else ""
            logger.warning("%s: publishers must try again, and people stay connected%s", complaint, hint)
        elif is_first:
            logger.info("%s answers", self._server)
        else:
            gaps = self._gaps()
            missed, self._gaps_before = gaps - self._gaps_before, gaps
            made_good = f"; what was missed in {missed} gap{'' if missed == 1 else 's'} is made good" if missed else ""
            logger.info("%s answers, after %.1f s without%s", self._server, lasted_s, made_good)
