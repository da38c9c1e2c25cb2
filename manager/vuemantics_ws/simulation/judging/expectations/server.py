"""``server``: a figure that the server gives of itself."""

from collections.abc import Iterator
from typing import NamedTuple

from vuemantics_ws.simulation.format.expected import ServerExpected
from vuemantics_ws.simulation.judging.expectations.case import Case, beyond, bounds
from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.log import Emptied, Measured, NodeExited, Record

SHUTDOWN = "shutdown_seconds"
"""How long an orderly stop took: the one figure that is measured from outside."""


class _Reading(NamedTuple):
    value: float
    record: Record


def check_server(expected: ServerExpected, case: Case) -> Finding:
    """``max`` is what the figure never exceeds, ``min`` what it reaches at least once, which a counter does in time."""
    about = f"{expected.metric} is {bounds(expected.min, expected.max)}"
    read = list(_readings(expected.metric, case))
    figures = {"most": max(reading.value for reading in read)} if read else {}
    return judge("server", about, case.history, _samples(expected, read), figures=figures)


def _samples(expected: ServerExpected, read: list[_Reading]) -> Iterator[Seen]:
    most = max((reading.value for reading in read), default=0.0)
    for place, (value, record) in enumerate(read, start=1):
        rather = beyond(value, None, expected.max)
        if place == len(read) and not rather:
            rather = beyond(most, expected.min, None)
            value = most if rather else value
        yield Seen(f"{expected.metric} was {value:g}, {rather}" if rather else None, record)


def _readings(metric: str, case: Case) -> Iterator[_Reading]:
    for record in case.history.records:
        value: float | None = None
        if isinstance(record, Measured):
            value = record.tables.get(metric, record.counters.get(metric))
            if value is None and record.counters and _counts_a_kind(metric):
                value = 0  # of which there has been none
        elif isinstance(record, Emptied):
            value = record.tables.get(metric)
        elif isinstance(record, NodeExited) and metric == SHUTDOWN:
            value = record.took_s
        if value is not None:
            yield _Reading(value, record)


def _counts_a_kind(metric: str) -> bool:
    """Whether it is a counter that appears with the first of its kind."""
    return metric.startswith(("events.", "closes.", "limits."))
