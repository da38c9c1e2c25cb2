"""Brokers to be tested, each with what the contract suite needs to see of it. A new broker adds a factory here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from tests.events import read
from vuemantics_ws.brokers.base import Broker, Receipt
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.core.upload import Head
from vuemantics_ws.limits import Limits


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

    def deliver(self, upload_id: str, head: Head) -> None:
        self.told.append((upload_id, head))

    async def publish(self, published: bytes, owner: str | None = None) -> Receipt:
        return await self.broker.publish(read(published, owner))

    async def watch(self, upload_id: str) -> list[Head | None]:
        """What the watch found; it has one element once the bench has settled."""
        found: list[Head | None] = []
        self.broker.watch(upload_id, found.append)
        await self.settle()
        return found

    def versions(self, upload_id: str) -> list[tuple[int, int]]:
        return [head.version for told_of, head in self.told if told_of == upload_id]


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def memory_bench(*, clock: HandClock | None = None, limits: Limits | None = None) -> AsyncIterator[Bench]:
    async def settle() -> None:
        """Everything has happened when a call returns."""

    bench = Bench(MemoryBroker(clock=clock or HandClock(), limits=limits), settle)
    await bench.broker.start(bench.deliver)
    yield bench
    await bench.broker.stop()


BENCHES: dict[str, OpenBench] = {"memory": memory_bench}
