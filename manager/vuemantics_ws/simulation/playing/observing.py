"""Looks at every node of a run again and again, and writes down what it says of itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.log import Health, Log, Measured
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.system import Control, Place, System

HEALTH_EVERY_S = 0.25
METRICS_EVERY_S = 1.0


class Observing:
    """Observes a run of a plan, until :meth:`run` is cancelled.

    ``lag_s`` is by how much this process was late at worst.

    Args:
        now: seconds since the scenario began.
    """

    def __init__(self, plan: Plan, system: System, log: Log, *, now: Callable[[], float]) -> None:
        self.lag_s = 0.0
        self._system = system
        self._log = log
        self._now = now
        expected = plan.scenario.expect
        self._asks_for_health = bool(plan.faults) or any(expectation.health is not None for expectation in expected)
        wanted = [expectation.server.metric for expectation in expected if expectation.server is not None]
        self._metrics = [metric for metric in wanted if metric.startswith("redis_")]

    async def run(self) -> None:
        """Until cancelled, all nodes at once: one that does not answer holds up no other."""
        async with asyncio.TaskGroup() as looking:
            for place in self._system.places:
                looking.create_task(self._measure(place))
                if self._asks_for_health:
                    looking.create_task(self._look_after(place))

    async def _measure(self, place: Place) -> None:
        every_s = self._system.measures_every_s * len(self._system.places)
        lag_s, told_at, told = 0.0, 0.0, dict[str, float]()
        while True:
            due_at = self._now() + every_s
            await asyncio.sleep(every_s)
            lag_s = max(lag_s, self._now() - due_at)
            self.lag_s = max(self.lag_s, lag_s)
            if not place.is_up or place.is_paused:
                continue
            said = await statistics(place.control)
            if self._metrics and self._now() >= told_at + METRICS_EVERY_S:
                told, told_at = await _metrics(place.control, self._metrics), self._now()
            if said is not None:
                tables, counters = numbers(said, "tables"), numbers(said, "counters")
                self._log.append(Measured(self._now(), tables, round(lag_s, 6), {**counters, **told}, place.name))
                lag_s = 0.0

    async def _look_after(self, place: Place) -> None:
        before = None
        while True:
            state, reason = await _health(place.control)
            if state != before:
                before = state
                self._log.append(Health(self._now(), place.name, state, reason))
            await asyncio.sleep(HEALTH_EVERY_S)


async def statistics(control: Control) -> dict[str, Any] | None:
    """None where the server does not answer: that it is gone is noticed elsewhere."""
    found: dict[str, Any] | None = await _or_nothing(control.statistics())
    return found


async def _health(control: Control) -> tuple[Any, str]:
    health = await _or_nothing(control.health())
    return ("silent", "") if health is None else (health.state, health.reason)


async def _metrics(control: Control, names: list[str]) -> dict[str, float]:
    """What it says of these, summed up over their labels."""
    found: dict[str, float] = {}
    for line in (await _or_nothing(control.metrics()) or "").splitlines():
        name, _, rest = line.partition(" ")
        name = name.partition("{")[0].removeprefix("vuemantics_ws_")
        if name in names:
            found[name] = found.get(name, 0.0) + float(rest.rpartition(" ")[2])
    return found


async def _or_nothing(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except VuemanticsError:
        return None


def numbers(said: dict[str, Any], name: str) -> dict[str, Any]:
    """The tables or the counters. What is counted by kind gets names such as ``events.accepted``."""
    found: dict[str, int] = {}
    for key, value in said.get(name, {}).items():
        if isinstance(value, int):
            found[key] = value
        elif isinstance(value, dict):
            found.update({f"{key}.{kind}": count for kind, count in value.items() if isinstance(count, int)})
    return found
