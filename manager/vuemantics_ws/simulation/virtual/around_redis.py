"""Nodes of the virtual world around a Redis in memory, which they reach as they reach a real one."""

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.faults import REDIS
from vuemantics_ws.simulation.network.barrier import Barrier
from vuemantics_ws.simulation.network.virtual import VirtualNetwork
from vuemantics_ws.simulation.plain import PlainPublishers, settles_s
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.redis_line import RedisLine
from vuemantics_ws.simulation.resp.memory_redis import MemoryRedis
from vuemantics_ws.simulation.system import KILLED

PORT = 6379


class AroundRedis:
    """A :class:`~vuemantics_ws.simulation.virtual.middle.Middle`."""

    def __init__(self, plan: Plan, settings: Settings, *, network: VirtualNetwork, loop: VirtualLoop) -> None:
        self.redis = VirtualRedis(
            network=network,
            loop=loop,
            seed=plan.seed,
            history_s=max((fault.behind_s for fault in plan.faults), default=0.0),
        )
        self.plain = PlainPublishers(REDIS, PORT, redis_prefix=settings.redis_prefix, settles_s=settles_s(plan))
        self._plain_is_used = any(not upload.versioned for upload in plan.uploads)
        self._network = network
        self._seed = plan.seed

    def broker(self, name: str, start: int, clock: Clock, settings: Settings) -> Broker:
        return RedisBroker(
            f"redis://{REDIS}:{PORT}",
            prefix=settings.redis_prefix,
            plain_prefix=settings.plain_prefix,
            adopt=settings.adopt,
            clock=clock,
            limits=settings,
            dice=stream(self._seed, f"{name}/{start}", "broker"),
        )

    def severed(self, name: str) -> None:
        """The network has told Redis."""

    def barrier(self, name: str) -> Barrier:
        return self._network.barrier(name, REDIS)

    def fall_behind(self, behind_s: float) -> None:
        self.redis.fall_behind(behind_s)

    async def open(self) -> None:
        await self.redis.start()
        if self._plain_is_used:
            await self.plain.__aenter__()

    async def close(self) -> None:
        if self._plain_is_used:
            await self.plain.__aexit__(None, None, None)
        self.redis.end()


class VirtualRedis:
    """A Redis in a process of its own. Started again, it has its port and what it kept."""

    def __init__(self, *, network: VirtualNetwork, loop: VirtualLoop, seed: int, history_s: float) -> None:
        clock = VirtualClock(loop)
        self.line = RedisLine(REDIS, PORT)
        """How the simulator itself speaks to it."""
        self._memory = MemoryRedis(monotonic=clock.monotonic, wall=clock.wall, seed=seed, history_s=history_s)
        self._memory.stop()
        self._network = network
        self._loop = loop
        self._process = Process(REDIS)
        self._loses_data = False

    @property
    def is_running(self) -> bool:
        return self._memory.is_running

    async def start(self) -> None:
        self._process = Process(REDIS)
        self._memory.start(lose_data=self._loses_data)
        self._loses_data = False
        self._process.run(self._network.listen, self._memory.connection, REDIS, PORT)

    async def kill(self) -> int:
        self.end()
        return KILLED

    def end(self) -> None:
        """Without a word to anybody, and nothing of it is left but what it kept."""
        if self.is_running:
            self._network.reset(REDIS)
            self._memory.stop()
            self._loop.kill(self._process)
            self.line.hang_up()

    def lose_data(self) -> None:
        self._loses_data = True

    def fall_behind(self, behind_s: float) -> None:
        """What answers at its next start had not heard the last ``behind_s``."""
        self._memory.fail_over(behind_s)
        self._memory.stop()

    def pause(self) -> None:
        self._loop.pause(self._process)

    def resume(self) -> None:
        self._loop.resume(self._process)

    async def answers(self, *, within_s: float) -> bool:
        return await self.line.answers(within_s=within_s)

    async def run_id(self) -> bytes:
        return self._memory.run_id.encode()

    async def flush(self) -> int:
        return await self.line.flush()

    async def kill_pubsub(self) -> int:
        return await self.line.kill_pubsub()
