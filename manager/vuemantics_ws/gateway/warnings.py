"""What an operator should look at first, most urgent first."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vuemantics_ws.gateway.pulse import Sample

WARNINGS_MAX = 8
NEAR = 0.8
"""So much of a limit is near it."""

LAG_S = 0.1
LAG_SAMPLES = 10
"""A loop that was late by so much, within so many seconds."""

BROKER_LAG_S = 1.0
"""What a broker tells may be under way for so long before people notice."""

URGENCY = (
    *("broker_away", "node_silent", "draining", "no_adopter", "broker_lag", "loop_lag", "limit_near", "stalled_reader"),
    *("unowned_events", "refused_events"),
)
"""Every code that a warning may have."""


class Stalled(NamedTuple):
    """Connections that take nothing, and the one that has for longest."""

    connections: int
    connection: int
    user_id: str | None
    taken_nothing_s: float


def warnings(
    *,
    state: str,
    broker: dict[str, Any],
    nodes: Sequence[dict[str, Any]],
    tables: dict[str, Any],
    limits: dict[str, float],
    samples: Sequence[Sample],
    stalled: Stalled | None,
) -> list[dict[str, Any]]:
    """At most eight, most urgent first. ``broker`` is as in a frame, ``nodes`` are all that are present."""
    found = [
        *_broker_away(broker),
        *_draining(state, tables),
        *_no_adopter(broker, nodes),
        *_broker_lag(broker),
        *_late(samples),
        *_near(tables, limits),
        *_stalled(stalled),
        *_unowned(samples),
        *_refused(samples),
    ]
    return [{"code": code, "message": message, "count": count} for code, message, count in found][:WARNINGS_MAX]


def by_urgency(warning: dict[str, Any]) -> int:
    """What warnings are sorted by."""
    code = warning["code"]
    return URGENCY.index(code) if code in URGENCY else len(URGENCY)


def of_silence(name: str) -> dict[str, Any]:
    """Of a node that is present, and does not say what it was asked."""
    return {"code": "node_silent", "message": f"{name} does not answer: what it has is missing here", "count": 1}


def _broker_away(broker: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    if not broker["ready"]:
        said = f"{broker['reason'] or 'the broker is away'}, for {broker['since_s']:.0f} s now"
        yield "broker_away", f"{said}: publishers must try again, people stay connected", 1


def somebody_adopts(nodes: Sequence[dict[str, Any]]) -> bool | None:
    """Whether any of these nodes hears plain publishers; None where there are none to be heard."""
    known = [node["adopts"] for node in nodes if node["adopts"] is not None]
    return any(known) if known else None


def _no_adopter(broker: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    if broker["ready"] and somebody_adopts(nodes) is False:
        cure = "give one --adopt on, or read in its log why it cannot"
        yield "no_adopter", f"no node adopts, so what plain publishers say reaches nobody: {cure}", 1


def _broker_lag(broker: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    if broker["ready"] and (broker["lag_ms"] or 0) >= BROKER_LAG_S * 1000:
        yield "broker_lag", f"what {broker['name']} tells arrives {broker['lag_ms'] / 1000:.1f} s late", 1


def _draining(state: str, tables: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    if state == "draining":
        yield "draining", f"the node is going away: {tables['connections']} connections are left", 1


def _late(samples: Sequence[Sample]) -> Iterator[tuple[str, str, int]]:
    late = [sample.loop_lag_s for sample in samples[-LAG_SAMPLES:] if sample.loop_lag_s >= LAG_S]
    if late:
        yield "loop_lag", f"the loop was late by up to {max(late) * 1000:.0f} ms in the last {LAG_SAMPLES} s", len(late)


def _near(tables: dict[str, Any], limits: dict[str, float]) -> Iterator[tuple[str, str, int]]:
    filled = []
    for limit, most in limits.items():
        name = limit.removesuffix("_max")
        count = tables.get(name) or 0  # not every limit is of a table
        if count >= NEAR * most:
            filled.append((count / most, f"{name}: {count} of at most {most:.0f}"))
    if filled:
        yield "limit_near", max(filled)[1], len(filled)


def _stalled(stalled: Stalled | None) -> Iterator[tuple[str, str, int]]:
    if stalled is not None:
        of = f" of {stalled.user_id}" if stalled.user_id is not None else ""
        said = f"connection {stalled.connection}{of} has taken nothing for {stalled.taken_nothing_s:.0f} s"
        yield "stalled_reader", said, stalled.connections


def _unowned(samples: Sequence[Sample]) -> Iterator[tuple[str, str, int]]:
    count = round(sum(sample.unowned_per_s for sample in samples))
    if count:
        yield "unowned_events", f"{count} events of the last minute named no owner, so nobody got them", count


def _refused(samples: Sequence[Sample]) -> Iterator[tuple[str, str, int]]:
    count = round(sum(sample.refused_per_s for sample in samples))
    if count:
        yield "refused_events", f"{count} events of the last minute were refused as old or as after the end", count
