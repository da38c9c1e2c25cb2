"""Plays many seeds of one scenario, and says what all of them together found.

The lowest seed that fails is what counts, however many processes play: whatever is above it is given up, and whatever is below
it is played to its end.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vuemantics_ws.ambient import Clock, SystemClock
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.findings import Verdict
from vuemantics_ws.simulation.sweeping.outcome import Found, Outcome, play_seed
from vuemantics_ws.simulation.sweeping.workers import Order, spread
from vuemantics_ws.simulation.virtual.run import VirtualOptions

_WORST_FIRST: tuple[Verdict, ...] = ("violated", "vacuous", "held", "not judged here", "does not apply")


class Progress(NamedTuple):
    """How far a sweep is. ``failed`` is the lowest seed so far that does, None where none does."""

    played: int
    seeds: int
    took_s: float
    failed: int | None

    @property
    def seeds_per_s(self) -> float:
        return self.played / self.took_s if self.took_s else 0.0


@dataclass(slots=True)
class Total:
    """What all seeds together say of a law, a rule or an expectation. ``verdicts`` counts the seeds by what they say."""

    name: str
    about: str
    samples: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)

    @property
    def verdict(self) -> Verdict:
        """The worst that a seed says."""
        return next(verdict for verdict in _WORST_FIRST if self.verdicts[verdict])


@dataclass(slots=True)
class SweepResult:
    """What came of a sweep, as far as it has come.

    ``virtual_s`` is the virtual time of all seeds together, ``took_s`` the real time, ``failed`` the lowest seed that fails.
    """

    seeds: range
    played: int = 0
    took_s: float = 0.0
    virtual_s: float = 0.0
    failed: Outcome | None = None
    totals: dict[tuple[int, str, str], Total] = field(default_factory=dict)
    """In the order of the findings of a run. Two expectations of a file may be the same, so their place tells them apart."""

    @property
    def holds(self) -> bool:
        """Whether every seed was played, and all of them hold."""
        return self.failed is None and self.played == len(self.seeds)

    @property
    def progress(self) -> Progress:
        failed = self.failed.seed if self.failed is not None else None
        return Progress(self.played, len(self.seeds), self.took_s, failed)

    def take(self, outcome: Outcome) -> None:
        self.played += 1
        self.virtual_s += outcome.lasted_s
        if not outcome.holds and (self.failed is None or outcome.seed < self.failed.seed):
            self.failed = outcome
        for place, found in enumerate(outcome.found):
            self._add(place, found)

    def _add(self, place: int, found: Found) -> None:
        total = self.totals.setdefault((place, found.name, found.about), Total(found.name, found.about))
        total.samples += found.samples
        total.verdicts[found.verdict] += 1


def sweep(
    text: str,
    seeds: range,
    *,
    options: VirtualOptions | None = None,
    jobs: int = 1,
    told: Callable[[Progress], None] | None = None,
    into: SweepResult | None = None,
    clock: Clock | None = None,
) -> SweepResult:
    """Play a scenario's seeds in ascending order, until one fails.

    Being interrupted leaves no process behind; what was found until then is in ``into``.

    Args:
        text: the scenario. Its environment is this process's.
        jobs: how many processes play. With 1 none is started, and all is played here.
        told: called after every seed.
        into: where the result grows; None makes a new one.

    Raises:
        BadScenario: the text is none.
        WorkerDied: a process that played ended before its time.
    """
    clock = clock or SystemClock()
    options = options or VirtualOptions()
    result = into or SweepResult(seeds)
    scenario = parse_scenario(text, file="scenario")
    began_at = clock.monotonic()

    def take(outcome: Outcome) -> None:
        result.take(outcome)
        result.took_s = clock.monotonic() - began_at
        if told is not None:
            told(result.progress)

    if jobs > 1:
        asyncio.run(spread(Order(text, options), seeds, jobs, take))
    else:
        for outcome in _here(lambda seed: play_seed(scenario, seed, options, clock), seeds):
            take(outcome)
    return result


def _here(play: Callable[[int], Outcome], seeds: range) -> Iterator[Outcome]:
    for seed in seeds:
        outcome = play(seed)
        yield outcome
        if not outcome.holds:
            return
