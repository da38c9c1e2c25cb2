"""The broker around Redis, as one process has it."""

import asyncio
import logging
import random
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from vuemantics_ws.ambient import Clock, SystemClock, system_random
from vuemantics_ws.brokers.base import Adopted, Deliver, Found, Health, Receipt
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.adopter import Adopter
from vuemantics_ws.brokers.redis.commands import COMMAND_TIMEOUT_S, Call, Commands, Script
from vuemantics_ws.brokers.redis.faults import cure_of
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.nodes import RedisNodes
from vuemantics_ws.brokers.redis.readiness import Readiness
from vuemantics_ws.brokers.redis.subscriptions import Subscriptions
from vuemantics_ws.brokers.redis.upkeep import Upkeep
from vuemantics_ws.brokers.redis.users import RedisUsers
from vuemantics_ws.brokers.redis.watch import Watch
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import BadSetting, BrokerAway
from vuemantics_ws.limits import Limits

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 2.0

TOLD_A_TURN = 1_024
"""Of so many uploads the newest state is passed on in one turn of the loop: more than a read brings, and some milliseconds."""

TRACE_S = 15
"""How long the trace of a canary lasts. Where it is gone before, Redis has lost its data."""

CANARY = Script("canary")


class RedisBroker:
    """One of any number of processes that are one system around Redis (docs/redis.md).

    While Redis is away nothing is delivered, ``watch`` finds nothing, and whatever asks raises
    :class:`vuemantics_ws.errors.BrokerAway`; ``start`` does not wait for it. When it is back, what moved meanwhile is
    delivered, and a Redis that came back empty is given what this process knows.

    Must be made in the process that uses it, after any fork: its id tells it from all others.

    A publisher that gives one version to two events which differ, one before Redis lost its data and one after, may be shown
    as saying the one here and the other on another node: until its next event, or after two such ends until the next attempt.

    Args:
        address: where Redis is; as a URL, :class:`RedisAddress` says which.
        prefix: begins the name of every key and channel, so that several systems can share a Redis.
        adopt: hear what the application's own publisher says on ``<plain_prefix>upload:<id>`` and give it versions. Some node
            must; any number may.

    Raises:
        BadSetting: the URL is none, or what this system says would be taken for what a plain publisher says.
    """

    def __init__(
        self,
        address: RedisAddress | str,
        *,
        prefix: str = "vuemantics-ws:",
        plain_prefix: str = "",
        adopt: bool = True,
        clock: Clock | None = None,
        limits: Limits | None = None,
        dice: random.Random | None = None,
    ) -> None:
        if adopt and prefix.startswith(f"{plain_prefix}upload:"):
            raise BadSetting(f"expected a prefix that no plain publisher uses, got {prefix!r}", setting="redis_prefix")
        self.address = RedisAddress.read(address) if isinstance(address, str) else address
        self.clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.dice = dice or system_random()
        self.node_id = f"{self.dice.getrandbits(32):08x}"
        self.keys = Keys(prefix, database=self.address.database)
        self.commands = Commands(self.address)
        self.subscriptions = Subscriptions(
            self.address,
            canary_channel=lambda number: self.keys.canary_channel(self.node_id, number),
            send_canary=self._send_canary,
            read_ended=self._read_ended,
            changed=self._changed,
            dice=self.dice,
        )
        self.nodes = RedisNodes(self.commands, self.subscriptions, self.keys, node_id=self.node_id, clock=self.clock)
        self.users = RedisUsers(
            self.commands,
            self.subscriptions,
            self.keys,
            node_id=self.node_id,
            present=self.nodes.present,
            limits=self.limits,
            dice=self.dice,
        )
        self.said: Callable[[str, bytes], None] = self.users.take_of_upload
        """Called with the id of a watched upload and what was said to its followers that is no state of it."""
        self._heads = Heads(self.commands, self.keys, head_ttl_s=self.limits.head_ttl_s, dice=self.dice)
        self.adopter = None
        if adopt:
            self.adopter = Adopter(
                self.address,
                self.commands,
                self._heads,
                self.keys,
                plain_prefix=plain_prefix,
                node_id=self.node_id,
                event_bytes_max=self.limits.event_bytes_max,
                clock=self.clock,
                dice=self.dice,
                changed=self.nodes.changed,
            )
        self._upkeep = Upkeep(
            self._heads, clock=self.clock, dice=self.dice, head_ttl_s=self.limits.head_ttl_s, read=self._was_read
        )
        self._readiness = Readiness(self.clock, self.address.place, gaps=lambda: self.health.gaps)
        self._deliver: Deliver | None = None
        self._is_away = False  # before the first try nobody knows, and who watches then waits for it
        self._watches: dict[str, Watch] = {}
        self._heard: deque[Watch] = deque()
        self._is_telling = False
        self._waiting: dict[Watch, float] = {}  # those that owe an answer, with the loop's time until which they may
        self._patience: asyncio.TimerHandle | None = None
        self._traces: dict[bytes, float] = {}  # when each canary left its trace
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.subscriptions.start()
        self.nodes.start()
        if self.adopter is not None:
            self.adopter.start()
        self._tasks = [
            asyncio.create_task(self._upkeep.work()),
            asyncio.create_task(self._upkeep.renew(lambda: list(self._watches.values()))),
        ]

    async def stop(self) -> None:
        self._deliver = None
        await self.users.stop()
        for upload_id in list(self._watches):
            self.unwatch(upload_id)
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        stopping = [self.nodes.stop(), self.subscriptions.stop(), *([self.adopter.stop()] if self.adopter is not None else [])]
        ending = [*tasks, *map(asyncio.ensure_future, stopping)]
        await asyncio.wait(ending, timeout=STOP_TIMEOUT_S / 2)
        await asyncio.wait([asyncio.ensure_future(self.commands.close())], timeout=STOP_TIMEOUT_S / 2)

    async def publish(self, event: Event) -> Receipt:
        if self._deliver is None:
            raise BrokerAway("the broker has not been started, or was stopped")
        try:
            receipt = await self._heads.publish(event)
        except BrokerAway as error:
            self._readiness.note(b"publish", error.message)
            raise
        self._readiness.note(b"publish", None)
        return receipt

    def watch(self, upload_id: str, found: Found) -> None:
        assert upload_id not in self._watches
        watch = Watch(upload_id, found, heard=self._heard.append, subscribed=self._upkeep.ask, said=self._say)
        self._watches[upload_id] = watch
        self.subscriptions.subscribe(self.keys.state_channel(upload_id), watch)
        if self._is_away or self._deliver is None:
            self._answer(watch)
            return
        loop = asyncio.get_running_loop()
        self._waiting[watch] = loop.time() + COMMAND_TIMEOUT_S
        if self._patience is None:
            self._patience = loop.call_at(self._waiting[watch], self._lose_patience)

    def unwatch(self, upload_id: str) -> None:
        watch = self._watches.pop(upload_id)
        watch.ended = True
        self._waiting.pop(watch, None)
        self.subscriptions.unsubscribe(self.keys.state_channel(upload_id))

    async def head(self, upload_id: str) -> Head | None:
        [stored] = await self._heads.read([upload_id], self.clock.monotonic())
        if isinstance(stored, Exception):
            raise stored
        return stored.head if stored is not None else None

    @property
    def name(self) -> str:
        return "redis-cluster" if self.commands.sharded else "redis"

    @property
    def health(self) -> Health:
        condition, reason = self.subscriptions.condition, self._readiness.reason
        return Health(
            ready=reason is None,
            since=self._readiness.since,
            reason=reason,
            lag_s=condition.lag_s,
            gaps=condition.gaps,
            adopts=self.adopter is not None and self.adopter.condition.connected,
            hint=cure_of(reason) if reason is not None else None,
        )

    @property
    def adopted(self) -> Mapping[str, int]:
        return self.adopter.counts if self.adopter is not None else {}

    def tell_adopted(self, told: Adopted) -> None:
        if self.adopter is not None:
            self.adopter.told = told

    @property
    def watches(self) -> int:
        return len(self._watches)

    @property
    def heads(self) -> int | None:
        return None

    def unwatched(self) -> Iterator[tuple[str, Head]]:
        return iter(())

    def keeps(self, upload_id: str) -> bool:
        return False

    # What Redis tells.

    def _read_ended(self) -> None:
        if self._heard and not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_soon(self._tell_heard)

    def _tell_heard(self) -> None:
        """In the turn after the one that read it, and some of it in the next where it is much.

        So reading comes first: where more is told than can be passed on, newer states take the place of older ones here, and
        Redis, which cuts off who does not read, holds nothing back for us.
        """
        self._is_telling = False
        now = self.clock.monotonic()
        for _ in range(min(len(self._heard), TOLD_A_TURN)):
            watch = self._heard.popleft()
            if watch.ended:
                continue
            known = watch.stored
            try:
                if watch.read(now):
                    self._upkeep.ask(watch)
                self._tell(watch, known)
            except Exception as error:  # noqa: BLE001 - one upload must not silence the others that were heard with it
                _log_fault(error)
        self._read_ended()

    def _was_read(self, watch: Watch, answer: Stored | Exception | None) -> None:
        known = watch.stored
        try:
            if isinstance(answer, Stored):
                watch.take(answer)
            if watch.found is not None:
                self._answer(watch)
            else:
                self._tell(watch, known)
        except Exception as error:  # noqa: BLE001 - nor those that were read with it
            _log_fault(error)

    def _answer(self, watch: Watch) -> None:
        self._waiting.pop(watch, None)
        found, watch.found = watch.found, None
        assert found is not None
        try:
            found(watch.stored.head if watch.stored is not None else None)
        except Exception as error:  # noqa: BLE001 - nor those that wait besides
            _log_fault(error)

    def _tell(self, watch: Watch, known: Stored | None) -> None:
        """Deliver what is news, unless it is still to be found."""
        stored = watch.stored
        if self._deliver is None or stored is None or watch.found is not None:
            return
        if known is None or stored.head is not known.head:
            self._deliver(watch.upload_id, stored.head)

    def _say(self, upload_id: str, message: bytes) -> None:
        self.said(upload_id, message)

    # Whether Redis is there.

    def _changed(self) -> None:
        condition = self.subscriptions.condition
        self._is_away = not condition.connected
        if condition.connected:
            self._readiness.clear()  # of what is still amiss the next canary tells
            return
        self._readiness.note(b"", condition.reason)
        for watch in list(self._waiting):
            self._answer(watch)

    def _lose_patience(self) -> None:
        loop = asyncio.get_running_loop()
        self._patience = None
        while self._waiting:
            watch, until = next(iter(self._waiting.items()))
            if until > loop.time():
                self._patience = loop.call_at(until, self._lose_patience)
                return
            self._answer(watch)

    async def _send_canary(self, channel: bytes, payload: bytes) -> None:
        """A write besides, so that a Redis that takes none shows: it is heard even then, and its connection kept."""
        publish = "SPUBLISH" if self.commands.sharded else "PUBLISH"
        sent_at = self.clock.monotonic()
        try:
            kept = await self.commands.run(Call(CANARY, [channel], [publish, payload, TRACE_S]))
        except BrokerAway as error:
            self._readiness.note(channel, error.message)
            raise
        self._readiness.note(channel, None)
        self._readiness.note(b"publish", None)
        last_at, self._traces[channel] = self._traces.get(channel), sent_at
        if not kept and last_at is not None and sent_at - last_at < TRACE_S:
            logger.warning("%s has lost its data, and is given what is known here", self.address.place)
            for watch in self._watches.values():
                self._upkeep.ask(watch)
            self.users.look_at_all()


def _log_fault(error: Exception) -> None:
    """Where it happened, and not the error's message, which may quote what came."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("the state of an upload was not delivered: a fault of ours: %s\n%s", type(error).__name__, where)
