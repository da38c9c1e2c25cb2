"""The faults of a run, and how long what they kept back may still be on its way."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from vuemantics_ws.simulation.format.faults import REDIS, FaultName
from vuemantics_ws.simulation.log import FaultBegan, FaultEnded, Measured

SOON_S = 1.0
"""What is owed must have come after so long: a delivery takes milliseconds, a busy machine may take its time."""

RECOVERS_S = 5.0
"""How long after a fault has ended things may still be on their way: somebody has to notice, to connect, and to look at what
was missed.
"""

DISTURBS = frozenset(
    {
        *("node.pause", "redis.down", "redis.hang", "redis.restart", "redis.flush", "redis.kill_pubsub", "redis.failover"),
        "partition",
    }
)
"""The faults while which nothing need come soon. Those that end connections are none of them: who comes back is owed what
everybody is who joins.
"""

KEEPS_FROM_REDIS = frozenset({"redis.down", "redis.hang", "redis.restart", "redis.failover"})
"""The faults while which no node can tell Redis anything."""


class Disturbance(NamedTuple):
    """A fault went on from ``begins`` until ``ends``, which is infinite as long as it does."""

    number: int
    do: FaultName
    target: str
    begins: float
    ends: float


class Disturbances:
    """All of them, in the order in which they began."""

    def __init__(self) -> None:
        self.faults: list[Disturbance] = []
        self.soon_s = SOON_S
        """The same for this run: an observer that was late saw everything late."""

    def begin(self, record: FaultBegan) -> None:
        self.faults.append(Disturbance(record.number, record.do, record.target, record.at, math.inf))

    def end(self, record: FaultEnded) -> None:
        self.faults[:] = [fault._replace(ends=record.at) if fault.number == record.number else fault for fault in self.faults]

    def measure(self, record: Measured) -> None:
        self.soon_s = max(self.soon_s, SOON_S + record.lag_s)

    def due_by(self, at: float) -> float:
        """By when what is owed from this time on must have come: soon, or soon after the faults that went on until then."""
        due = at + self.soon_s
        for fault in self.faults:
            recovered = fault.ends + RECOVERS_S
            if fault.do in DISTURBS and fault.begins <= due and at <= recovered:
                due = max(due, recovered + self.soon_s)
        return due

    def is_disturbed(self, at: float) -> bool:
        """Whether a fault went on then, or had just ended."""
        return self.due_by(at) > at + self.soon_s

    def keeping_from_redis(self, node: str, at: float) -> Iterator[Disturbance]:
        """Those for which a node may not have told Redis by then what it knows."""
        for fault in self.faults:
            keeps = fault.do in KEEPS_FROM_REDIS or (fault.do == "partition" and fault.target == f"{node} and {REDIS}")
            if keeps and fault.begins <= at <= fault.ends + RECOVERS_S:
                yield fault
