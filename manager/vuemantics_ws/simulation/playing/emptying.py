"""Waits until the tables of nodes are empty when everybody has left, and writes down what they hold then."""

import asyncio
from collections.abc import Callable

from vuemantics_ws.simulation.judging.checkers import MUST_BE_EMPTY
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Emptied, Log, Measured
from vuemantics_ws.simulation.playing.observing import numbers, statistics
from vuemantics_ws.simulation.system import Place

LOOK_EVERY_S = 0.1
LONGEST_PAUSE_S = 1.0
"""Between two looks: longer and longer pauses."""

EMPTYING_MARGIN_S = 5.0
"""How much longer than the grace time the tables may take."""

FOREIGN_GRACE_S_MAX = 20.0
"""A longer grace time of a server that is not ours is not waited for."""

KEPT_FOR_GRACE = ("users", "uploads", "follows", "watches")


class Emptying:
    """Of a server that ran before, what counts is what was added to its tables since. Others may have come and gone meanwhile:
    the server's own count of connections tells, and then nothing is held against it. What a long grace time keeps, or one
    that is not known, is neither waited for nor counted.

    Args:
        history: of the log.
        baseline: what was there before, of a server that is not ours.
        grace_s: for how long follows outlive the last connection; None where that is not known.
        now: seconds since the scenario began.
    """

    def __init__(
        self, log: Log, history: History, baseline: Measured | None, *, grace_s: float | None, now: Callable[[], float]
    ) -> None:
        self._log = log
        self._history = history
        self._baseline = baseline
        self._waits_for_grace = grace_s is not None and (baseline is None or grace_s <= FOREIGN_GRACE_S_MAX)
        """Until the grace time is over, and for what is kept until then."""
        self._waits_s = EMPTYING_MARGIN_S + (grace_s if grace_s is not None and self._waits_for_grace else 0.0)
        self._now = now

    async def wait_for(self, place: Place) -> None:
        """Look until its tables are empty, or for so long that they should be; what was seen last is what counts."""
        until = self._now() + self._waits_s
        pause_s = LOOK_EVERY_S
        while True:
            said = await statistics(place.control)
            if said is None:
                return
            tables, others = numbers(said, "tables"), False
            if self._baseline is not None:
                tables = self._added(tables, self._baseline)
                connects = numbers(said, "counters").get("connects", 0) - self._baseline.counters.get("connects", 0)
                others = connects > self._history.joined
            is_late = self._now() >= until
            if is_late or not any(tables.get(name, 0) for name in MUST_BE_EMPTY):
                self._log.append(Emptied(self._now(), tables, others, place.name))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    def _added(self, tables: dict[str, int], baseline: Measured) -> dict[str, int]:
        added = {name: max(0, size - baseline.tables.get(name, 0)) for name, size in tables.items() if name != "heads"}
        return added if self._waits_for_grace else {**added, **dict.fromkeys(KEPT_FOR_GRACE, 0)}
