"""Nodes of the virtual world around the simulated broker."""

import asyncio

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.client.control import Receipt
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.hub.hub import Barrier, Hub
from vuemantics_ws.simulation.plain import Hearing, settles_s
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.redis_line import ANSWER_TIMEOUT_S
from vuemantics_ws.simulation.system import KILLED


class AroundHub:
    """A :class:`~vuemantics_ws.simulation.virtual.middle.Middle`. Must be made inside the loop."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.hub = Hub(seed=plan.seed, limits=settings, fails_over=any(fault.do == "redis.failover" for fault in plan.faults))
        self.redis = HubAsRedis(self.hub)
        self.plain = HubAsPlain(self.hub, settles_s=settles_s(plan))

    def broker(self, name: str, start: int, clock: Clock, settings: Settings) -> Broker:
        return self.hub.broker(name, clock=clock, limits=settings, adopts=settings.adopt)

    def severed(self, name: str) -> None:
        self.hub.sever(name)

    def barrier(self, name: str) -> Barrier:
        return self.hub.barrier(name)

    def fall_behind(self, behind_s: float) -> None:
        self.redis.fall_behind(behind_s)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass


class HubAsRedis:
    """The faults of Redis, as they befall the simulated broker."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._starts = 1
        self._loses_data = False
        self._behind_s: float | None = None

    @property
    def is_running(self) -> bool:
        return self._hub.middle.is_up

    async def start(self) -> None:
        self._starts += 1
        if self._behind_s is not None:
            self._hub.fail_over(self._behind_s)
        else:
            self._hub.up(lose_data=self._loses_data)
        self._loses_data, self._behind_s = False, None

    async def kill(self) -> int:
        self._hub.down()
        return KILLED

    def lose_data(self) -> None:
        self._loses_data = True

    def fall_behind(self, behind_s: float) -> None:
        self._behind_s = behind_s

    def pause(self) -> None:
        self._hub.hang()

    def resume(self) -> None:
        self._hub.resume()

    async def answers(self, *, within_s: float) -> bool:
        if self._hub.is_hung:
            await asyncio.sleep(within_s)
        return self.is_running and not self._hub.is_hung

    async def run_id(self) -> bytes:
        return b"%d" % self._starts

    async def flush(self) -> int:
        await self._reach()
        return self._hub.flush()

    async def kill_pubsub(self) -> int:
        await self._reach()
        return self._hub.kill_subscribers()

    async def _reach(self) -> None:
        if not await self.answers(within_s=ANSWER_TIMEOUT_S):
            raise EnvironmentUnfit("the simulated broker does not answer")


class HubAsPlain:
    """A :class:`~vuemantics_ws.simulation.system.PlainPublishers`."""

    def __init__(self, hub: Hub, *, settles_s: float) -> None:
        self._hub = hub
        self._events = Hearing(settles_s=settles_s)
        hub.middle.listen(self._hear)

    async def publish(self, event: bytes) -> bytes | None:
        digest = Event.read(event).digest
        is_news = self._events.expect(digest)
        self._hub.say_plainly(event)
        return digest if is_news else None

    async def heard(self, digest: bytes) -> Receipt | None:
        return await self._events.heard(digest)

    def _hear(self, upload_id: str, head: Head) -> None:
        self._events.hear(head)
