"""Whether every fault of a file can happen: before the duration is over, and to what no other fault has befallen just then."""

from collections.abc import Iterator
from typing import NamedTuple

from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.format.faults import AT_ONCE_S, REDIS, Fault
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.format.source import Problem, Source


class _Time(NamedTuple):
    """One time of a fault: when it begins at the soonest and at the latest."""

    soonest_s: float
    latest_s: float
    entry: int
    fault: Fault

    @property
    def lasts_s(self) -> float:
        """At least: what a stop and a start take comes on top."""
        lasts_s = self.fault.lasts_s
        return float("inf") if lasts_s is None else lasts_s


def check_fault_times(scenario: Scenario, source: Source) -> Iterator[Problem]:
    """A fault that comes too late, or ends too late, is never seen to; and one that meets another finds nothing to befall."""
    by_target: dict[object, list[_Time]] = {}
    for index, fault in enumerate(scenario.faults):
        yield from _check_duration(index, fault, scenario.duration, source)
        target = _target(fault)
        if target is not None:
            every_s = [number * (fault.every or 0.0) for number in range(fault.times)]
            times = [_Time(fault.at.low + each_s, fault.at.high + each_s, index, fault) for each_s in every_s]
            by_target.setdefault(target, []).extend(times)
    for times in by_target.values():
        yield from _check_overlaps(sorted(times, key=lambda time: time.soonest_s), source)


def _check_duration(index: int, fault: Fault, duration_s: float, source: Source) -> Iterator[Problem]:
    """Of all its times, the last one."""
    until_s = (fault.times - 1) * (fault.every or 0.0)
    for what, extra_s in (("a beginning", until_s), ("an end", until_s + (fault.lasts_s or AT_ONCE_S))):
        soonest_s, latest_s = fault.at.low + extra_s, fault.at.high + extra_s
        if soonest_s >= duration_s or latest_s > duration_s:
            path = ("faults", index, "at")
            expected = f"expected {what} before the duration of {format_duration(duration_s)} is over"
            message = f"{expected}, got {format_duration(latest_s)} (let it begin sooner, or let duration be longer)"
            yield Problem(source.line_of(path), path, message)
            return


def _target(fault: Fault) -> object:
    """What no two faults can befall at once; None where they can."""
    if fault.do.startswith("node."):
        return fault.target or "node:0"
    if fault.do.startswith("redis."):
        return REDIS
    return tuple(sorted(fault.between)) if fault.between is not None else None


def _check_overlaps(times: list[_Time], source: Source) -> Iterator[Problem]:
    """Those that meet whatever the dice say."""
    told: set[int] = set()
    holder = times[0]
    for time in times[1:]:
        begins_within = time.latest_s <= holder.soonest_s + holder.lasts_s
        if begins_within and holder.latest_s <= time.soonest_s + time.lasts_s and time.entry not in told:
            told.add(time.entry)
            path = ("faults", time.entry, "at")
            yield Problem(source.line_of(path), path, _says(time, holder, source.line_of(("faults", holder.entry, "at"))))
        if time.soonest_s + time.lasts_s >= holder.soonest_s + holder.lasts_s:
            holder = time


def _says(time: _Time, holder: _Time, line: int) -> str:
    befallen = _target(time.fault)
    name = f"what lies between {' and '.join(befallen)}" if isinstance(befallen, tuple) else befallen
    if holder.fault.lasts_s is None:
        return f"{name} is gone for good since the {holder.fault.do} in line {line} (give that a down)"
    if holder.entry == time.entry:
        return f"{name} is still befallen by the time before (let every be longer than {format_duration(holder.lasts_s)})"
    until = format_duration(holder.latest_s + holder.lasts_s)
    return f"{name} is still befallen by the {holder.fault.do} in line {line} (let this begin after {until})"
