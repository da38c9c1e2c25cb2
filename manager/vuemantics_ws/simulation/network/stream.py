"""What goes from one end of a connection to the other: in order, nothing lost, and each piece when its lane says so.

A stream holds at most a window of what its reader has not read. What does not fit stays in the writer's own buffer, as behind
a socket whose kernel takes no more.
"""

import asyncio
import random
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.network.lanes import PACKET_BYTES, Lane, Network

if TYPE_CHECKING:
    from vuemantics_ws.simulation.network.transport import VirtualTransport

WINDOW_BYTES = 64 * 1024
"""What one end takes that nobody has read yet, where no profile says otherwise."""


class Mark(Enum):
    """What travels with the bytes, and is none."""

    OPEN = auto()
    """Somebody has connected."""
    END = auto()
    """No more comes (FIN)."""
    RESET = auto()
    """The connection is no more (RST)."""


class Hop:
    """A way between two programs that no profile describes: each thing that is written takes a time of its own."""

    def __init__(self, latency: Spread, dice: random.Random) -> None:
        self._latency = latency
        self._dice = dice
        self._arrived_at = 0.0

    def arrival(self, now: float, size: int) -> float:
        at = self._arrived_at = max(self._arrived_at, now + self._latency.draw(self._dice))
        return at


class Stream:
    """One direction. Both its ends are told what concerns them by the loop, each in its own process.

    Args:
        lane: when things arrive; None for at once.
        window_bytes: what may be on its way and unread at once.
        by: the client's network, whose window counts instead as long as it is the smaller one; None for none.
    """

    __slots__ = (
        "_by", "_flying", "_holds", "_lane", "_loop", "_profile", "_timer", "_window_bytes", "_window_bytes_max", "arrived",
        "is_reset", "passed_bytes", "reader", "taken_bytes", "writer",
    )  # fmt: skip

    reader: "VirtualTransport"
    writer: "VirtualTransport"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, lane: Lane | Hop | None, window_bytes: int, by: Network | None = None
    ) -> None:
        self.arrived: deque[bytes | Mark] = deque()
        """What the reader has not read, oldest first. Complete only after :meth:`land`."""
        self.is_reset = False
        """A reset has been sent; it may still be on its way."""
        self.taken_bytes = 0
        """What is on its way, and what has arrived unread."""
        self.passed_bytes = 0
        """What has ever arrived."""
        self._loop = loop
        self._lane = lane
        self._by = by
        self._profile = by.profile if by is not None else None
        self._window_bytes_max = window_bytes
        self._window_bytes = window_bytes if by is None else min(window_bytes, by.window_bytes)
        self._flying: deque[tuple[float, bytes | Mark]] = deque()
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None

    # The writer's side.

    def put(self, data: bytes) -> int:
        """Send as many of these bytes as there is room for. Returns how many that were."""
        if self._by is not None:
            self._look_at_the_network(self._by)
        room = self._window_bytes - self.taken_bytes
        size = len(data)
        if size > room:
            if room <= 0:
                return 0
            data, size = data[:room], room
        self.taken_bytes += size
        if self._lane is None and not self._holds and not self._flying:
            self.arrived.append(data)
            self.passed_bytes += size
            self.reader.landed()
        else:
            self._send(data, self._loop.time())
        return size

    def _look_at_the_network(self, by: Network) -> None:
        """The client may be on another one than before."""
        if by.profile is not self._profile:
            self._profile = by.profile
            self._window_bytes = min(self._window_bytes_max, by.window_bytes)

    def _send(self, data: bytes, now: float) -> None:
        lane, flying = self._lane, self._flying
        if lane is None:
            flying.append((now, data))
        elif isinstance(lane, Hop) or len(data) <= PACKET_BYTES:
            flying.append((lane.arrival(now, len(data)), data))
        else:
            for start in range(0, len(data), PACKET_BYTES):
                packet = data[start : start + PACKET_BYTES]
                flying.append((lane.arrival(now, len(packet)), packet))
        if self._timer is None:
            self.attend()

    def mark(self, mark: Mark) -> None:
        """Send a mark behind all that was sent."""
        if mark is Mark.RESET:
            self.is_reset = True
        if self._lane is None and not self._holds and not self._flying:
            self.arrived.append(mark)
            self.reader.landed()
            return
        now = self._loop.time()
        self._flying.append((now if self._lane is None else self._lane.arrival(now, 0), mark))
        self.attend()

    # The reader's side.

    def land(self) -> None:
        """Bring in what has arrived by now."""
        flying = self._flying
        if not flying or self._holds:
            return
        now = self._loop.time()
        while flying and flying[0][0] <= now:
            item = flying.popleft()[1]
            self.arrived.append(item)
            if not isinstance(item, Mark):
                self.passed_bytes += len(item)

    def take(self, bytes_max: int) -> bytes:
        """Read the next of what has arrived, in one piece. There must be bytes, and no mark, in front."""
        arrived = self.arrived
        first = arrived[0]
        assert not isinstance(first, Mark)
        if len(arrived) == 1 and len(first) <= bytes_max:
            arrived.clear()
            data = first
        else:
            data = self._join(bytes_max)
        self.taken_bytes -= len(data)
        self.writer.takes_more()
        return data

    def _join(self, bytes_max: int) -> bytes:
        arrived = self.arrived
        pieces: list[bytes] = []
        left = bytes_max
        while arrived and left:
            piece = arrived[0]
            if isinstance(piece, Mark):
                break
            if len(piece) > left:
                arrived[0] = piece[left:]
                piece = piece[:left]
            else:
                arrived.popleft()
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def drop_unread(self) -> int:
        """Forget what has arrived. Returns how many bytes nobody will read."""
        self.land()
        count = sum(len(item) for item in self.arrived if not isinstance(item, Mark))
        self.arrived.clear()
        self.taken_bytes -= count
        return count

    def attend(self) -> None:
        """Tell the reader when the next thing arrives, if it wants to know."""
        if self._timer is None and self._flying and not self._holds and (self.is_reset or self.reader.wants_to_know):
            self._timer = self._loop.call_at(self._flying[0][0], self._on_arrival, context=self.reader.told_in)

    def _on_arrival(self) -> None:
        self._timer = None
        self.land()
        self.reader.arrived()
        self.attend()

    # What befalls it on its way.

    @property
    def held_bytes(self) -> int:
        """What was sent and has not arrived: on its way, or held back."""
        self.land()
        return sum(len(item) for _, item in self._flying if not isinstance(item, Mark))

    def hold(self) -> None:
        """From now on nothing arrives, until it is let go as often as it was held."""
        self.land()
        self._holds += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def let_go(self) -> None:
        """All arrives that would have, and the rest in its time."""
        self._holds -= 1
        self.attend()

    def cut(self) -> None:
        """What is on its way is lost, and the reader finds a reset."""
        self.taken_bytes -= sum(len(item) for _, item in self._flying if not isinstance(item, Mark))
        self._flying.clear()
        self.stop()
        self.is_reset = True
        self.arrived.append(Mark.RESET)
        self.reader.landed()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
