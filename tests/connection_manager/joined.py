"""Nodes that are joined without a Redis: what of it they ask for follows, in Python, with any delay and any loss."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, cast

from tests.connection_manager.loops import LoopClock
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.brokers.redis.commands import Call
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.subscriptions import Subscriber
from vuemantics_ws.brokers.redis.users import RedisUsers
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.access import anyone
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits

CHANGE = b"changed "


class Follows:
    """What ``user.lua`` does to one hash, in the simplest words."""

    def __init__(self) -> None:
        self.born = b""
        self.revision = 0
        self.holders: dict[bytes, list[bytes]] = {}
        self.expires_at = 0.0

    def run(self, arguments: Sequence[Any], now: float) -> tuple[list[Any], bool]:
        """The answer, and whether the others must know."""
        words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
        _, _, node, random_id, ttl_ms, follows_max, connected, known, count, *rest = words
        present, pairs = {*rest[: int(count)], node}, rest[int(count) :]
        if now >= self.expires_at:
            self.born, self.revision, self.holders = b"", 0, {}
        is_older = self.revision < int(known) and self.born != b""
        if is_older:
            self.born = random_id
        before, followed = {upload: list(ids) for upload, ids in self.holders.items()}, set(self.holders)
        given_up = set()
        for verb, upload in zip(pairs[::2], pairs[1::2], strict=True):
            if verb == b".":
                given_up.add(upload)
            elif verb == b"+":
                if len(self.holders) < int(follows_max):
                    self.holders.setdefault(upload, [])
            elif upload in self.holders and (verb == b"x" or not present & {*self.holders[upload]} - {node}):
                del self.holders[upload]
        for upload, ids in self.holders.items():
            if connected == b"1" and upload not in given_up:
                if node not in ids:
                    ids.append(node)
            elif node in ids:
                ids.remove(node)
        if not self.born and self.holders:
            self.born = random_id
        if connected == b"1" or b"+" in pairs[::2] or before != self.holders or is_older:
            self.expires_at = now + int(ttl_ms) / 1000
        is_news = followed != set(self.holders) or is_older
        revision = max(self.revision, int(known)) + is_news
        if is_news:
            self.revision = revision
        return [self.born, revision, *self.holders], is_news


class Middle:
    """Stands between the nodes, where Redis would. ``delays`` has how long each thing takes that is under way."""

    def __init__(self, delays: Iterator[float]) -> None:
        self.delays = delays
        self.hashes: dict[bytes, Follows] = {}
        self.nodes: list[Node] = []
        self.present: set[str] = set()
        self.is_away = False

    def tell(self, channel: bytes, payload: bytes) -> int:
        hearers = [node for node in self.nodes if channel in node.heard and not node.is_deaf]
        for node in hearers:
            asyncio.get_running_loop().call_later(next(self.delays), node.hear, channel, payload)
        return len(hearers)

    def live(self) -> dict[str, list[str]]:
        """What is kept now: the uploads of each hash."""
        now = asyncio.get_running_loop().time()
        kept = {key.decode(): follows for key, follows in self.hashes.items() if now < follows.expires_at}
        return {key: sorted(upload.decode() for upload in follows.holders) for key, follows in kept.items()}

    def lose_all(self) -> None:
        self.hashes.clear()


class Node:
    """One manager, with the three things that it has of Redis: this one is all of them."""

    sharded = False

    def __init__(self, middle: Middle, node_id: str, limits: Limits) -> None:
        self.middle = middle
        self.node_id = node_id
        self.heard: set[bytes] = set()
        self.wanted: dict[bytes, Subscriber] = {}
        self.is_deaf = False
        self.users = RedisUsers(
            cast("Any", self),
            cast("Any", self),
            Keys(""),
            node_id=node_id,
            present=lambda: sorted(middle.present),
            limits=limits,
            dice=cast("Any", _Numbers()),
        )
        broker = JoinedBroker(self.users, limits)
        self.manager = ConnectionManager(broker=broker, access=anyone, limits=limits, clock=LoopClock())
        middle.nodes.append(self)
        middle.present.add(node_id)

    # Commands.

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        await asyncio.sleep(next(self.middle.delays))
        answers = [await self._run(call) for call in calls]
        await asyncio.sleep(next(self.middle.delays))
        return answers

    async def _run(self, call: Call) -> Any:
        if self.middle.is_away:
            return BrokerAway("redis does not answer")
        follows = self.middle.hashes.setdefault(call.keys[0], Follows())
        answer, is_news = follows.run(call.arguments, asyncio.get_running_loop().time())
        if is_news:
            self.middle.tell(cast("bytes", call.arguments[0]), CHANGE + self.node_id.encode())
        return answer if next(self.middle.delays) < 0.04 else BrokerAway("what was asked is done, and nobody knows")

    async def publish(self, channel: bytes, payload: bytes) -> int:
        if self.middle.is_away:
            raise BrokerAway("redis does not answer")
        return self.middle.tell(channel, payload)

    # Subscriptions.

    def subscribe(self, channel: bytes, subscriber: Subscriber) -> None:
        assert channel not in self.wanted
        self.wanted[channel] = subscriber
        asyncio.get_running_loop().call_later(next(self.middle.delays), self._begin, channel, subscriber)

    def unsubscribe(self, channel: bytes) -> None:
        del self.wanted[channel]
        self.heard.discard(channel)

    def hear(self, channel: bytes, payload: bytes) -> None:
        if channel in self.heard and not self.is_deaf:
            self.wanted[channel].on_message(payload)

    def deafen(self) -> None:
        self.is_deaf = True

    def undeafen(self) -> None:
        self.is_deaf = False
        for channel, subscriber in list(self.wanted.items()):
            self._begin(channel, subscriber)

    def _begin(self, channel: bytes, subscriber: Subscriber) -> None:
        if self.wanted.get(channel) is subscriber and not self.is_deaf:
            self.heard.add(channel)
            subscriber.on_subscribed()


class JoinedBroker(MemoryBroker):
    def __init__(self, users: RedisUsers, limits: Limits) -> None:
        super().__init__(clock=LoopClock(), limits=limits)
        self._users = users

    @property
    def users(self) -> RedisUsers:  # type: ignore[override]
        return self._users

    async def stop(self) -> None:
        await self._users.stop()
        await super().stop()


class _Numbers:
    """No two ids alike, and the same ones each time."""

    def __init__(self) -> None:
        self._number = 0

    def getrandbits(self, bits: int) -> int:
        _Numbers.last += 1
        return _Numbers.last

    last = 0


class Tab:
    """An open connection that remembers what it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.direct: list[bytes] = []
        self.states: dict[str, list[Frame]] = {}

    def __repr__(self) -> str:
        return self.name

    def put_state(self, upload_id: str, frame: Frame) -> None:
        self.states.setdefault(upload_id, []).append(frame)

    def put_direct(self, frame: Frame) -> None:
        self.direct.append(frame.payload)

    def discard(self, upload_id: str) -> None: ...

    def holds(self, upload_id: str) -> bool:
        return False
