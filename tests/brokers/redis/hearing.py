"""Subscriptions to a real Redis, somebody who hears what they tell, and somebody who publishes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.subscriptions import Condition, Subscriptions
from vuemantics_ws.errors import BrokerAway

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

WITHIN_S = 30.0


def run(main: Coroutine[Any, Any, None], loop: str = "asyncio") -> None:
    """Nothing may be left running when it is over."""

    async def whole() -> None:
        await main
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(whole())


def at(port: int) -> RedisAddress:
    return RedisAddress("server", (Endpoint("127.0.0.1", port),))


class Hearer:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.subscribed = 0

    def on_message(self, payload: bytes) -> None:
        self.told.append(payload)

    def on_subscribed(self) -> None:
        self.subscribed += 1


class PatternHearer(Hearer):
    """The same for a pattern."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[bytes] = []

    def on_message(self, channel: bytes, payload: bytes) -> None:  # type: ignore[override]
        self.channels.append(channel)
        self.told.append(payload)


class Hearing:
    """Subscriptions under test. ``send_canary`` may be put in another's place."""

    def __init__(self, address: RedisAddress, send_canary: Callable[[bytes, bytes], Awaitable[None]], **options: Any) -> None:
        self.send_canary = send_canary
        self.canaries = 0
        self.reads = 0
        self.turns: list[Condition] = []
        self.subscriptions = Subscriptions(
            address,
            canary_channel=lambda number: b"canary-%d" % number,
            send_canary=self._send_canary,
            read_ended=self._read_ended,
            changed=lambda: self.turns.append(self.condition),
            dice=random.Random(1),
            **options,
        )

    @property
    def condition(self) -> Condition:
        return self.subscriptions.condition

    async def connected(self) -> None:
        await until(lambda: self.condition.connected)

    async def subscribe(self, *channels: bytes) -> list[Hearer]:
        """To each, until all are heard."""
        hearers = [Hearer() for _ in channels]
        for channel, hearer in zip(channels, hearers, strict=True):
            self.subscriptions.subscribe(channel, hearer)
        await until(lambda: all(hearer.subscribed for hearer in hearers))
        return hearers

    async def _send_canary(self, channel: bytes, payload: bytes) -> None:
        self.canaries += 1
        await self.send_canary(channel, payload)

    def _read_ended(self) -> None:
        self.reads += 1


@asynccontextmanager
async def publishing(port: int, *, cluster: bool = False) -> AsyncIterator[Callable[[bytes, bytes], Awaitable[None]]]:
    """Publishes, to the channels of a Redis Cluster that are sharded if it is one; raises BrokerAway as commands do."""
    client: Any = RedisCluster(host="127.0.0.1", port=port) if cluster else Redis(port=port, socket_timeout=1)

    async def publish(channel: bytes, payload: bytes) -> None:
        try:
            if cluster:
                await client.execute_command("SPUBLISH", channel, payload)
            else:
                await client.publish(channel, payload)
        except (RedisError, OSError) as error:
            raise BrokerAway(f"the canary met {type(error).__name__}") from None

    try:
        yield publish
    finally:
        await client.aclose()


@asynccontextmanager
async def hearing(
    port: int, *, address: RedisAddress | None = None, cluster: bool = False, start: bool = True, **options: Any
) -> AsyncIterator[tuple[Hearing, Callable[[bytes, bytes], Awaitable[None]]]]:
    """Subscriptions that run in the block, and a way to publish."""
    async with publishing(port, cluster=cluster) as publish:
        here = Hearing(address or at(port), publish, **options)
        if start:
            here.subscriptions.start()
            await here.connected()
        try:
            yield here, publish
        finally:
            await here.subscriptions.stop()


async def until(reached: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Looks again and again, for what no one of these can tell us."""
    async with asyncio.timeout(within_s):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
