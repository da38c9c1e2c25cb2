"""The figures that a server gives of itself, as ``server: {metric: …}`` names them."""

from typing import Any

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.format.amounts import nearest, refuse, show

METRICS: dict[str, str] = {
    "connections": "open sockets of the public port, now",
    "unauthenticated": "those of them that have not shown yet who they are",
    "users": "users with a connection, or in their grace time",
    "uploads": "uploads that somebody follows",
    "follows": "pairs of user and upload",
    "watches": "uploads of which the broker tells the process",
    "heads": "newest states that are kept",
    "outbox_bytes": "what waits for connections that do not keep up",
    "outbox_bytes_max": "what waits for the one for which the most waits",
    "deliveries": "frames about uploads that were handed to connections, since the start",
    "conflated": "those of them that a newer frame replaced before they left",
    "connects": "connections that authenticated",
    "unowned_events": "events that nobody may get, because nobody owns their upload",
    "events.accepted": "published events that were accepted",
    "events.duplicate": "published events that were known already",
    "events.stale": "published events that were older than what was known",
    "events.after_terminal": "published events that came after the end of their attempt",
    "closes.CODE": "connections that ended with this close code, such as closes.4008",
    "limits.NAME": "refusals by this limit, such as limits.uploads_per_user_max",
    "shutdown_seconds": "how long a node took to stop",
    "redis_NAME": "what a node's /metrics says of Redis, such as redis_gaps_total",
}
"""What each of them means."""

_NAMES = [
    *(name for name in METRICS if not name.endswith((".CODE", "NAME"))),
    *(f"closes.{code:d}" for code in CloseCode),
    *(f"limits.{name}" for name in Limits.__dataclass_fields__),
]
"""What may stand in a file. Of the codes only those that a server sends itself, beside which any other may be named."""

METRIC_PATTERN = (
    "^("
    + "|".join(name.replace(".", r"\.") for name in _NAMES if not name.startswith("closes."))
    + r"|closes\.[1-4][0-9]{3}|redis_[a-z_]+)$"
)


def read_metric(value: Any) -> Any:
    """The name of a metric."""
    if not isinstance(value, str):
        return value
    if value.startswith("redis_") and value.replace("_", "").isalpha() and value.isascii() and value.islower():
        return value
    kind, _, code = value.partition(".")
    if kind == "closes" and len(code) == 4 and code.isascii() and code.isdigit() and "1000" <= code <= "4999":
        return value
    if value not in _NAMES:
        refuse(f"expected one of {', '.join(METRICS)}, got {show(value)}{nearest(value, _NAMES)}")
    return value
