"""Subscriptions to a real Redis, somebody who hears what they tell, and somebody who publishes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
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


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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


class Publisher:
    """Publishes, to sharded channels where it speaks to a Redis Cluster; raises BrokerAway as commands do."""

    def __init__(self, ports: list[int], *, cluster: bool) -> None:
        self._clients: dict[int, Any] = {
            port: Redis(port=port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) for port in ports
        }
        self._command = "SPUBLISH" if cluster else "PUBLISH"

    async def __call__(self, channel: bytes, payload: bytes) -> None:
        away = BrokerAway("there is no server")
        for client in self._clients.values():
            try:
                await client.execute_command(self._command, channel, payload)
                return
            except (RedisError, OSError) as error:  # it may be another server's
                away = BrokerAway(f"the canary met {type(error).__name__}")
        raise away

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


@asynccontextmanager
async def hearing(
    *ports: int, address: RedisAddress | None = None, start: bool = True, **options: Any
) -> AsyncIterator[tuple[Hearing, Publisher]]:
    """Running subscriptions, and a way to publish at these ports, the first of which is the default address."""
    publisher = Publisher([*ports], cluster=address is not None and address.kind == "cluster")
    here = Hearing(address or at(ports[0]), publisher, **options)
    if start:
        here.subscriptions.start()
    try:
        if start:
            await here.connected()
        yield here, publisher
    finally:
        await here.subscriptions.stop()
        await publisher.close()


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """One that is no Redis. Its port."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        handlers = [task for task in tasks if task is not None]
        for task in handlers:
            task.cancel()
        await asyncio.wait(handlers)
        await listening.wait_closed()


async def until(reached: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Looks again and again, for what no one of these can tell us."""
    async with asyncio.timeout(within_s):
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
