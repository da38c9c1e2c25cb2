"""What stands in the middle of the nodes of a run in virtual time: nothing, the simulated broker, or a Redis in memory."""

from typing import Protocol

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.system import Barrier, PlainPublishers, Redis


class Middle(Protocol):
    """All verbs but those of ``redis`` are plain calls."""

    @property
    def redis(self) -> Redis | None:
        """What can befall it; None where there is none."""
        ...

    @property
    def plain(self) -> PlainPublishers | None: ...

    def broker(self, name: str, start: int, clock: Clock, settings: Settings) -> Broker:
        """The broker of a node at one of its starts. Called in its process."""
        ...

    def severed(self, name: str) -> None:
        """The node's process is gone, without a word."""
        ...

    def barrier(self, name: str) -> Barrier:
        """Between it and a node."""
        ...

    def fall_behind(self, behind_s: float) -> None:
        """At its next start it is a replica that had not heard the last seconds. It must not run."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...


class Alone:
    """Of a single node, which keeps everything in its own memory."""

    redis = None
    plain = None

    def broker(self, name: str, start: int, clock: Clock, settings: Settings) -> Broker:
        return MemoryBroker(clock=clock, limits=settings)

    def severed(self, name: str) -> None:
        pass

    def barrier(self, name: str) -> Barrier:
        raise AssertionError("there is nothing to part it from")

    def fall_behind(self, behind_s: float) -> None:
        raise AssertionError("there is nothing that could fall behind")

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass
