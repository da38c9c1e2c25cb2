"""What was seen of each upload's events, for whoever watches: verdicts, a rate, and how long attempts take."""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from vuemantics_ws.gateway.histogram import Histogram

WINDOW_S = 5.0
"""Rates are of the last five to ten seconds."""

TERMINAL_BOUNDS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0)


class Sighting:
    """One upload. ``number`` tells the order in which they were first seen."""

    __slots__ = (
        "_accepted_at",
        "_attempt",
        "_began_at",
        "_current",
        "_former",
        "_window",
        "accepted",
        "after_terminal",
        "duplicate",
        "number",
        "stale",
    )  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.accepted = 0
        self.duplicate = 0
        self.stale = 0
        self.after_terminal = 0
        self._accepted_at = -math.inf
        self._window = 0
        self._current = 0  # accepted in this window
        self._former = 0  # and in the one before
        self._attempt: int | None = None
        self._began_at = 0.0

    @property
    def refused(self) -> int:
        return self.stale + self.after_terminal

    def accept(self, now: float, attempt: int | None) -> float:
        """One more event was accepted. Returns the seconds since the first one of its attempt."""
        self.accepted += 1
        self._accepted_at = now
        self._turn_to(int(now / WINDOW_S))
        self._current += 1
        if attempt != self._attempt:
            self._attempt, self._began_at = attempt, now
        return now - self._began_at

    def age_s(self, now: float) -> float:
        """Since its last accepted event."""
        return now - self._accepted_at

    def rate_per_s(self, now: float) -> float:
        """Accepted events a second: those of this window, and of the one before in proportion to what this one lacks."""
        self._turn_to(int(now / WINDOW_S))
        begun = now / WINDOW_S - self._window
        return (self._former * (1 - begun) + self._current) / WINDOW_S

    def _turn_to(self, window: int) -> None:
        if window != self._window:
            self._former = self._current if window == self._window + 1 else 0
            self._current, self._window = 0, window


class Sightings:
    """Every upload of which an event came and that somebody still follows or keeps.

    With each new one the table looks at two that it has not looked at for longest, and forgets them if ``lives`` says no: it
    never holds much more than twice as many as live, and no event pays for more than two. One that does not live is kept all
    the same for ``lingers_s`` after its last event: where there are several nodes, it may live on another.
    """

    def __init__(self, *, lives: Callable[[str], bool], now: Callable[[], float], lingers_s: float = 0.0) -> None:
        self.time_to_terminal_s = Histogram(TERMINAL_BOUNDS_S)
        self._lives = lives
        self._lingers_s = lingers_s
        self._now = now
        self._seen: dict[str, Sighting] = {}
        self._line: deque[str] = deque()  # the one that was looked at longest ago first
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, upload_id: str) -> Sighting | None:
        """None where no event of it came, or none for long."""
        return self._seen.get(upload_id)

    def take(self, event: dict[str, Any]) -> None:
        """What a :class:`ConnectionManager` tells of an event."""
        upload_id, verdict = event["upload_id"], event["verdict"]
        seen = self._seen.get(upload_id)
        if seen is None:
            seen = self._add(upload_id)
        if verdict == "accepted":
            lasted_s = seen.accept(self._now(), event["attempt"])
            if event["terminal"]:
                self.time_to_terminal_s.observe(lasted_s)
        elif verdict == "duplicate":
            seen.duplicate += 1
        elif verdict == "stale":
            seen.stale += 1
        else:
            seen.after_terminal += 1

    def _add(self, upload_id: str) -> Sighting:
        line = self._line
        for _ in range(min(2, len(line))):
            looked_at = line.popleft()
            if self._lives(looked_at) or self._seen[looked_at].age_s(self._now()) < self._lingers_s:
                line.append(looked_at)
            else:
                del self._seen[looked_at]
        self._numbers += 1
        seen = self._seen[upload_id] = Sighting(self._numbers)
        line.append(upload_id)
        return seen
