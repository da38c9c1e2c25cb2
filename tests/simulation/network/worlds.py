"""Programs at the two ends of a connection, and the networks over which they run."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.network.virtual import VirtualNetwork

T = TypeVar("T")

WAITS_S = 5.0
"""What anything may take in a test, of real or of virtual time."""


def run_virtually(
    main: Callable[[VirtualNetwork], Coroutine[Any, Any, T]],
    *,
    seed: int = 1,
    latency: Spread = Spread(0.0, 0.0),
    slices: bool = False,
) -> T:
    """Run in virtual time, with a network of the test's own. Nothing may be left running."""
    loop = VirtualLoop()

    async def whole() -> T:
        network = loop.network = VirtualNetwork(seed=seed, latency=latency, slices=slices)
        result = await main(network)
        left = [task for task in loop.tasks() if task is not asyncio.current_task()]
        assert not left, left
        return result

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(whole())


class End(asyncio.Protocol):
    """One end, which remembers what it was told, in order. What it reads at one time or another is all the same."""

    def __init__(self, on_made: Callable[["End"], None] | None = None, *, keeps_open: bool = False) -> None:
        self.heard: list[str] = []
        self.times: list[float] = []
        """When, in the loop's time."""
        self.data = b""
        self.transport: Any = None
        self.keeps_open = keeps_open
        self.on_data: Callable[[bytes], None] = lambda data: None
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, happened: Callable[[], bool]) -> None:
        if not happened():
            future = self._loop.create_future()
            self._waiting.append((happened, future))
            async with asyncio.timeout(WAITS_S):
                await future

    async def hears(self, word: str) -> None:
        await self.until(lambda: word in self.heard)

    async def has(self, count: int) -> None:
        await self.until(lambda: len(self.data) >= count)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.heard[-1] == "data":
            self.heard.pop()
            self.times.pop()
        self._note("data")
        self.on_data(data)

    def eof_received(self) -> bool:
        self._note("end")
        return self.keeps_open

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost" if exc is None else f"lost: {type(exc).__name__}")

    @property
    def is_lost(self) -> bool:
        return self.heard[-1].startswith("lost")

    async def lost(self) -> None:
        await self.until(lambda: bool(self.heard) and self.is_lost)

    def _note(self, word: str) -> None:
        self.heard.append(word)
        self.times.append(self._loop.time())
        for happened, future in self._waiting:
            if happened() and not future.done():
                future.set_result(None)


class Ends:
    """Server ends in the order of their coming."""

    def __init__(self, make: Callable[[], End] = End) -> None:
        self.all: list[End] = []
        self._make = make
        self._waiting: list[asyncio.Future[None]] = []

    def __call__(self) -> End:
        end = self._make()
        self.all.append(end)
        for future in self._waiting:
            future.set_result(None)
        self._waiting.clear()
        return end

    async def first(self) -> End:
        while not self.all:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await asyncio.wait_for(future, WAITS_S)
        await self.all[0].hears("made")
        return self.all[0]


def port_of(server: Any) -> int:
    """Where it listens, over sockets or without."""
    return int(server.sockets[0].getsockname()[1] if server.sockets else server.address[1])
