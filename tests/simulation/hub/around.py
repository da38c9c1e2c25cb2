"""Nodes around a simulated middle in virtual time, and all that they were told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.events import read
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.running import run_virtually
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.hub.broker import SimulatedBroker
from vuemantics_ws.simulation.hub.hub import Hub

SETTLED_S = 10.0
"""Within so long after the last trouble everybody has learned everything."""


class Node:
    """One start of a node, in a process of its own. Whoever is told raises nothing: what was told wrongly is in ``faults``."""

    def __init__(self, around: "Around", name: str, **options: Any) -> None:
        self.process = Process(name)
        self.name = name
        self.around = around
        self.told: list[tuple[str, tuple[int, int]]] = []
        self.found: dict[str, list[tuple[int, int] | None]] = {}
        self.newest: dict[str, Head] = {}
        self.faults: list[str] = []
        self.adopted: list[tuple[Event, Receipt]] = []
        self.broker: SimulatedBroker = self.process.run(
            lambda: around.hub.broker(name, clock=VirtualClock(asyncio.get_running_loop()), **options)
        )
        self.broker.tell_adopted(lambda event, receipt: self.adopted.append((event, receipt)))

    async def start(self) -> None:
        await self.process.start(self.broker.start(self._deliver))

    def watch(self, upload_id: str) -> None:
        self.found[upload_id] = []
        self.newest.pop(upload_id, None)
        self.process.run(lambda: self.broker.watch(upload_id, lambda head: self._found(upload_id, head)))

    def unwatch(self, upload_id: str) -> None:
        self.broker.unwatch(upload_id)
        del self.found[upload_id]
        self.newest.pop(upload_id, None)

    async def publish(self, published: bytes, owner: str | None = None) -> Receipt:
        return await asyncio.shield(self.process.start(self.broker.publish(read(published, owner))))

    async def publishes(self, published: bytes) -> bool:
        """Whether it was published, as far as anybody knows."""
        try:
            await self.publish(published)
        except BrokerAway:
            return False
        return True

    async def head(self, upload_id: str) -> tuple[int, int] | None:
        head = await self.process.start(self.broker.head(upload_id))
        return head and head.version

    def versions(self, upload_id: str) -> list[tuple[int, int]]:
        """What it was told, without what was found."""
        return [version for told_of, version in self.told if told_of == upload_id]

    def seen(self, upload_id: str) -> list[tuple[int, int]]:
        """What was found, and what was told after it."""
        return [*(version for version in self.found[upload_id] if version is not None), *self.versions(upload_id)]

    def _found(self, upload_id: str, head: Head | None) -> None:
        self.found[upload_id].append(head and head.version)
        if len(self.found[upload_id]) > 1:
            self.faults.append(f"{upload_id} was found twice")
        if head is not None:
            self._see(upload_id, head)

    def _deliver(self, upload_id: str, head: Head) -> None:
        self.told.append((upload_id, head.version))
        if upload_id not in self.found:
            self.faults.append(f"{upload_id} was told without a watch")
        elif not self.found[upload_id]:
            self.faults.append(f"{upload_id} was told before it was found")
        self._see(upload_id, head)

    def _see(self, upload_id: str, head: Head) -> None:
        known = self.newest.get(upload_id)
        if known is not None and head.version <= known.version and head.owner == known.owner:
            self.faults.append(f"of {upload_id} came {head.version} after {known.version}")
        self.newest[upload_id] = head


class Around:
    """A hub with its nodes, by name."""

    def __init__(self, loop: VirtualLoop, seed: int, **options: Any) -> None:
        self.loop = loop
        self.hub = Hub(seed=seed, **options)
        self.nodes: dict[str, Node] = {}

    async def start(self, name: str, **options: Any) -> Node:
        node = self.nodes[name] = Node(self, name, **options)
        await node.start()
        return node

    async def stop(self) -> None:
        for node in self.nodes.values():
            if not node.process.is_dead:
                await node.process.start(node.broker.stop())

    def kill(self, node: Node) -> None:
        """As by SIGKILL."""
        self.loop.kill(node.process)
        self.hub.sever(node.name)

    @property
    def faults(self) -> list[str]:
        return [fault for node in self.nodes.values() for fault in node.faults]


Act = Callable[..., Awaitable[Any]]


def play(act: Act, *, count: int = 2, seed: int = 1, **options: Any) -> Any:
    """Run ``act(around, *nodes)`` with so many nodes that are ready. Nothing may have been told wrongly, or be left."""
    raised: list[dict[str, Any]] = []

    async def main(loop: VirtualLoop) -> Any:
        loop.set_exception_handler(lambda loop, context: raised.append(context))
        around = Around(loop, seed, **options)
        nodes = [await around.start(f"node:{number}") for number in range(count)]
        await asyncio.sleep(1)
        result = await act(around, *nodes)
        await around.stop()
        await asyncio.sleep(SETTLED_S)
        assert around.faults == []
        assert [task for task in loop.tasks() if task.process is None or not task.process.is_dead] == [asyncio.current_task()]
        return result

    result = run_virtually(main, seed=seed)
    assert raised == []
    return result


async def settled() -> None:
    await asyncio.sleep(SETTLED_S)


async def soon() -> None:
    """What is under way arrives, and nobody has noticed anything else yet."""
    await asyncio.sleep(0.02)
