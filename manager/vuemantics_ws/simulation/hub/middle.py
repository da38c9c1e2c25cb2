"""The one state in the middle, and the nodes around it as it knows them."""

import asyncio
import contextvars
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.brokers.users import Stand
from vuemantics_ws.core.upload import Event, Head, Verdict
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.dice import Draw
from vuemantics_ws.simulation.hub.follows import Change
from vuemantics_ws.simulation.hub.line import SMALL_BYTES, Line
from vuemantics_ws.simulation.hub.store import PRESENT_S, Store, Stored
from vuemantics_ws.simulation.hub.watch import Watch
from vuemantics_ws.simulation.hub.way import Meter

ASKING_LINES = 3
"""A node has so many for what it asks in turn, so that what it asks at once may be done in any order."""


class Ear(Protocol):
    """What a node hears. All of it comes on one line, in order."""

    def attached(self, epoch: int, data: int, watches: Sequence[Watch], users: Sequence[str]) -> None:
        """From now on all of this is told. ``data`` is the number of what is kept, another one after a loss."""
        ...

    def lost(self, epoch: int, reason: str) -> None:
        """Nothing is told any more."""
        ...

    def echo(self, epoch: int, data: int, told: int) -> None:
        """A canary returned; before it so many things were told."""
        ...

    def hear(self, epoch: int, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Something was told: ``call`` is one of the following."""
        ...

    def subscribed(self, watch: Watch) -> None: ...
    def state(self, upload_id: str, head: Head, incarnation: int) -> None: ...
    def user_heard(self, user_id: str) -> None: ...
    def user_changed(self, user_id: str) -> None: ...
    def said_to_user(self, user_id: str, payload: bytes) -> None: ...
    def said_of_upload(self, upload_id: str, payload: bytes) -> None: ...
    def plain(self, upload_id: str, payload: bytes, said_at: float) -> None: ...
    def hello(self) -> None: ...
    def goodbye(self, node_id: str) -> None: ...
    def question(self, asker: str, number: int, question: str, arguments: bytes) -> None: ...
    def answer(self, number: int, node_id: str, name: str, answer: bytes | None) -> None: ...


class Peer:
    """One start of a node, with its lines.

    Args:
        context: of the middle, where what the node sends arrives.

    Attributes:
        epoch: which of its connections it is that is told what is wanted; None where none is.
        told: how much was told on it.
    """

    def __init__(
        self,
        name: str,
        node_id: str,
        loop: asyncio.AbstractEventLoop,
        delays: Draw,
        dice: random.Random,
        meter: Meter,
        context: contextvars.Context,
        *,
        adopts: bool,
    ) -> None:
        self.name = name
        self.node_id = node_id
        self.adopts = adopts
        self.dice = dice
        self.hearing = Line(loop, delays, dice, meter, context)
        self.sharing = Line(loop, delays, dice, meter, context)
        """For what must be done in the order in which it was asked."""
        self.asking = [Line(loop, delays, dice, meter, context) for _ in range(ASKING_LINES)]
        self.lines = [self.hearing, self.sharing, *self.asking]
        self.ear: Ear
        self.epoch: int | None = None
        self.told = 0
        self.uploads: dict[str, None] = {}
        self.users: dict[str, None] = {}


class Middle:
    """Judges, keeps and tells. Each method is called when what asks for it arrives.

    Args:
        keeps_journal: so that :meth:`Store.as_it_was` can be asked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, dice: random.Random, *, keeps_journal: bool) -> None:
        self.loop = loop
        self.limits = limits
        self.is_up = True
        self.loses = 0.0
        """The share of what is told that does not arrive."""
        self.store = Store(limits, keeps_journal=keeps_journal)
        self.peers: dict[str, Peer] = {}
        """By name, those that have a process."""
        self.heard_at: dict[str, float] = {}
        """By id, when each node was last heard."""
        self.numbers = itertools.count(1)
        self.data = next(self.numbers)
        self._abouts: dict[str, bytes] = {}
        self._dice = dice
        self._watching: dict[str, dict[str, Peer]] = {}  # by upload and name
        self._sharing: dict[str, dict[str, Peer]] = {}  # by user and name
        self._listeners: list[Callable[[str, Head], None]] = []

    def listen(self, heard: Callable[[str, Head], None]) -> None:
        """Call this with every state as soon as it is one, also where nobody watches."""
        self._listeners.append(heard)

    # Judging.

    def publish(self, event: Event) -> Receipt:
        now, watching = self.loop.time(), self._watching.get(event.upload_id)
        (verdict, version), (head, incarnation) = self.store.publish(event, now, next(self.numbers), watching is not None)
        receivers = self._tell(event.upload_id, Stored(head, incarnation)) if verdict is Verdict.ACCEPTED else 0
        return Receipt(verdict, version, receivers, head.owner is not None)

    def read(self, upload_id: str) -> Stored | None:
        return self.store.read(upload_id, self.loop.time(), is_watched=upload_id in self._watching)

    def reconcile(self, known: Sequence[tuple[str, Stored | None]]) -> list[Stored | None]:
        """Read where a node knows nothing, and take what it knows where it does. What is stored of each after it."""
        answers: list[Stored | None] = []
        for upload_id, ours in known:
            if ours is None:
                answers.append(self.read(upload_id))
                continue
            changed, stored = self.store.reconcile(upload_id, ours, self.loop.time(), next(self.numbers))
            if changed:
                self._tell(upload_id, stored)
            answers.append(stored)
        return answers

    def _tell(self, upload_id: str, stored: Stored) -> int:
        head, incarnation = stored
        watching = self._watching.get(upload_id)
        if watching is not None:
            size = len(head.frame)
            for peer in watching.values():
                self._push(peer, size, peer.ear.state, upload_id, head, incarnation)
        for heard in self._listeners:
            heard(upload_id, head)
        return len(watching) if watching is not None else 0

    # Telling.

    def attach(self, peer: Peer, epoch: int, watches: Sequence[Watch], users: Sequence[str]) -> None:
        """A node connects, and wants all of this."""
        if self.peers.get(peer.name) is not peer:
            return
        self.detach(peer)
        if not self.is_up:
            peer.hearing.back.send(SMALL_BYTES, peer.ear.lost, epoch, "the simulated broker takes no connections")
            return
        peer.epoch, peer.told = epoch, 0
        self.heard_at[peer.node_id] = self.loop.time()
        for watch in watches:
            self.watch(peer, watch.upload_id)
        for user_id in users:
            self._share(peer, user_id)
        peer.hearing.back.send(SMALL_BYTES, peer.ear.attached, epoch, self.data, watches, users)

    def detach(self, peer: Peer) -> None:
        """It is told nothing any more."""
        peer.epoch = None
        for upload_id in list(peer.uploads):
            self._end_watch(peer, upload_id)
        for user_id in list(peer.users):
            self._end_share(peer, user_id)

    def fly(self, peer: Peer, epoch: int) -> None:
        """A canary, to return behind all that was told."""
        if peer.epoch == epoch:
            peer.hearing.back.send(SMALL_BYTES, peer.ear.echo, epoch, self.data, peer.told)

    def subscribe(self, peer: Peer, epoch: int, watch: Watch) -> None:
        if peer.epoch == epoch:
            self.watch(peer, watch.upload_id)
            self._push(peer, SMALL_BYTES, peer.ear.subscribed, watch)

    def watch(self, peer: Peer, upload_id: str) -> None:
        """From now on its states are told there."""
        peer.uploads[upload_id] = None
        self._watching.setdefault(upload_id, {})[peer.name] = peer

    def unsubscribe(self, peer: Peer, epoch: int, upload_id: str) -> None:
        if peer.epoch == epoch:
            self._end_watch(peer, upload_id)

    def hear_user(self, peer: Peer, epoch: int, user_id: str) -> None:
        if peer.epoch == epoch:
            self._share(peer, user_id)
            self._push(peer, SMALL_BYTES, peer.ear.user_heard, user_id)

    def forget_user(self, peer: Peer, epoch: int, user_id: str) -> None:
        if peer.epoch == epoch:
            self._end_share(peer, user_id)

    def _share(self, peer: Peer, user_id: str) -> None:
        peer.users[user_id] = None
        self._sharing.setdefault(user_id, {})[peer.name] = peer

    def _end_watch(self, peer: Peer, upload_id: str) -> None:
        if upload_id in peer.uploads:
            del peer.uploads[upload_id]
            watching = self._watching[upload_id]
            del watching[peer.name]
            if not watching:
                del self._watching[upload_id]
                self.store.unwatched(upload_id, self.loop.time())

    def _end_share(self, peer: Peer, user_id: str) -> None:
        if user_id in peer.users:
            del peer.users[user_id]
            sharing = self._sharing[user_id]
            del sharing[peer.name]
            if not sharing:
                del self._sharing[user_id]

    def _push(self, peer: Peer, size: int, call: Callable[..., object], *arguments: Any) -> None:
        peer.told += 1
        if not self.loses or self._dice.random() >= self.loses:
            peer.hearing.back.send(size, peer.ear.hear, peer.epoch, call, arguments)

    # Users.

    def look(
        self, peer: Peer, user_id: str, changes: Sequence[Change], stand: Stand, known: int
    ) -> tuple[int | None, int, list[str]]:
        """What a node tells of a user. Answers with the number born with what the user follows, its revision, and it."""
        now, fresh = self.loop.time(), next(self.numbers)
        is_news, follows = self.store.look(user_id, peer.node_id, changes, stand, known, self.heard_at, now, fresh)
        if is_news:
            self._tell_others(peer, self._sharing.get(user_id), SMALL_BYTES, lambda ear: ear.user_changed, user_id)
        return follows.born, follows.revision, list(follows.holders)

    def say_to_user(self, peer: Peer, user_id: str, payload: bytes) -> bool:
        self._tell_others(peer, self._sharing.get(user_id), len(payload), lambda ear: ear.said_to_user, user_id, payload)
        return True

    def say_of_upload(self, peer: Peer, upload_id: str, payload: bytes) -> bool:
        self._tell_others(peer, self._watching.get(upload_id), len(payload), lambda ear: ear.said_of_upload, upload_id, payload)
        return True

    def _tell_others(
        self,
        peer: Peer,
        peers: Mapping[str, Peer] | None,
        size: int,
        call: Callable[[Ear], Callable[..., object]],
        *arguments: Any,
    ) -> list[str]:
        """Returns the ids of those who were told."""
        others = [other for other in (peers or {}).values() if other is not peer]
        for other in others:
            self._push(other, size, call(other.ear), *arguments)
        return [other.node_id for other in others]

    # Plain publishers.

    def say_plainly(self, upload_id: str, payload: bytes) -> int:
        """Returns how many adopters are told."""
        adopters = [peer for peer in self.peers.values() if peer.adopts and peer.epoch is not None]
        for peer in adopters:
            self._push(peer, len(payload), peer.ear.plain, upload_id, payload, self.loop.time())
        return len(adopters)

    # Nodes.

    def renew(self, peer: Peer, about: bytes) -> list[tuple[str, float, bytes]]:
        """A node says that it is there. Answers with the ids of the others, how long each has not been heard, what they say."""
        if self.peers.get(peer.name) is not peer:
            return []  # it is gone, and this was under way
        now = self.loop.time()
        self.heard_at[peer.node_id], self._abouts[peer.node_id] = now, about
        return [
            (node_id, now - at, self._abouts[node_id])
            for node_id, at in self.heard_at.items()
            if node_id != peer.node_id and self._abouts.get(node_id) and now - at < PRESENT_S
        ]

    def greet(self, peer: Peer) -> bool:
        """What a node says of itself is another thing now."""
        self._tell_others(peer, self._attached(), SMALL_BYTES, lambda ear: ear.hello)
        return True

    def leave(self, peer: Peer) -> None:
        """A node has stopped."""
        self.forget_presence(peer.node_id)
        self._tell_others(peer, self._attached(), SMALL_BYTES, lambda ear: ear.goodbye, peer.node_id)
        self.detach(peer)
        if self.peers.get(peer.name) is peer:
            del self.peers[peer.name]

    def forget_presence(self, node_id: str) -> None:
        self.heard_at.pop(node_id, None)
        self._abouts.pop(node_id, None)

    def ask(self, peer: Peer, node_id: str | None, number: int, question: str, arguments: bytes) -> list[str]:
        """Answers with the ids of those who were asked: nodes that have said who they are."""
        there = self._attached().items()
        asked = {name: other for name, other in there if node_id in (None, other.node_id) and self._abouts.get(other.node_id)}
        said = (peer.node_id, number, question, arguments)
        return self._tell_others(peer, asked, len(arguments), lambda ear: ear.question, *said)

    def answer(self, peer: Peer, asker: str, number: int, name: str, answer: bytes | None) -> bool:
        for other in self._attached().values():
            if other.node_id == asker:
                self._push(other, len(answer or b""), other.ear.answer, number, peer.node_id, name, answer)
        return True

    def _attached(self) -> dict[str, Peer]:
        return {name: peer for name, peer in self.peers.items() if peer.epoch is not None}
