"""What Prometheus is told. All of it is read when it asks: nothing that happens pays for it.

The library that writes the format is imported when the first scrape comes.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.core.upload import Verdict
from vuemantics_ws.gateway.histogram import Histogram
from vuemantics_ws.gateway.inspection import Inspected, Survey
from vuemantics_ws.gateway.journal import Journal

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

PREFIX = "vuemantics_ws_"

STATES = ("starting", "ready", "draining", "stopped")

COUNTED_LIMITS = (
    "connections_max", "connections_per_user_max", "unauthenticated_max", "unauthenticated_per_address_max",
    "uploads_per_user_max", "waiting_users_max",
)  # fmt: skip
"""Those whose refusals have a number from the start, so that the first one is seen as a rise."""


CLOSES_TOLD = (*(str(int(code)) for code in CloseCode), "1001", "1005", "1006")
"""The codes that have a number of their own: ours, and those of browsers that leave, and of whoever leaves without a word."""


class Measured(Inspected, Protocol):
    """What of a node is measured beside its tables."""

    @property
    def displayed_age_s(self) -> Histogram: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def never_upgraded(self) -> int:
        """Sockets that ended without having become a WebSocket."""
        ...

    @property
    def uptime_s(self) -> float: ...


Found = float | None | Mapping[str, float] | Histogram
"""A number, None where there is none, one for each value of the label, or how often it had which size."""


class Metric(NamedTuple):
    """One metric. ``name`` is without the prefix and without the ``_total`` of counters."""

    name: str
    kind: str
    about: str
    label: str | None = None

    @property
    def full_name(self) -> str:
        """As a query names it; what a query names of a histogram ends in ``_bucket``, ``_sum`` or ``_count``."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


METRICS = (
    Metric("build_info", "gauge", "Always 1; the label has the version.", "version"),
    Metric("python_info", "gauge", "Always 1; the label has Python's version.", "version"),
    Metric("state", "gauge", "1 for the state in which the node is, 0 for the others.", "state"),
    Metric("uptime_seconds", "gauge", "Seconds since the node was made."),
    Metric("connections", "gauge", "Open sockets of the public port."),
    Metric("connections_limit", "gauge", "How many of them there may be."),
    Metric("unauthenticated_connections", "gauge", "Connections that have not shown yet who they are."),
    Metric("unauthenticated_connections_limit", "gauge", "How many of those there may be."),
    Metric("slow_connections", "gauge", "Connections whose buffer is full right now."),
    Metric("stalled_connections", "gauge", "Slow connections that have taken nothing for five seconds."),
    Metric("users", "gauge", "Users with a connection, or in their grace time."),
    Metric("uploads", "gauge", "Uploads that somebody follows."),
    Metric("follows", "gauge", "Pairs of user and upload."),
    Metric("heads", "gauge", "Newest states that this process keeps; missing where they are kept elsewhere."),
    Metric("heads_limit", "gauge", "How many newest states the process keeps of uploads that nobody follows."),
    Metric("outbox_bytes", "gauge", "Bytes that wait for connections that do not keep up."),
    Metric("outbox_largest_bytes", "gauge", "Bytes that wait for the connection for which most waits."),
    Metric("events", "counter", "Published events by what became of them.", "verdict"),
    Metric("deliveries", "counter", "Frames about uploads that were put for connections, conflated ones included."),
    Metric("conflated", "counter", "Frames about uploads that a newer one replaced before they left."),
    Metric("connects", "counter", "Connections that authenticated."),
    Metric("closes", "counter", "Connections that ended, by close code; `other` stands for what only clients send.", "code"),
    Metric("never_upgraded", "counter", "Sockets that ended without having become a WebSocket."),
    Metric("limits_reached", "counter", "Refusals by the name of the limit.", "limit"),
    Metric("adopted_events", "counter", "What became of what plain publishers said, as far as this node heard it.", "outcome"),
    Metric("unowned_events", "counter", "Events that nobody may get, because nobody owns their upload."),
    Metric("nodes", "gauge", "Nodes around the broker that are present, this one included."),
    Metric("watches", "gauge", "Uploads of which the broker tells this node."),
    Metric("broker_ready", "gauge", "1 while the broker does all that it promises."),
    Metric("broker_unready_seconds", "gauge", "For how many seconds it has not; 0 while it does."),
    Metric("broker_lag_seconds", "gauge", "How long what it told was under way at last; missing where nobody measures."),
    Metric("redis_gaps", "counter", "How often something may have been missed that Redis told, and was made good."),
    Metric("happenings_dropped", "counter", "Lines that listeners to happenings were too slow for."),
    Metric(
        "displayed_age_seconds",
        "histogram",
        "Seconds from when a state was accepted, or first waited for its reader, until it was handed to the reader's socket.",
    ),
    Metric("time_to_terminal_seconds", "histogram", "Seconds from the first accepted event of an attempt to its end."),
    Metric("loop_lag_seconds", "histogram", "By how many seconds the loop was late for a timer, four times a second."),
)
"""Every metric, in the order in which the documentation has them."""


def _read(node: Measured, survey: Survey) -> dict[str, Found]:
    """Every metric by its name."""
    tables, counters, limits = survey.tables, survey.counters, node.limits
    health, nodes = node.broker.health, node.broker.nodes
    return {
        "build_info": {node.describe()["version"]: 1},
        "python_info": {platform.python_version(): 1},
        "state": {state: int(state == node.state) for state in STATES},
        "uptime_seconds": node.uptime_s,
        "connections": tables["connections"],
        "connections_limit": limits.connections_max,
        "unauthenticated_connections": tables["unauthenticated"],
        "unauthenticated_connections_limit": limits.unauthenticated_max,
        "slow_connections": survey.slow,
        "stalled_connections": survey.stalled.connections if survey.stalled is not None else 0,
        "users": tables["users"],
        "uploads": tables["uploads"],
        "follows": tables["follows"],
        "heads": tables["heads"],
        "heads_limit": limits.heads_max,
        "outbox_bytes": tables["outbox_bytes"],
        "outbox_largest_bytes": tables["outbox_bytes_max"],
        "events": {verdict.value: 0 for verdict in Verdict} | counters["events"],
        "deliveries": counters["deliveries"],
        "conflated": counters["conflated"],
        "connects": counters["connects"],
        "closes": _closes(counters["closes"]),
        "never_upgraded": node.never_upgraded,
        "limits_reached": dict.fromkeys(COUNTED_LIMITS, 0) | counters["limits"],
        "adopted_events": dict.fromkeys((verdict.value for verdict in Verdict), 0) | dict(node.broker.adopted),
        "unowned_events": counters["unowned_events"],
        "nodes": 1 + len(nodes.others()) if nodes is not None else 1,
        "watches": node.broker.watches,
        "broker_ready": int(health.ready),
        "broker_unready_seconds": 0.0 if health.ready else max(0.0, node.clock.monotonic() - health.since),
        "broker_lag_seconds": health.lag_s,
        "redis_gaps": health.gaps,
        "happenings_dropped": node.journal.dropped,
        "displayed_age_seconds": node.displayed_age_s,
        "time_to_terminal_seconds": node.sightings.time_to_terminal_s,
        "loop_lag_seconds": node.pulse.loop_lag_s,
    }


def _closes(counted: Mapping[str, int]) -> dict[str, float]:
    """By codes that somebody chose who is no client: each value of a label costs its reader memory for months."""
    closes = dict.fromkeys(CLOSES_TOLD, 0.0) | {"other": 0.0}
    for code, count in counted.items():
        closes[code if code in closes else "other"] += count
    return closes


def metrics_table(metrics: Iterable[Metric] = METRICS) -> str:
    """Metrics as a table in Markdown."""
    rows = ["| metric | kind | label | meaning |", "| --- | --- | --- | --- |"]
    for metric in metrics:
        label = f"`{metric.label}`" if metric.label is not None else ""
        rows.append(f"| `{metric.full_name}` | {metric.kind} | {label} | {metric.about} |")
    return "\n".join(rows) + "\n"


def expose(node: Measured, survey: Survey, metrics: Iterable[Metric] = METRICS) -> tuple[bytes, str]:
    """Everything, or these, in Prometheus' text format, and the type of content that this is."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> "Iterator[Family]":
            found = _read(node, survey)
            for metric in metrics:
                yield _family(metric, found[metric.name])

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _family(metric: Metric, found: Found) -> "Family":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name = PREFIX + metric.name
    labels = [metric.label] if metric.label is not None else []
    if isinstance(found, Histogram):
        buckets = [("+Inf" if bound is None else str(bound), float(count)) for bound, count in found.up_to()]
        histogram = HistogramMetricFamily(name, metric.about, labels=labels)
        histogram.add_metric([], buckets=buckets, sum_value=found.sum)
        return histogram
    kind: Any = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: Family = kind(name, metric.about, labels=labels)
    if isinstance(found, Mapping):
        for value, number in found.items():
            family.add_metric([value], number)  # type: ignore[attr-defined]
    elif found is not None:
        family.add_metric([], found)  # type: ignore[attr-defined]
    return family
