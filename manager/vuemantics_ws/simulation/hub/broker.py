"""The broker of one node around the simulated middle."""

import asyncio
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Adopted, Deliver, Found, Health, Receipt
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.hub.adopting import Adopting
from vuemantics_ws.simulation.hub.asking import TIMEOUT_S, Asking
from vuemantics_ws.simulation.hub.hearing import Hearing
from vuemantics_ws.simulation.hub.line import SMALL_BYTES
from vuemantics_ws.simulation.hub.middle import Middle, Peer
from vuemantics_ws.simulation.hub.nodes import SimulatedNodes
from vuemantics_ws.simulation.hub.store import Stored
from vuemantics_ws.simulation.hub.users import SimulatedUsers
from vuemantics_ws.simulation.hub.watch import Watch

AGAIN_AFTER_S = 0.1
AGAIN_AFTER_MAX_S = 1.0


class SimulatedBroker:
    """The simplest broker that keeps all promises of :class:`~vuemantics_ws.brokers.base.Broker`, and none besides.

    A watch is answered before the call returns, or later; several states that arrive at once are told as their newest; a
    verdict may come before its event or after it. Which of these happens, the dice say.

    Args:
        at_once: the share of watches that are answered before the call returns, where nothing is in the way.
    """

    def __init__(self, middle: Middle, peer: Peer, *, clock: Clock, limits: Limits, at_once: float) -> None:
        self.peer = peer
        self.node_id = peer.node_id
        self._middle = middle
        self._clock = clock
        self._at_once = at_once
        self._loop = middle.loop
        self._hearing = Hearing(middle, peer, self, peer.dice)
        self._asking = Asking(middle.loop, peer)
        self._adopting = Adopting(middle, peer, clock, limits) if peer.adopts else None
        self.nodes = SimulatedNodes(middle, peer, self._asking, clock)
        self.users = SimulatedUsers(middle, peer, self._hearing, self._asking, limits)
        self._deliver: Deliver | None = None
        self._is_stopped = False
        self._is_away = False  # before the first try nobody knows, and who watches then waits for it
        self._complaint: str | None = None
        self._is_ready = False
        self._since = clock.monotonic()
        self._watches: dict[str, Watch] = {}
        self._heard: dict[Watch, None] = {}
        self._owed: dict[Watch, None] = {}  # of these the middle may have something else than what is known here
        self._failed: dict[Watch, None] = {}
        self._again: asyncio.TimerHandle | None = None
        self._waiting: dict[Watch, float] = {}  # those that owe an answer, with the time until which they may
        self._patience: asyncio.TimerHandle | None = None
        peer.ear = self

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver
        context = contextvars.copy_context()
        for line in self.peer.lines:
            line.back.context = context
        self._hearing.start()
        self.nodes.start()

    async def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped, self._deliver = True, None
        self.users.stop()
        self.nodes.stop()
        if self._adopting is not None:
            self._adopting.stop()
        for upload_id in list(self._watches):
            self.unwatch(upload_id)
        self._hearing.stop()
        self.peer.hearing.out.send(SMALL_BYTES, self._middle.leave, self.peer)
        for line in self.peer.lines:
            line.back.close()
        self._asking.stop()
        for timer in (self._again, self._patience):
            if timer is not None:
                timer.cancel()
        self._again = self._patience = None

    async def publish(self, event: Event) -> Receipt:
        if self._deliver is None:
            raise BrokerAway("the broker has not been started, or was stopped")
        try:
            receipt: Receipt = await self._asking.ask(len(event.published), self._middle.publish, event)
        except BrokerAway as error:
            self._complain(error.message)
            raise
        self._complain(None)
        return receipt

    def watch(self, upload_id: str, found: Found) -> None:
        assert upload_id not in self._watches
        watch = self._watches[upload_id] = Watch(upload_id, found)
        if self._deliver is None:
            self._answer(watch)
        elif self._is_away:
            self._hearing.say(self._middle.subscribe, watch)
            self._answer(watch)
        elif self._knows_at_once():
            self._middle.watch(self.peer, upload_id)
            stored = self._middle.read(upload_id)
            if stored is not None:
                watch.take(stored)
            self._answer(watch)
        else:
            self._hearing.say(self._middle.subscribe, watch)
            self._waiting[watch] = self._loop.time() + TIMEOUT_S
            if self._patience is None:
                self._patience = self._loop.call_at(self._waiting[watch], self._lose_patience)

    def unwatch(self, upload_id: str) -> None:
        watch = self._watches.pop(upload_id)
        watch.ended = True
        self._waiting.pop(watch, None)
        self._heard.pop(watch, None)
        self._owed.pop(watch, None)
        self._hearing.say(self._middle.unsubscribe, upload_id)

    async def head(self, upload_id: str) -> Head | None:
        [stored] = await self._asking.ask(SMALL_BYTES, self._middle.reconcile, [(upload_id, None)])
        return stored.head if stored is not None else None

    @property
    def name(self) -> str:
        return "simulated"

    @property
    def health(self) -> Health:
        reason = self._hearing.reason or self._complaint
        return Health(
            ready=reason is None,
            since=self._since,
            reason=reason,
            lag_s=self._hearing.lag_s,
            gaps=self._hearing.gaps,
            adopts=self._adopting is not None and self._hearing.is_connected,
        )

    @property
    def adopted(self) -> Mapping[str, int]:
        return self._adopting.counts if self._adopting is not None else {}

    def tell_adopted(self, told: Adopted) -> None:
        if self._adopting is not None:
            self._adopting.told = told

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

    # What is heard.

    def attached(self, epoch: int, data: int, watches: Sequence[Watch], users: Sequence[str]) -> None:
        if self._hearing.attached(epoch, data):
            self._owed.update((watch, None) for watch in watches if not watch.ended)
            for user_id in users:
                self.users.heard(user_id)

    def lost(self, epoch: int, reason: str) -> None:
        self._hearing.lost(epoch, reason)

    def echo(self, epoch: int, data: int, told: int) -> None:
        self._hearing.echo(epoch, data, told)

    def hear(self, epoch: int, call: Any, arguments: tuple[Any, ...]) -> None:
        self._hearing.hear(epoch, call, arguments)

    def subscribed(self, watch: Watch) -> None:
        """From now on its states are told. What there was before is to be read."""
        if not watch.ended:
            self._owed[watch] = None

    def state(self, upload_id: str, head: Head, incarnation: int) -> None:
        watch = self._watches.get(upload_id)
        if watch is None:
            return
        stored = Stored(head, incarnation)
        watch.take(stored)
        if watch.doubts(stored):
            self._owed[watch] = None
        self._heard[watch] = None

    def read_ended(self) -> None:
        """In the order in which they were heard first. Of each only the newest."""
        heard, self._heard = self._heard, {}
        for watch in heard:
            if not watch.ended:
                self._tell(watch)
        self._ask_owed()

    def _ask_owed(self) -> None:
        if self._owed and self._hearing.is_connected:
            owed, self._owed = self._owed, {}
            watches = list(owed)
            known = [(watch.upload_id, watch.stored) for watch in watches]
            asked = self._asking.ask(SMALL_BYTES * len(known), self._middle.reconcile, known)
            asked.add_done_callback(lambda answered: self._was_read(watches, answered))

    def _was_read(self, watches: list[Watch], answered: "asyncio.Future[list[Stored | None]]") -> None:
        if answered.exception() is not None:
            self._failed.update(dict.fromkeys(watches))
            if self._again is None and self._deliver is not None:
                again_s = self.peer.dice.uniform(AGAIN_AFTER_S, AGAIN_AFTER_MAX_S)
                self._again = self._loop.call_later(again_s, self._ask_again)
            return
        for watch, stored in zip(watches, answered.result(), strict=True):
            if watch.ended:
                continue
            if stored is not None:
                watch.take(stored)
            if watch.found is not None:
                self._answer(watch)
            else:
                self._tell(watch)

    def _ask_again(self) -> None:
        failed, self._failed, self._again = self._failed, {}, None
        self._owed.update((watch, None) for watch in failed if not watch.ended)
        self._ask_owed()

    def _answer(self, watch: Watch) -> None:
        self._waiting.pop(watch, None)
        found, watch.found = watch.found, None
        watch.told = watch.head
        assert found is not None
        found(watch.head)

    def _tell(self, watch: Watch) -> None:
        """Deliver what is news, unless it is still to be found."""
        if watch.found is None and watch.head is not None and watch.head is not watch.told and self._deliver is not None:
            watch.told = watch.head
            self._deliver(watch.upload_id, watch.head)

    def user_heard(self, user_id: str) -> None:
        self.users.heard(user_id)

    def user_changed(self, user_id: str) -> None:
        self.users.changed(user_id)

    def said_to_user(self, user_id: str, payload: bytes) -> None:
        self.users.said_to_user(user_id, payload)

    def said_of_upload(self, upload_id: str, payload: bytes) -> None:
        self.users.said_of_upload(upload_id, payload)

    def plain(self, upload_id: str, payload: bytes, said_at: float) -> None:
        if self._adopting is not None:
            self._adopting.hear(upload_id, payload, said_at)

    def hello(self) -> None:
        self.nodes.changed()

    def goodbye(self, node_id: str) -> None:
        self.nodes.gone(node_id)

    def question(self, asker: str, number: int, question: str, arguments: bytes) -> None:
        self.nodes.hear_question(asker, number, question, arguments)

    def answer(self, number: int, node_id: str, name: str, answer: bytes | None) -> None:
        self.nodes.hear_answer(number, node_id, name, answer)

    # The connection on which it is heard.

    def wanted(self) -> tuple[list[Watch], list[str]]:
        return list(self._watches.values()), self.users.wanted()

    def turned(self) -> None:
        self._is_away = not self._hearing.is_connected
        self.nodes.changed()
        self._complain(None)  # of what is still amiss the next publish tells
        for watch in list(self._waiting) if self._is_away else ():
            self._answer(watch)

    def returned(self) -> None:
        self._complain(None)

    def look_at_all(self) -> None:
        self._owed.update((watch, None) for watch in self._watches.values())
        self.users.look_at_all()

    def _complain(self, complaint: str | None) -> None:
        """What is wrong with publishing now, None where nothing is."""
        self._complaint = complaint
        is_ready = complaint is None and self._hearing.reason is None
        if is_ready is not self._is_ready:
            self._is_ready, self._since = is_ready, self._clock.monotonic()

    def _knows_at_once(self) -> bool:
        """Whether a watch is answered before the call returns: now and then, where nothing is in the way."""
        is_here = self._hearing.is_connected and self.peer.epoch == self._hearing.epoch and self.peer.hearing.out.is_clear
        return is_here and self.peer.dice.random() < self._at_once

    def _lose_patience(self) -> None:
        self._patience = None
        while self._waiting:
            watch, until = next(iter(self._waiting.items()))
            if until > self._loop.time():
                self._patience = self._loop.call_at(until, self._lose_patience)
                return
            self._answer(watch)
