"""All that a Redis Cluster tells us: one feed for each master, and each channel on the feed of the master that has its slot.

Slots move, masters fail over, nodes come and go. Whatever says so (a refusal, a channel taken from us, a lost connection)
makes us ask the cluster for its slots again, until every channel has its place and every feed is whole.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.feed import Feed, State, pause_s
from vuemantics_ws.brokers.redis.link import Link
from vuemantics_ws.brokers.redis.slots import SLOTS, slot
from vuemantics_ws.brokers.redis.wanted import PATTERN, Kind, Wanted
from vuemantics_ws.errors import BrokerAway

logger = logging.getLogger(__name__)

MakeFeed = Callable[[Endpoint, Callable[[], bytes], Callable[[], None], Callable[[list[Wanted]], None]], Feed]
"""``make_feed(endpoint, choose_canary, turned, moved)``."""

CANARY_NUMBERS = 1_000_000
"""So many names are tried for a canary that lies in a slot of the right master."""


class Sharded:
    """The feeds of a Redis Cluster."""

    def __init__(
        self,
        address: RedisAddress,
        *,
        canary_channel: Callable[[int], bytes],
        make_feed: MakeFeed,
        turned: Callable[[], None],
        dice: random.Random,
    ) -> None:
        self._address = address
        self._canary_channel = canary_channel
        self._make_feed = make_feed
        self._turned = turned
        self._dice = dice
        self._owners: list[Endpoint | None] = [None] * SLOTS
        self._feeds: dict[Endpoint, Feed] = {}
        self._homes: dict[Wanted, Feed] = {}
        self._homeless: dict[Wanted, None] = {}  # no server is known that would tell us
        self._wanted: dict[tuple[Kind, bytes], Wanted] = {}
        self._ending: dict[asyncio.Task[None], None] = {}
        self._asking = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reason: str | None = "not connected yet"
        self._gaps = 0

    @property
    def state(self) -> State:
        """Whole while all feeds are; its lag is the worst."""
        states = [feed.state for feed in self._feeds.values()]
        broken = [state.reason for state in states if not state.whole]
        lags = [state.lag_s for state in states if state.lag_s is not None]
        homeless = "the redis cluster has no master for a slot, or is moving it" if self._homeless else None
        reason = self._reason or next(iter(broken), None) or homeless
        gaps = self._gaps + sum(state.gaps for state in states)
        return State(reason is None, reason, max(lags, default=None), gaps)

    def start(self) -> None:
        self._asking.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> list["asyncio.Task[None]"]:
        """Tell nobody anything from now on. Returns what is still to end."""
        self._turned = _nothing
        self._wanted.clear()
        self._homes.clear()
        self._homeless.clear()
        for endpoint in list(self._feeds):
            self._close(endpoint)
        if self._task is not None:
            self._task.cancel()
            self._ending[self._task] = None
        return list(self._ending)

    def want(self, wanted: Wanted) -> None:
        key = (wanted.kind, wanted.name)
        former = self._wanted.get(key)
        if former is not None:  # its feed takes the new one in its place
            self._homes.pop(former, None)
            self._homeless.pop(former, None)
        self._wanted[key] = wanted
        self._settle(wanted, self._home(wanted))

    def forget(self, kind: Kind, name: bytes) -> None:
        wanted = self._wanted.pop((kind, name), None)
        if wanted is not None:
            self._homeless.pop(wanted, None)
            home = self._homes.pop(wanted, None)
            if home is not None:
                home.forget(kind, name)

    def _home(self, wanted: Wanted) -> Feed | None:
        """Where it should be heard. A pattern is heard anywhere, since the cluster tells all its nodes what is published."""
        if wanted.kind is PATTERN:
            present = self._homes.get(wanted)
            return present if present in self._feeds.values() else next(iter(self._feeds.values()), None)
        owner = self._owners[slot(wanted.name)]
        return None if owner is None else self._feeds.get(owner)

    def _settle(self, wanted: Wanted, home: Feed | None) -> None:
        if home is None:
            self._homes.pop(wanted, None)
            self._homeless[wanted] = None
            self._asking.set()
        else:
            self._homeless.pop(wanted, None)
            self._homes[wanted] = home
            home.want(wanted)

    async def _run(self) -> None:
        tries = 0
        while True:
            await self._asking.wait()
            self._asking.clear()
            try:
                self._place(await self._ask())
                self._reason = None
            except BrokerAway as error:
                self._reason = error.message
            except Exception:
                logger.exception("reading the slots of the redis cluster failed")
                self._reason = "reading the slots of the redis cluster failed; the log says how"
            self._turned()
            if not self.state.whole:
                self._asking.set()
            tries = tries + 1 if self._asking.is_set() else 0
            await asyncio.sleep(pause_s(self._dice, tries))

    async def _ask(self) -> list[Endpoint | None]:
        """Who has which slot, of the first node that says so. Those that we hear come first; which of them is chance."""
        known = sorted(self._feeds, key=lambda endpoint: (not self._feeds[endpoint].state.whole, self._dice.random()))
        reasons: list[str] = []
        for endpoint in dict.fromkeys([*known, *self._address.endpoints]):
            try:
                answer = await _ask_for_slots(self._address, endpoint)
            except BrokerAway as error:
                reasons.append(error.message)
            else:
                return _owners(answer, endpoint.host)
        raise BrokerAway(reasons[0])

    def _place(self, owners: list[Endpoint | None]) -> None:
        """Give every master a feed, and every channel its place."""
        self._owners = owners
        masters = dict.fromkeys(owner for owner in owners if owner is not None)
        for endpoint in masters:
            if endpoint not in self._feeds:
                feed = self._make_feed(endpoint, self._chooser(endpoint), self._feed_turned, self._moved)
                self._feeds[endpoint] = feed
                feed.start()
        for endpoint in [endpoint for endpoint in self._feeds if endpoint not in masters]:
            self._close(endpoint)
        moved = False
        for wanted in list(self._wanted.values()):
            present, home = self._homes.get(wanted), self._home(wanted)
            if home is None or home is not present:
                if present is not None:
                    present.forget(wanted.kind, wanted.name)
                    moved = True
                self._settle(wanted, home)
        self._gaps += moved

    def _close(self, endpoint: Endpoint) -> None:
        feed = self._feeds.pop(endpoint)
        self._gaps += feed.state.gaps + feed.state.whole
        for task in feed.stop():
            self._ending[task] = None
            task.add_done_callback(self._ending.pop)

    def _chooser(self, endpoint: Endpoint) -> Callable[[], bytes]:
        """Finds a canary in a slot that this master has now."""

        def choose() -> bytes:
            names = (self._canary_channel(number) for number in range(CANARY_NUMBERS))
            found = next((name for name in names if self._owners[slot(name)] == endpoint), None)
            if found is None:
                raise BrokerAway(f"redis at {endpoint.host}:{endpoint.port} has no slot")
            return found

        return choose

    def _feed_turned(self) -> None:
        if not self.state.whole:
            self._asking.set()
        self._turned()

    def _moved(self, several: list[Wanted]) -> None:
        """A server will not tell us of these any more, or not yet."""
        for wanted in several:
            self._settle(wanted, None)
        self._gaps += 1
        self._turned()


async def _ask_for_slots(address: RedisAddress, endpoint: Endpoint) -> list[list[Any]]:
    link = await Link.open(address, endpoint)
    try:
        answer: list[list[Any]] = await link.ask(b"CLUSTER", b"SLOTS")
    finally:
        link.drop("done")
    return answer


def _owners(answer: list[list[Any]], asked_host: str) -> list[Endpoint | None]:
    """From CLUSTER SLOTS: ranges with their master first. A node that does not know its own address gives none."""
    owners: list[Endpoint | None] = [None] * SLOTS
    for first, last, master, *_ in answer:
        endpoint = Endpoint(master[0].decode() if master[0] else asked_host, int(master[1]))
        owners[first : last + 1] = [endpoint] * (last + 1 - first)
    return owners


def _nothing() -> None:
    pass
