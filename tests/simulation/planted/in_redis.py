"""Bugs of the broker around Redis."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from tests.simulation.planted.planting import Bug, Soil
from vuemantics_ws.brokers.base import Found
from vuemantics_ws.brokers.redis.adopter import Adopter
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.brokers.redis.heads import Stored
from vuemantics_ws.brokers.redis.nodes import RedisNodes
from vuemantics_ws.brokers.redis.upkeep import Upkeep
from vuemantics_ws.brokers.redis.watch import Watch
from vuemantics_ws.core.delivery import Delivery
from vuemantics_ws.core.upload import Event, Head


def head_before_watch(soil: Soil) -> None:
    right = RedisBroker.watch

    def watch(self: RedisBroker, upload_id: str, found: Found) -> None:
        right(self, upload_id, found)
        self._upkeep.ask(self._watches[upload_id])

    def on_subscribed(self: Watch) -> None:
        if self.found is None:
            self._subscribed(self)

    soil.replace(RedisBroker, "watch", watch)
    soil.replace(Watch, "on_subscribed", on_subscribed)


def snapshot_and_delivery(soil: Soil) -> None:
    def _tell(self: RedisBroker, watch: Watch, known: Stored | None) -> None:
        stored = watch.stored
        if self._deliver is not None and stored is not None and (known is None or stored.head is not known.head):
            self._deliver(watch.upload_id, stored.head)

    def deliver(self: Delivery, upload_id: str, head: Head) -> None:
        upload = self.registry.uploads.get(upload_id)
        if upload is None or (upload.head is not None and head.version <= upload.head.version):
            return
        upload.head, upload.finished = head, head.terminal
        for connection in self.receivers(upload_id):
            connection.put_state(upload_id, head.frame)

    soil.replace(RedisBroker, "_tell", _tell)
    soil.replace(Delivery, "deliver", deliver)


def gap_not_repaired(soil: Soil) -> None:
    def on_subscribed(self: Watch) -> None:
        if self.found is not None:
            self._subscribed(self)

    soil.replace(Watch, "on_subscribed", on_subscribed)


def lost_not_given_back(soil: Soil) -> None:
    async def _ask_known(self: Upkeep, watches: list[Watch]) -> Sequence[Stored | Exception | None]:
        return await self._ask_unknown(watches)

    soil.replace(Upkeep, "_ask_known", _ask_known)


def double_version(soil: Soil) -> None:
    right = Adopter._take

    def _take(self: Adopter) -> Iterator[tuple[Event, float]]:
        for event, since in right(self):
            named = hashlib.blake2b(self._mark_channel + event.published, digest_size=16)
            yield dataclasses.replace(event, digest=named.digest()), since

    soil.replace(Adopter, "_take", _take)


def presence_not_renewed(soil: Soil) -> None:
    right = RedisNodes._renew
    said: WeakKeyDictionary[RedisNodes, tuple[Any, Any]] = WeakKeyDictionary()

    async def _renew(self: RedisNodes, about: dict[str, Any]) -> None:
        news = about.get("state"), about.get("adopts")
        if said.get(self) != news:
            await right(self, about)
            said[self] = news

    soil.replace(RedisNodes, "_renew", _renew)


IN_REDIS = (
    Bug(
        "the head read before the watch",
        "The newest state is asked for beside the subscription, and not after it.",
        head_before_watch,
        "first-tab",
        "redis",
    ),
    Bug(
        "a delivery beside the snapshot",
        "What comes while the newest state is being read is passed on, and comes with the newest state once more.",
        snapshot_and_delivery,
        "first-tab",
        "redis",
    ),
    Bug("a gap not repaired", "When a channel is heard again, nobody asks what was missed.", gap_not_repaired, "redis-blinks"),
    Bug(
        "what was lost not given back",
        "What Redis has is read, and where it has nothing it is told nothing.",
        lost_not_given_back,
        "redis-emptied",
    ),
    Bug(
        "a second adopter's double version",
        "An adopter adds its name to what is remembered of a plain message.",
        double_version,
        "plain-publishers",
        "redis",
    ),
    Bug(
        "presence not renewed",
        "A node says that it is there when it has news of itself.",
        presence_not_renewed,
        "tabs-on-two-nodes",
        "redis",
    ),
)
