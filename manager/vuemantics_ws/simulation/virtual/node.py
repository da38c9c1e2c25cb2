"""A node of the virtual world: a gateway in a process of its own."""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.errors import EnvironmentUnfit, Refused, VuemanticsError
from vuemantics_ws.gateway.quiet import log_fault
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.network.virtual import VirtualNetwork
from vuemantics_ws.simulation.system import KILLED, stops_within_s

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PORT = 8_001
PIDS_PER_NODE = 1_000
"""Each start of a node is another process."""

WAY_S = Spread(0.00005, 0.002)
"""What a request to a control port takes to get there, and what the answer takes."""

MakeBroker = Callable[[str, int, Clock, Settings], Broker]
"""Makes the broker of the node with this name at this start of it."""


class VirtualNode:
    """A gateway that can be started, stopped, killed and paused, and started again where it was, with an empty memory.

    Its wall clock is its own, and goes on whatever becomes of its process.

    Args:
        number: of the node.
        settings: what all nodes have in common.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        make_broker: MakeBroker,
        *,
        network: VirtualNetwork,
        loop: VirtualLoop,
        seed: int,
    ) -> None:
        self.name = f"node:{number}"
        self.clock = VirtualClock(loop)
        self.settings = dataclasses.replace(settings, node_name=self.name, port=FIRST_PORT + number)
        self.url = f"ws://127.0.0.1:{self.settings.port}/ws/uploads"
        self._make_broker = make_broker
        self._network = network
        self._loop = loop
        self._seed = seed
        self._starts = 0
        self._process: Process | None = None
        self._gateway: Gateway | None = None
        """While it answers at its control port."""
        self._dice = stream(seed, self.name, "control")
        self._asked: dict[asyncio.Future[Any], None] = {}
        """Whoever waits for an answer, longest first."""
        self._answering: dict[asyncio.Task[None], None] = {}

    @property
    def process(self) -> Process:
        """The newest."""
        assert self._process is not None
        return self._process

    @property
    def has_joined(self) -> bool:
        """Whether its broker is there, and hears plain publishers if it ever will."""
        if self._gateway is None:
            return False
        broker = self.process.run(self._gateway.inspection.broker)
        return bool(broker["ready"]) and broker["adopts"] is not False

    # What befalls it.

    async def start(self) -> None:
        """Raises:
        EnvironmentUnfit: its port is taken.
        """
        self._starts += 1
        self._process = Process(self.name)
        self._gateway = await self._process.start(self._come_up())

    async def _come_up(self) -> Gateway:
        settings = self.settings
        assert settings.secret is not None
        gateway = Gateway(
            settings,
            secret=settings.secret,
            broker=self._make_broker(self.name, self._starts, self.clock, settings),
            clock=self.clock,
            dice=stream(self._seed, f"{self.name}/{self._starts}", "gateway"),
            pid=self.settings.port * PIDS_PER_NODE + self._starts,
        )
        await gateway.start(opens=self._network.opens(self.name))
        return gateway

    async def stop(self) -> int:
        """In order. Returns the exit code: -9 where it had to be killed because it did not end in time."""
        assert self._gateway is not None
        stopping = self.process.start(self._gateway.stop())
        done, _ = await asyncio.wait([stopping], timeout=stops_within_s(self.settings))
        if not done:
            return self.kill()
        self._end()
        stopping.result()
        return 0

    def kill(self) -> int:
        """SIGKILL. Returns its exit code."""
        self._end()
        return KILLED

    def _end(self) -> None:
        self._gateway = None
        self._answering.clear()
        self._loop.kill(self.process)
        self._network.reset(self.name)
        asked, self._asked = self._asked, {}
        for answer in asked:
            if not answer.done():
                answer.set_exception(EnvironmentUnfit("the connection to the control port was lost"))

    def pause(self) -> None:
        """SIGSTOP: others still connect to it, and it does nothing."""
        self._loop.pause(self.process)

    def resume(self) -> None:
        if not self.process.is_dead:
            self._loop.resume(self.process)

    # What others ask of it.

    async def look(self, question: Callable[[Gateway], T], *, within_s: float) -> T:
        """What it says of itself. Nothing lies between, so that looking changes nothing.

        Raises:
            EnvironmentUnfit: it does not run, or it has stood still for so long.
        """
        if self._gateway is not None and not self.process.is_paused:
            return self.process.run(question, self._gateway)

        async def answer(gateway: Gateway) -> T:
            return question(gateway)

        return await self.ask(answer, within_s=within_s)

    async def ask(self, question: Callable[[Gateway], Awaitable[T]], *, within_s: float) -> T:
        """Ask it something over its control port. It answers in its process, also where nobody waits any longer.

        Raises:
            EnvironmentUnfit: it does not run, has ended meanwhile, or has not answered for so long.
            VuemanticsError: its answer.
        """
        if self._gateway is None:
            raise EnvironmentUnfit(f"nobody answers at the control port of {self.name}")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._asked[answer] = None
        context = self.process.context.copy()
        self._loop.call_later(WAY_S.draw(self._dice), self._take, question, answer, context=context)
        try:
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            raise EnvironmentUnfit(f"no answer within {within_s:g} s") from None
        finally:
            self._asked.pop(answer, None)

    def _take(self, question: Callable[[Gateway], Awaitable[T]], answer: "asyncio.Future[T]") -> None:
        if self._gateway is not None:
            answering = self._loop.create_task(self._answer(question, self._gateway, answer))
            self._answering[answering] = None
            answering.add_done_callback(self._answering.pop)

    async def _answer(self, question: Callable[[Gateway], Awaitable[T]], gateway: Gateway, answer: "asyncio.Future[T]") -> None:
        outcome: T | VuemanticsError
        try:
            outcome = await question(gateway)
        except VuemanticsError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - as the control port does
            log_fault(logger, "a request to the control port", error)
            outcome = Refused("a fault of ours")
        self._loop.call_later(WAY_S.draw(self._dice), _settle, answer, outcome, context=self._network.nowhere)


def _settle(answer: "asyncio.Future[T]", outcome: T | VuemanticsError) -> None:
    if answer.done():
        return  # nobody waits any more
    if isinstance(outcome, VuemanticsError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
