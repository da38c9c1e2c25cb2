"""All deadlines of all connections, in one place and behind one handle of the loop.

Due times are rounded up to ticks, and connections that are due at the same tick share an entry: ten thousand connections with
a heartbeat cost the loop a few hundred calls a second, and no task and no handle each.
"""

import asyncio
import heapq
import math
from typing import Protocol

RESOLUTION_S = 0.05
LATE_S = 1.0
"""So late, the loop was blocked, and what peers sent meanwhile has not been read: they are heard before they are judged."""

NEVER = math.inf


class Timed(Protocol):
    """Something with deadlines. ``due_tick`` belongs to :class:`Timers`: 0 while nothing is scheduled."""

    due_tick: int

    def on_timer(self, now: float) -> float:
        """Do what is due at ``now``, in seconds of the loop's time, and return when to be called next (NEVER for never)."""
        ...


class Timers:
    """Calls ``on_timer`` at or up to 50 ms after the time that was asked for; never before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Timed]] = {}
        self._ticks: list[int] = []  # a heap of the keys of _due
        self._handle: asyncio.TimerHandle | None = None
        self._wanted_at = NEVER

    def now(self) -> float:
        return self._loop.time()

    def schedule(self, timed: Timed, at: float) -> None:
        """Ask for a call at ``at``. An earlier one that was asked for before stays; a later one is given up."""
        if at == NEVER:
            return
        tick = math.ceil(at / RESOLUTION_S)
        if timed.due_tick and timed.due_tick <= tick:
            return
        timed.due_tick = tick
        due = self._due.get(tick)
        if due is None:
            self._due[tick] = [timed]
            heapq.heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self._arm()
        else:
            due.append(timed)

    def cancel(self, timed: Timed) -> None:
        """Forget what was asked for. The entry itself goes when its tick comes."""
        timed.due_tick = 0

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._due.clear()
        self._ticks.clear()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._wanted_at = max(self._ticks[0] * RESOLUTION_S, self._loop.time())
        self._handle = self._loop.call_at(self._wanted_at, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._loop.time()
        if now - self._wanted_at > LATE_S:
            self._wanted_at = NEVER  # once, or a loop that is always late would judge nobody
            self._handle = self._loop.call_at(now + RESOLUTION_S, self._fire)
            return
        while self._ticks and self._ticks[0] * RESOLUTION_S <= now:
            tick = heapq.heappop(self._ticks)
            for timed in self._due.pop(tick):
                if timed.due_tick == tick:  # else it was cancelled, or asked for an earlier call since
                    timed.due_tick = 0
                    self.schedule(timed, timed.on_timer(now))
        if self._ticks:
            self._arm()
