"""What a node did in each of the last seconds, and how late its loop was."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from vuemantics_ws.core.counters import Counters
from vuemantics_ws.gateway.histogram import Histogram

BEAT_S = 0.25
BEATS_A_SAMPLE = 4
SAMPLES_MAX = 60

LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class _Totals(NamedTuple):
    events: int
    deliveries: int
    connects: int
    closes: int
    refused: int
    unowned: int


class Sample(NamedTuple):
    """One second: what happened in it, a second, and the most by which the loop was late."""

    events_per_s: float
    deliveries_per_s: float
    connects_per_s: float
    closes_per_s: float
    refused_per_s: float
    unowned_per_s: float
    loop_lag_s: float


class Pulse:
    """One timer, four times a second: each time it notes how late it is called, each fourth time it takes a sample."""

    def __init__(
        self, counters: Counters, loop: asyncio.AbstractEventLoop, *, adopted: Mapping[str, int] | None = None
    ) -> None:
        self.loop_lag_s = Histogram(LAG_BOUNDS_S)
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._counters = counters
        self._adopted: Mapping[str, int] = {} if adopted is None else adopted  # one that is empty now may fill
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._beats = 0
        self._lag_s = 0.0
        self._wanted_at = self._sampled_at = 0.0
        self._before = self._totals()

    def start(self) -> None:
        self._sampled_at = self._loop.time()
        self._rest()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    @property
    def samples(self) -> list[Sample]:
        """At most the last sixty, oldest first."""
        return list(self._samples)

    def rates(self) -> dict[str, list[float]]:
        """The same by what they are of."""
        names = [name for name in Sample._fields if name != "unowned_per_s"]
        return {name: [round(getattr(sample, name), 4) for sample in self._samples] for name in names}

    def _rest(self) -> None:
        self._wanted_at = self._loop.time() + BEAT_S
        self._handle = self._loop.call_at(self._wanted_at, self._beat)

    def _beat(self) -> None:
        now = self._loop.time()
        lag_s = max(0.0, now - self._wanted_at)
        self.loop_lag_s.observe(lag_s)
        self._lag_s = max(self._lag_s, lag_s)
        self._beats += 1
        if self._beats % BEATS_A_SAMPLE == 0:
            self._sample(now)
        self._rest()

    def _sample(self, now: float) -> None:
        elapsed_s = max(now - self._sampled_at, BEAT_S)
        totals = self._totals()
        per_s = [(after - before) / elapsed_s for after, before in zip(totals, self._before, strict=True)]
        self._samples.append(Sample._make([*per_s, self._lag_s]))
        self._before, self._sampled_at, self._lag_s = totals, now, 0.0

    def _totals(self) -> _Totals:
        """Of what was adopted without duplicates: each message is one to every adopter but the first."""
        counters, adopted = self._counters, self._adopted
        events = counters.events
        refused = sum(of.get(verdict, 0) for of in (events, adopted) for verdict in ("stale", "after_terminal"))
        return _Totals(
            events=sum(events.values()) + sum(adopted.get(verdict, 0) for verdict in ("accepted", "stale", "after_terminal")),
            deliveries=counters.deliveries,
            connects=counters.connects,
            closes=sum(counters.closes.values()),
            refused=refused,
            unowned=counters.unowned_events,
        )
