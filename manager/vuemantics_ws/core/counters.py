"""What happened since the start, in numbers."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counters:
    """Each only grows. ``limits`` counts refusals by the name of the limit, ``closes`` connections that ended by close code."""

    events: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    """Frames about uploads that were handed to connections, conflated ones included."""
    conflated: int = 0
    """Those of them that a newer frame replaced before they left."""
    connects: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    unowned_events: int = 0
    """Events of uploads that nobody owns, under a rule that asks for the owner."""

    def as_json(self) -> dict[str, Any]:
        return {
            "events": dict(self.events),
            "deliveries": self.deliveries,
            "conflated": self.conflated,
            "connects": self.connects,
            "closes": {str(code): count for code, count in sorted(self.closes.items())},
            "limits": dict(self.limits),
            "unowned_events": self.unowned_events,
        }
