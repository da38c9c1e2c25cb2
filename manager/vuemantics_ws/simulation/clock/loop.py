"""An asyncio event loop in virtual time.

It never waits: when nothing is ready, its clock jumps to the next timer. What would bring in real time, real chance or the
outside, as threads, sockets, processes and signals do, is refused. The same program with the same dice takes the same steps.
"""

import asyncio
import contextvars
import gc
import heapq
import itertools
import random
import socket
import threading
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

from vuemantics_ws.simulation.clock.generators import Generators
from vuemantics_ws.simulation.clock.interrupts import LetThrough
from vuemantics_ws.simulation.clock.process import Process, process_of
from vuemantics_ws.simulation.clock.refusing import REFUSED, refuse, refusing
from vuemantics_ws.simulation.clock.steps import Step, Timer
from vuemantics_ws.simulation.clock.tasks import VirtualTask, whose
from vuemantics_ws.simulation.clock.telling import listed, most_often, told

T = TypeVar("T")

STEPS_MAX = 2_000_000
"""Calls at one instant after which it counts as a busy loop."""

STEPS_TOLD = 10_000
"""How many more of them are looked at, to say what they are."""

CANCELLED_MAX = 1000
"""Timers that were cancelled and still wait for their time, before those are thrown out that are more than half of all."""


class Deadlock(RuntimeError):
    """Nothing is ready, and no timer is set: whoever waits would wait for ever."""


class BusyLoop(RuntimeError):
    """The clock stands still, since there is always something to do at this instant."""


class Overrun(RuntimeError):
    """It goes on after the time by which it must have ended."""


class Network(Protocol):
    """What ``create_connection`` and ``create_server`` of the loop go to."""

    async def connect(
        self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...

    def listen(self, make: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.AbstractServer: ...


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. Programs for asyncio run in it as they are.

    Calls run in the order in which they became ready, always; programs rely on that. Timers that are due at the same instant
    run in the order of the dice, since no program may rely on theirs. A timer that is set for the past is due now.

    A process that is *paused* runs nothing. What becomes due for it waits, timers too, and runs in that order when it is
    resumed, before all else that is ready then. Time goes on. A process that was *killed* never runs again, not even its
    ``finally`` and ``async with``: its coroutines are kept as they stood, so that nothing of it happens where they would be
    freed, until :func:`~vuemantics_ws.simulation.clock.burying.bury` ends them in silence, after the run. Whatever memory
    they hold stays held so long. Whoever waits from outside for one of its tasks gets
    :class:`~vuemantics_ws.simulation.clock.process.Killed`. A process that kills itself ends with the step that it is in.

    Args:
        dice: shuffles timers that are due at the same instant; None keeps the order in which they were set.
        network: who connects, and who listens; without one nobody does.
        steps_max: calls at one instant before it counts as a busy loop.
        collect_every: steps between two collections of garbage, so that what they free is freed at the same moments in each
            run, given that Python's own are off. None collects nothing.
        ends_by: seconds after which nothing may be left to happen.

    Running it raises:
        Deadlock: nothing is left that would ever happen, but for what paused and dead processes would do.
        BusyLoop: its clock does not get on.
        Overrun: something happens after its end, as where a node's timers go on and whoever should end it waits for ever.
    """

    _ready: deque[Any]

    def __init__(
        self,
        *,
        dice: random.Random | None = None,
        network: Network | None = None,
        steps_max: int = STEPS_MAX,
        collect_every: int | None = None,
        ends_by: float = float("inf"),
    ) -> None:
        super().__init__()
        self.network = network
        self.let_through: LetThrough = nullcontext
        """In it the loop's steps run, which may be interrupted anywhere."""
        self.dead: list[Process] = []
        self.steps = 0
        """That it took so far."""
        self._key = _in_order if dice is None else dice.random
        self._steps_max = steps_max
        self._ends_by = ends_by
        self._collect_every = collect_every
        self._collect_at = float("inf") if collect_every is None else collect_every
        self._look_at = 0.0
        self._instant_began = 0
        """The number of the first step of this instant."""
        self._counted: Counter[str] = Counter()
        self._now = 0.0
        self._timers: list[tuple[float, float, int, Timer]] = []
        self._cancelled = 0
        """Of the timers."""
        self._timer_numbers = itertools.count()
        self._task_numbers = itertools.count(1)
        self._is_over = False
        self._stopped: dict[Process, None] = {}
        """Those that are paused or dead."""
        self._thread = threading.get_ident()
        self._asyncgens = Generators()

    # Time.

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._closed:  # type: ignore[attr-defined]
            self._check_closed()  # type: ignore[attr-defined]
        step = Step(callback, args, self, context)
        self._ready.append(step)
        return step

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            refuse("threads", "loop.call_soon_threadsafe from another one", "do the work in the loop")
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self._set(self._now + delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self._set(when, callback, args, context)

    def _set(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        if self._closed:  # type: ignore[attr-defined]
            self._check_closed()  # type: ignore[attr-defined]
        timer = Timer(when, callback, args, self, context)
        due = when if when > self._now else self._now  # noqa: FURB136 - this is called very often, and max() costs
        heapq.heappush(self._timers, (due, self._key(), next(self._timer_numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled += 1
        if self._cancelled > CANCELLED_MAX and 2 * self._cancelled > len(self._timers):
            for entry in self._timers:
                if entry[3]._cancelled:
                    entry[3]._scheduled = False
            self._timers[:] = [entry for entry in self._timers if entry[3]._scheduled]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def _run_once(self) -> None:
        with self.let_through():
            self._run_until_stopped()

    def _run_until_stopped(self) -> None:
        """In turns, as asyncio does: a turn is what is ready at its beginning."""
        ready, timers, stopped = self._ready, self._timers, self._stopped
        take, pop = ready.popleft, heapq.heappop
        while True:
            if not ready:
                if self._stopping:  # type: ignore[attr-defined]
                    return
                self._jump()
            now = self._now
            while timers and timers[0][0] <= now:
                timer = pop(timers)[3]
                timer._scheduled = False
                if timer._cancelled:
                    self._cancelled -= 1
                else:
                    ready.append(timer)
            count = len(ready)
            self.steps += count
            if self.steps >= self._look_at:
                self._look()
            for _ in range(count):
                step = take()
                if step._cancelled:
                    continue
                if stopped:
                    process = process_of(step._context)
                    if process in stopped:
                        process.held.append(step)
                        continue
                try:
                    step._context.run(step._callback, *step._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever a callback raises is told, as in asyncio
                    self._failed(step, error)
            if self._stopping:  # type: ignore[attr-defined]
                return

    def _jump(self) -> None:
        """To the next timer that still is one."""
        timers = self._timers
        while timers and timers[0][3]._cancelled:
            heapq.heappop(timers)[3]._scheduled = False
            self._cancelled -= 1
        if not timers:
            waiting = listed([told(task) for task in self.tasks()])
            raise Deadlock(f"at {self._now:.6f} s nothing is ready and no timer is set, but these wait:\n{waiting}")
        if timers[0][0] > self._ends_by:
            waiting = listed([told(task) for task in self.tasks()])
            raise Overrun(f"it should have ended by {self._ends_by:g} s, but these go on:\n{waiting}")
        if timers[0][0] > self._now:
            self._now = timers[0][0]
            self._instant_began = self.steps

    def _look(self) -> None:
        """Now and then: whether time to collect garbage has come, and whether the clock gets on."""
        if self.steps >= self._collect_at:
            assert self._collect_every is not None
            gc.collect()
            self._collect_at = self.steps + self._collect_every
        busy_at = self._instant_began + self._steps_max
        if self.steps <= busy_at:
            self._counted.clear()
        else:
            most_often(self._ready, self._counted)
            if self.steps > busy_at + STEPS_TOLD:
                often = listed([f"{count} times {what}" for what, count in self._counted.most_common()])
                count = self.steps - self._instant_began
                raise BusyLoop(f"the clock stands still at {self._now:.6f} s, after {count} steps; the last were:\n{often}")
            busy_at = self.steps
        self._look_at = min(self._collect_at, busy_at + 1)

    def _failed(self, step: asyncio.Handle, error: BaseException) -> None:
        callback = getattr(step._callback, "__qualname__", repr(step._callback))  # type: ignore[attr-defined]
        self.call_exception_handler({"message": f"exception in callback {callback}", "exception": error, "handle": step})

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As in asyncio, but that nobody hears the dead."""
        process = whose(context)
        if not self._is_over and (process is None or not process.is_dead):
            super().call_exception_handler(context)

    def _process_events(self, event_list: object) -> None:
        """There are none from outside."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    @contextmanager
    def nothing_happens(self) -> Iterator[None]:
        """What is called, timed or started meanwhile goes nowhere. For a loop that will not run again."""
        self._is_over = True
        self._ready = deque(maxlen=0)
        yield
        self._timers.clear()

    def close(self) -> None:
        super().close()
        self._timers.clear()

    # Tasks and processes.

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: contextvars.Context | None = None, **_: Any
    ) -> asyncio.Task[T]:
        self._check_closed()  # type: ignore[attr-defined]
        context = contextvars.copy_context() if context is None else context
        return VirtualTask(coro, self, name, context, next(self._task_numbers))

    def tasks(self) -> list[VirtualTask[Any]]:
        """Those that have not ended, oldest first."""
        found = [task for task in asyncio.all_tasks(self) if isinstance(task, VirtualTask)]
        return sorted(found, key=lambda task: task.number)

    def pause(self, process: Process) -> None:
        """SIGSTOP: nothing of it runs until it is resumed."""
        if not process.is_dead:
            process.is_paused = True
            self._stopped[process] = None

    def resume(self, process: Process) -> None:
        """SIGCONT: what became due meanwhile runs now, in order."""
        if process.is_paused and not process.is_dead:
            process.is_paused = False
            del self._stopped[process]
            self._ready.extendleft(reversed(process.held))
            process.held.clear()

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it ever runs again. What others see of its sockets is the network's."""
        if process.is_dead:
            return
        process.is_dead, process.is_paused = True, False
        self._stopped[process] = None
        self.dead.append(process)
        for task in self.tasks():
            if task.process is process:
                task.die(process)

    # Asynchronous generators that nobody finished.

    def _asyncgen_finalizer_hook(self, generator: AsyncGenerator[Any, Any]) -> None:
        """One was forgotten in the middle: end it where it began. Without this, it is freed and nothing of it runs."""
        context = self._asyncgens.take(generator)
        process = None if context is None else process_of(context)
        if not (self._closed or self._is_over or (process is not None and process.is_dead)):  # type: ignore[attr-defined]
            self.call_soon(self.create_task, _end(generator), context=context)

    # The network.

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self._network_for("create_connection", options).connect(protocol_factory, host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return self._network_for("create_server", options).listen(protocol_factory, host, port)

    def _network_for(self, method: str, options: dict[str, Any]) -> Network:
        if options.get("ssl"):
            refuse("TLS", f"loop.{method} with ssl", "connect without it")
        if options.get("sock") is not None:
            refuse("real sockets", f"loop.{method} with sock", "give a host and a port")
        if self.network is None:
            refuse("real sockets", f"loop.{method}", "give the loop a network")
        return self.network

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Sequence[Any]:  # type: ignore[override]
        """Every name of the virtual world is its own address."""
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


for _method in REFUSED:
    setattr(VirtualLoop, _method, refusing(_method))


def _in_order() -> float:
    return 0.0


async def _end(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
