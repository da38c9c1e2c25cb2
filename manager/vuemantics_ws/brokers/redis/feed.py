"""All that one server tells us: a connection that is opened again whenever it is lost, and what is wanted of it.

A connection is *proven* once its canary was heard, and only then asked for what is wanted: a server that takes no writes, or is
another one than the one we speak to, is not worth the asking. It is *whole* once all of that is confirmed.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import hiredis

from vuemantics_ws.brokers.redis.asked import Asked, Command
from vuemantics_ws.brokers.redis.canary import Canary
from vuemantics_ws.brokers.redis.link import Link, refusal
from vuemantics_ws.brokers.redis.wanted import CHANNEL, PATTERN, Kind, Wanted
from vuemantics_ws.errors import BrokerAway

logger = logging.getLogger(__name__)

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 1.0

MOVED = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN")
"""First words of errors which say that another server of a Redis Cluster should be asked, now or soon."""


class State(NamedTuple):
    """How connections are, as ``Condition`` of subscriptions has it."""

    whole: bool
    reason: str | None
    lag_s: float | None
    gaps: int


def pause_s(dice: random.Random, tries: int) -> float:
    """How long to wait before another try, after so many that failed: short, for people wait, and never the same twice."""
    return dice.uniform(BACKOFF_MIN_S, min(BACKOFF_MAX_S, 2 * BACKOFF_MIN_S * 2.0 ** min(tries, 10)))


class Feed:
    """One server's.

    Args:
        connect: opens a connection to it.
        kind: of channels: sharded or not.
        canary: tells whether what is published arrives.
        read_ended: called once everything that one read brought has been told.
        turned: called when ``state`` may be another.
        moved: told of what Redis will not tell here, because its slot is another server's; only where channels are sharded.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        *,
        kind: Kind = CHANNEL,
        canary: Canary,
        read_ended: Callable[[], None],
        turned: Callable[[], None],
        moved: Callable[[list[Wanted]], None],
        dice: random.Random,
    ) -> None:
        self._connect = connect
        self._kind = kind
        self._canary = canary
        self._read_ended = read_ended
        self._turned = turned
        self._moved = moved
        self._dice = dice
        self._channels: dict[bytes, Wanted] = {}
        self._patterns: dict[bytes, Wanted] = {}
        self._touched: dict[tuple[Kind, bytes], None] = {}  # since the last turn of the loop, in order
        self._link: Link | None = None
        self._on_link: dict[tuple[Kind, bytes], Wanted] = {}  # what this connection was asked for last
        self._asked = Asked()
        self._last_to_confirm: Command | None = None  # before it is whole
        self._proven = False
        self._raised: set[type[BaseException]] = set()
        self._task: asyncio.Task[None] | None = None
        self._state = State(False, "not connected yet", None, 0)

    @property
    def state(self) -> State:
        return self._state._replace(lag_s=self._canary.lag_s)

    def start(self) -> None:
        """Begin to connect, again and again."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> list["asyncio.Task[None]"]:
        """Tell nobody anything from now on. Returns what is still to end."""
        self._channels.clear()
        self._patterns.clear()
        self._read_ended = _nothing
        self._turned = _nothing
        if self._task is not None:
            self._task.cancel()
        return [] if self._task is None else [self._task]

    def want(self, wanted: Wanted) -> None:
        self._table(wanted.kind)[wanted.name] = wanted
        self._touch(wanted.kind, wanted.name)

    def forget(self, kind: Kind, name: bytes) -> None:
        if self._table(kind).pop(name, None) is not None:
            self._touch(kind, name)

    def _table(self, kind: Kind) -> dict[bytes, Wanted]:
        return self._patterns if kind is PATTERN else self._channels

    def _touch(self, kind: Kind, name: bytes) -> None:
        if not self._proven:
            return  # all that is wanted then is asked for
        if not self._touched:
            asyncio.get_running_loop().call_soon(self._flush)
        self._touched[kind, name] = None

    def _flush(self) -> None:
        """Ask the server for what changed in this turn of the loop."""
        touched, self._touched = self._touched, {}
        link = self._link
        if link is None or not self._proven:
            return
        new: dict[Kind, list[Wanted]] = {}
        old: dict[Kind, list[bytes]] = {}
        for key in touched:
            kind, name = key
            wanted = self._table(kind).get(name)
            if wanted is None:
                if self._on_link.pop(key, None) is not None:
                    old.setdefault(kind, []).append(name)
            elif self._on_link.get(key) is not wanted:  # heard for somebody else already, it is confirmed once more
                self._on_link[key] = wanted
                new.setdefault(kind, []).append(wanted)
        now = asyncio.get_running_loop().time()
        for kind, names in old.items():
            link.send(self._asked.unsubscribe(kind, names, now))
        for kind, several in new.items():
            link.send(self._asked.subscribe(kind, several, now))

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                link = await self._connect()
                tries += 1
                try:
                    reason = await self._listen(link)
                finally:
                    link.drop("given up")
                    if self._proven:
                        tries = 0
            except BrokerAway as error:
                reason = error.message
                tries += 1
            except Exception:
                logger.exception("listening to redis failed")
                reason = "listening to redis failed; the log says how"
                tries += 1
            self._lose(reason)
            await asyncio.sleep(pause_s(self._dice, tries))

    async def _listen(self, link: Link) -> str:
        """Until the connection is lost: says why."""
        canary = Wanted(self._kind, self._canary.choose(), self._canary)
        self._channels[canary.name] = canary
        try:
            self._link = link
            link.listen(self._receive, self._read)
            link.send(self._asked.subscribe(self._kind, [canary], asyncio.get_running_loop().time()))
            return await self._canary.watch(link, self._prove, lambda: self._asked.oldest_at)
        finally:
            if self._channels.get(canary.name) is canary:
                del self._channels[canary.name]

    def _prove(self) -> None:
        """The canary was heard for the first time: ask for all that is wanted."""
        assert self._link is not None
        self._proven = True
        canary = self._canary.name
        for kind, table in ((self._kind, self._channels), (PATTERN, self._patterns)):
            wanted = [each for each in table.values() if each.name != canary]
            self._on_link.update(((kind, each.name), each) for each in wanted)
            self._link.send(self._asked.subscribe(kind, wanted, asyncio.get_running_loop().time()))
        self._last_to_confirm = self._asked.newest
        if self._last_to_confirm is None:
            self._turn(State(True, None, None, self._state.gaps))

    def _lose(self, reason: str) -> None:
        """The connection is no more, or there never was one."""
        gaps = self._state.gaps + self._state.whole
        self._link = None
        self._proven = False
        self._last_to_confirm = None
        self._asked = Asked()
        self._on_link.clear()
        self._touched.clear()
        self._turn(State(False, reason, None, gaps))

    def _turn(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._turned()

    def _read(self) -> None:
        self._read_ended()

    def _receive(self, reply: Any) -> None:
        """One reply. What is published comes first: all others are few."""
        if reply.__class__ is list:
            kind = reply[0]
            if kind == b"message" or kind == b"smessage":
                wanted = self._channels.get(reply[1])
                if wanted is not None:
                    try:
                        wanted.on_message(reply[2])
                    except Exception as error:  # noqa: BLE001 - whoever it is hurts nobody else
                        self._complain(error)
                return
            if kind == b"pmessage":
                wanted = self._patterns.get(reply[1])
                if wanted is not None:
                    try:
                        wanted.on_message(reply[2], reply[3])
                    except Exception as error:  # noqa: BLE001 - as above
                        self._complain(error)
                return
        link = self._link
        if link is None or link.lost.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            self._refused(link, reply)
        elif isinstance(reply, list) and len(reply) == 3:
            self._confirmed(link, reply[0], reply[1])
        else:
            link.drop(f"{link.name} answered what nobody asked")

    def _confirmed(self, link: Link, confirmation: bytes, name: bytes) -> None:
        if not self._asked.expects(confirmation, name):
            if confirmation == b"sunsubscribe":
                self._gone(link, name)
            else:
                link.drop(f"{link.name} answered what nobody asked")
            return
        wanted, command = self._asked.confirm()
        if wanted is not None and self._table(wanted.kind).get(wanted.name) is wanted:
            try:
                wanted.on_subscribed()
            except Exception as error:  # noqa: BLE001 - as above
                self._complain(error)
        if command is not None and command is self._last_to_confirm:
            self._last_to_confirm = None
            self._turn(State(True, None, None, self._state.gaps))

    def _refused(self, link: Link, error: hiredis.ReplyError) -> None:
        first, _, rest = str(error).partition(" ")
        if first not in MOVED:
            link.drop(f"{link.name} {refusal(error)}")
            return
        command = self._asked.refused(int(rest.split(" ")[0]) if first == "MOVED" else None)
        if command is not None and command.wanted is not None:
            self._send_away(link, list(command.wanted))
            if command is self._last_to_confirm:
                self._last_to_confirm = None
                self._turn(State(True, None, None, self._state.gaps))

    def _gone(self, link: Link, name: bytes) -> None:
        """A slot was given to another server while we heard a channel of it."""
        wanted = self._channels.get(name)
        if wanted is not None:
            self._send_away(link, [wanted])

    def _send_away(self, link: Link, several: list[Wanted]) -> None:
        if any(each.name == self._canary.name for each in several):
            link.drop(f"{link.name} gave the slot of our canary away")
            return
        still_wanted = [each for each in several if self._channels.get(each.name) is each]
        for each in still_wanted:
            self._on_link.pop((each.kind, each.name), None)
            del self._channels[each.name]
        self._moved(still_wanted)

    def _complain(self, error: BaseException) -> None:
        if type(error) not in self._raised:
            self._raised.add(type(error))
            logger.error("a subscriber raised %s", type(error).__name__)


def _nothing() -> None:
    pass
