"""Brokers to be tested, each with what the contract suite needs to see of it. A new broker adds a factory here."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.events import progress, read
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.brokers.base import Broker, Deliver, Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.core.upload import Head
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.hub.broker import SimulatedBroker
from vuemantics_ws.simulation.hub.hub import Hub


class HandClock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass
class Bench:
    """A started broker. ``settle`` returns when whatever has been published or asked has arrived or been answered."""

    broker: Broker
    settle: Callable[[], Awaitable[None]]
    told: list[tuple[str, Head]] = field(default_factory=list)
    """Everything that was delivered, in order."""

    told_besides: Deliver | None = None
    """Called with everything that is delivered."""

    def deliver(self, upload_id: str, head: Head) -> None:
        self.told.append((upload_id, head))
        if self.told_besides is not None:
            self.told_besides(upload_id, head)

    async def publish(self, published: bytes, owner: str | None = None) -> Receipt:
        return await self.broker.publish(read(published, owner))

    async def watch(self, upload_id: str) -> list[Head | None]:
        """What the watch found, one element, once it has and the bench has settled.

        Heads are read on connections of their own, where what was asked later may be answered sooner.
        """
        found: list[Head | None] = []
        self.broker.watch(upload_id, found.append)
        await until(lambda: bool(found))
        await self.settle()
        return found

    def newest(self, upload_id: str) -> Head | None:
        """What was told last."""
        return next((head for told_of, head in reversed(self.told) if told_of == upload_id), None)

    def versions(self, upload_id: str) -> list[tuple[int, int]]:
        return [head.version for told_of, head in self.told if told_of == upload_id]


async def until(reached: Callable[[], bool], within_s: float = 10.0) -> None:
    """Looks again and again, and gives everybody else their turn between."""
    async with asyncio.timeout(within_s):
        while not reached():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.002)


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def memory_bench(*, clock: HandClock | None = None, limits: Limits | None = None) -> AsyncIterator[Bench]:
    async def settle() -> None:
        """Everything has happened when a call returns."""

    bench = Bench(MemoryBroker(clock=clock or HandClock(), limits=limits), settle)
    await bench.broker.start(bench.deliver)
    yield bench
    await bench.broker.stop()


@asynccontextmanager
async def simulated_bench(*, at_once: float = 0.0) -> AsyncIterator[Bench]:
    """In real time, where nothing takes any."""
    hub = Hub(seed=1, delays=Spread(0.0, 0.0), at_once=at_once)
    bench = SimulatedBench(hub.broker("node", clock=SystemClock()))
    await bench.broker.start(bench.deliver)
    yield bench
    await bench.broker.stop()


_numbers = itertools.count()


@asynccontextmanager
async def redis_bench(url: str, **options: Any) -> AsyncIterator["RedisBench"]:
    """A broker under a prefix of its own, and hearing no plain publishers; ``options`` are the broker's, and decide."""
    options = {"prefix": f"bench-{next(_numbers)}:", "adopt": False, **options}
    bench = RedisBench(RedisBroker(url, **options))
    try:
        await bench.broker.start(bench.deliver)
        yield bench
    finally:
        await bench.broker.stop()


class RedisBench(Bench):
    """Settles by what comes back on the connections on which everything comes: what was before it has come, too."""

    broker: RedisBroker

    def __init__(self, broker: RedisBroker) -> None:
        super().__init__(broker, self._settle)
        self._markers: dict[str, asyncio.Event] = {}
        self._settling = asyncio.Lock()

    def deliver(self, upload_id: str, head: Head) -> None:
        if upload_id in self._markers:
            self._markers[upload_id].set()
        else:
            super().deliver(upload_id, head)

    async def _settle(self) -> None:
        """Does nothing where the broker has been stopped."""
        async with self._settling:
            for upload_id in MARKERS[self.broker.name]:
                self._markers[upload_id] = asyncio.Event()
                found: asyncio.Future[Head | None] = asyncio.get_running_loop().create_future()
                self.broker.watch(upload_id, found.set_result)
                await found
                with suppress(BrokerAway):
                    await self.broker.publish(read(progress(upload_id=upload_id, number=next(_numbers))))
                    await self._markers[upload_id].wait()
                self.broker.unwatch(upload_id)


class SimulatedBench(Bench):
    """Settles by turns of the loop, of which each message takes one."""

    def __init__(self, broker: SimulatedBroker) -> None:
        super().__init__(broker, self._settle)

    async def _settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


MARKERS = {"redis": ["marker-0"], "redis-cluster": ["marker-3", "marker-2", "marker-0"]}
"""In a Redis Cluster one in each third of the slots, so that each of its masters has one."""
