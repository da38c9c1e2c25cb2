"""An asyncio event loop in virtual time.

It never waits: when nothing is ready, its clock jumps to the next timer. What would bring in real time, real chance or the
outside, as threads, sockets, processes and signals do, is refused. The same program with the same dice takes the same steps.
"""

import asyncio
import contextvars
import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from vuemantics_ws.simulation.clock.process import Process, process_of

T = TypeVar("T")

STEPS_MAX = 2_000_000
"""Callbacks at one instant after which it counts as a busy loop."""


class Refused(RuntimeError):
    """Something that virtual time cannot have."""


class Deadlock(RuntimeError):
    """Nothing is ready, and no timer is set: whoever waits would wait for ever."""


class BusyLoop(RuntimeError):
    """The clock stands still, since there is always something to do at this instant."""


class Network(Protocol):
    """What ``create_connection`` and ``create_server`` of the loop go to."""

    async def connect(
        self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...

    def listen(self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.AbstractServer: ...


class VirtualTask(asyncio.Task[T]):
    """A task that knows whose it is, and its number in the order in which tasks were made."""

    process: Process | None
    number: int


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. Run it as any other.

    Args:
        dice: shuffles timers that are due at the same instant; None keeps the order in which they were set.
        network: who connects, and who listens; without one nobody does.
    """

    def __init__(
        self, *, dice: random.Random | None = None, network: Network | None = None, steps_max: int = STEPS_MAX
    ) -> None:
        super().__init__()
        self.network = network
        self._dice = dice
        self._steps_max = steps_max
        self._now = 0.0
        self._timers: list[tuple[float, float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = itertools.count()
        self._task_numbers = itertools.count(1)
        self._cancelled = 0
        self._steps = 0
        """At this instant."""
        self._troubled: dict[Process, None] = {}
        """Those that are paused or dead."""

    # Time.

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]
        key = 0.0 if self._dice is None else self._dice.random()
        heapq.heappush(self._timers, (max(when, self._now), key, next(self._timer_numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled += 1
        if self._cancelled > 1000 and self._cancelled > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if not entry[3].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined]
        if not ready:
            while timers and timers[0][3].cancelled():
                heapq.heappop(timers)
                self._cancelled -= 1
            if not timers:
                if self._stopping:  # type: ignore[attr-defined]
                    return
                raise Deadlock("nothing is ready, and no timer is set")
            if timers[0][0] > self._now:
                self._now = timers[0][0]
                self._steps = 0
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[3]
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        count = len(ready)
        self._steps += count
        if self._steps > self._steps_max:
            raise BusyLoop(f"more than {self._steps_max} steps at {self._now:.6f} s")
        for _ in range(count):
            handle = ready.popleft()
            if handle._cancelled:
                if isinstance(handle, asyncio.TimerHandle):
                    self._cancelled -= 1
                continue
            if self._troubled:
                process = process_of(handle._context)
                if process is not None and (process.is_dead or process.is_paused):
                    if process.is_paused and not process.is_dead:
                        process.held.append(handle)
                    continue
            handle._run()
        handle = None

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # Tasks and processes.

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None, **_: Any
    ) -> asyncio.Task[T]:
        self._check_closed()  # type: ignore[attr-defined]
        context = contextvars.copy_context() if context is None else context
        number = next(self._task_numbers)
        task = VirtualTask(coro, loop=self, name=name or f"task {number}", context=context)
        task.process, task.number = process_of(context), number
        return task

    def tasks(self) -> list[VirtualTask[Any]]:
        """Those that have not ended, oldest first."""
        found = [task for task in asyncio.all_tasks(self) if isinstance(task, VirtualTask)]
        return sorted(found, key=lambda task: task.number)

    def pause(self, process: Process) -> None:
        """SIGSTOP: nothing of it runs until it is resumed."""
        process.is_paused = True
        self._troubled[process] = None

    def resume(self, process: Process) -> None:
        """SIGCONT: what became due meanwhile runs now, in order."""
        if process.is_paused:
            process.is_paused = False
            self._ready.extend(process.held)  # type: ignore[attr-defined]
            process.held.clear()
            if not process.is_dead:
                self._troubled.pop(process, None)

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it ever runs again. What others see of its sockets is the network's."""
        process.is_dead = True
        process.held.clear()
        self._troubled[process] = None
        for task in self.tasks():
            if task.process is process:
                task._log_destroy_pending = False  # type: ignore[attr-defined]

    # The network.

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        if self.network is None or options.get("ssl") or options.get("sock") is not None:
            self._refuse("sockets")
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        if self.network is None or options.get("ssl") or options.get("sock") is not None:
            self._refuse("sockets")
        return self.network.listen(protocol_factory, host, port)

    def _refuse(self, what: str) -> NoReturn:
        raise Refused(f"virtual time has no {what}")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        self._refuse("threads")

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Sequence[Any]:  # type: ignore[override]
        """Every name of the virtual world is its own address."""
        import socket

        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
