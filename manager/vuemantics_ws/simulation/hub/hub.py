"""The simulated middle with all that can befall it, and the brokers of the nodes around it."""

import asyncio
import contextvars

from vuemantics_ws.ambient import Clock
from vuemantics_ws.core.upload import Event
from vuemantics_ws.errors import BadEvent
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.dice import Draw, Spread, stream
from vuemantics_ws.simulation.hub.broker import SimulatedBroker
from vuemantics_ws.simulation.hub.line import SMALL_BYTES
from vuemantics_ws.simulation.hub.middle import Middle, Peer
from vuemantics_ws.simulation.hub.store import PRESENT_S, Store
from vuemantics_ws.simulation.hub.way import Meter, Way

NEAR = Spread(0.0002, 0.002)
"""What lies between a node and a Redis in the same building, in seconds."""


class Barrier(Meter):
    """What lies between one node and the middle, over all starts of the node.

    Attributes:
        passed_bytes: what has reached either side.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_cut_off = False
        self.peer: Peer | None = None

    def cut_off(self) -> None:
        """Let nothing pass, and tell nobody. What is sent meanwhile arrives when it is healed."""
        if not self.is_cut_off:
            self.is_cut_off = True
            for way in self._ways():
                way.hold()

    def heal(self) -> None:
        if self.is_cut_off:
            self.is_cut_off = False
            for way in self._ways():
                way.release()

    @property
    def connections(self) -> int:
        """How many lead through it."""
        return len(self.peer.lines) if self.peer is not None else 0

    @property
    def held_bytes(self) -> int:
        """What was sent and has not arrived."""
        return sum(way.waiting_bytes for way in self._ways())

    def _ways(self) -> list[Way]:
        return [way for line in self.peer.lines for way in (line.out, line.back)] if self.peer is not None else []


class Hub:
    """What Redis is to the real nodes. Make it inside the running loop; what it does itself belongs to whoever makes it.

    The faults are plain calls that take effect at once. Each returns what was seen of it.

    Args:
        delays: how long each message is under way, in seconds.
        limits: of all nodes.
        fails_over: remember what was done, so that :meth:`fail_over` can be called.
        at_once: the share of watches that are answered before the call returns.
    """

    def __init__(
        self,
        *,
        seed: int,
        delays: Draw = NEAR,
        limits: Limits | None = None,
        fails_over: bool = False,
        at_once: float = 0.1,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seed = seed
        self._delays = delays
        self._at_once = at_once
        self._fails_over = fails_over
        self._context = contextvars.copy_context()
        self.middle = Middle(self._loop, limits or Limits(), stream(seed, "hub", "loss"), keeps_journal=fails_over)
        self._barriers: dict[str, Barrier] = {}
        self._starts: dict[str, int] = {}
        self._is_hung = False
        self._unheard: list[bytes] = []  # what plain publishers said since it hangs
        self._stands_still_since = 0.0
        """Since when it is down or hangs."""

    def broker(self, name: str, *, clock: Clock, limits: Limits | None = None, adopts: bool = True) -> SimulatedBroker:
        """The broker of one start of a node. A former one of this name is severed."""
        self.sever(name)
        middle = self.middle
        number = self._starts[name] = self._starts.get(name, 0) + 1
        entity = name if number == 1 else f"{name}, start {number}"
        node_id = f"{stream(self._seed, entity, 'id').getrandbits(32):08x}"
        barrier = self.barrier(name)
        dice = stream(self._seed, entity, "line")
        peer = Peer(name, node_id, self._loop, self._delays, dice, barrier, self._context, adopts=adopts)
        broker = SimulatedBroker(middle, peer, clock=clock, limits=limits or middle.limits, at_once=self._at_once)
        middle.peers[name] = barrier.peer = peer
        for line in peer.lines:
            line.is_refused = not middle.is_up
            if self._is_hung:
                line.out.hold()
            if barrier.is_cut_off:
                line.out.hold()
                line.back.hold()
        return broker

    def sever(self, name: str) -> None:
        """The node's process is gone. What it had sent arrives, and it stays present until its time is over."""
        peer = self.middle.peers.pop(name, None)
        if peer is not None:
            self.middle.detach(peer)
            for line in peer.lines:
                line.back.close()

    def say_plainly(self, payload: bytes) -> int:
        """A plain publisher's message, on the channel of the upload that it is about. Returns how many adopters are told now.

        While it is down nobody is, and nobody will be; while it hangs they are told when it goes on.
        """
        if not self.middle.is_up:
            return 0
        if self._is_hung:
            self._unheard.append(payload)
            return 0
        try:
            upload_id = Event.read(payload).upload_id
        except BadEvent:
            upload_id = ""
        return self.middle.say_plainly(upload_id, payload)

    # What befalls it.

    def down(self) -> int:
        """It is killed. Returns how many nodes were connected."""
        middle = self.middle
        if not middle.is_up:
            return 0
        self._unheard.clear()
        self.resume()
        self._stands_still_since = self._loop.time()
        middle.is_up = False
        count = self._cut("the connection to the simulated broker was lost")
        for peer in middle.peers.values():
            for line in peer.lines:
                line.is_refused = True
                if line is not peer.hearing:
                    line.break_off()
        return count

    def up(self, *, lose_data: bool = False) -> int:
        """It is started again. Returns how many things it had kept."""
        middle = self.middle
        if middle.is_up:
            return 0
        middle.is_up = True
        self._go_on()
        for peer in middle.peers.values():
            for line in peer.lines:
                line.is_refused = False
        return self.flush() if lose_data else len(middle.store)

    def hang(self) -> int:
        """It stands still: whoever is connected stays so, and nobody is answered. Returns how many nodes that are."""
        if self._is_hung or not self.middle.is_up:
            return 0
        self._is_hung = True
        self._stands_still_since = self._loop.time()
        for peer in self.middle.peers.values():
            for line in peer.lines:
                line.out.hold()
        return self.connected

    def resume(self) -> None:
        """It goes on, with what it was asked meanwhile."""
        if not self._is_hung:
            return
        self._is_hung = False
        self._go_on()
        for peer in self.middle.peers.values():
            for line in peer.lines:
                line.out.release()
        unheard, self._unheard = self._unheard, []
        for payload in unheard:
            self.say_plainly(payload)

    def flush(self) -> int:
        """All that it kept is gone, and nobody is told. Returns how many things that were."""
        middle = self.middle
        count = len(middle.store)
        self._keep(Store(middle.limits, keeps_journal=self._fails_over))
        return count

    def kill_subscribers(self) -> int:
        """End all connections on which something is told; what is under way on them is lost. Returns how many."""
        return self._cut("the connection to the simulated broker was ended") if not self._is_hung else 0

    def fail_over(self, behind_s: float) -> int:
        """A replica takes over, which had not heard the last seconds. All connections end, and where it was down it is up.

        Returns how many things are undone by that.
        """
        middle = self.middle
        self.resume()
        last_at = self._loop.time() if middle.is_up else self._stands_still_since
        self.down()
        undone, store = middle.store.as_it_was(last_at - behind_s)
        self._keep(store)
        self.up()
        return undone

    def lose(self, share: float) -> None:
        """From now on so much of what is told never arrives, which each node's next canary shows."""
        self.middle.loses = share

    def barrier(self, name: str) -> Barrier:
        """What lies between this node and the middle, and can part them."""
        return self._barriers.setdefault(name, Barrier())

    def heal(self) -> None:
        """All that can be made whole is."""
        self.lose(0.0)
        self.resume()
        self.up()
        for barrier in self._barriers.values():
            barrier.heal()

    @property
    def is_hung(self) -> bool:
        return self._is_hung

    @property
    def connected(self) -> int:
        """How many nodes are told what they want."""
        return sum(peer.epoch is not None for peer in self.middle.peers.values())

    def _cut(self, reason: str) -> int:
        """End what is connected and, where it is down, what was about to be. Returns how many were connected."""
        count = self.connected
        for peer in self.middle.peers.values():
            hearing = peer.hearing
            lost = [arguments[0] for _, _, call, arguments in hearing.back.take() if call == peer.ear.lost]
            if peer.epoch is not None:
                lost.append(peer.epoch)
                self.middle.detach(peer)
            if not self.middle.is_up:
                lost += [arguments[1] for _, _, call, arguments in hearing.out.take() if call == self.middle.attach]
            for epoch in lost:
                hearing.back.send(SMALL_BYTES, peer.ear.lost, epoch, reason)
        return count

    def _keep(self, store: Store) -> None:
        self.middle.store = store
        self.middle.data = next(self.middle.numbers)

    def _go_on(self) -> None:
        """Nobody's presence ended while nobody could be heard."""
        heard_at, since, now = self.middle.heard_at, self._stands_still_since, self._loop.time()
        for node_id, at in heard_at.items():
            if since - at < PRESENT_S:
                heard_at[node_id] = at + now - since
