"""A network of some profile between a real socket and whoever uses it.

To the browser's protocol it is the transport, to the real transport the protocol. What comes from the server waits here until
it arrives, and so does what goes to it. No task runs for it, only timers.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, cast

from vuemantics_ws.simulation.browser.dialing import Dial
from vuemantics_ws.simulation.browser.network import PACKET_BYTES, Lane, Network

EARLY_S = 0.0005
"""A timer may fire so much too early: some loops count in milliseconds."""

DELIVERED_BYTES_MAX = 8 * 1024
"""What is handed over at once, so that whoever reads slowly can say so in between."""

End = Literal["no more comes", "closed"]


def through(network: Network, dial: Dial, now: Callable[[], float]) -> Dial:
    """The same dial, over a network. ``now`` is the time of the scenario, and must go with the loop's.

    While the network is away nobody is reached: whoever dials in a blackhole waits, and otherwise hears of it at once.
    """

    async def dial_through(make: Callable[[], asyncio.Protocol]) -> Any:
        while (outage := network.outage(now() + EARLY_S)) is not None and outage.begins_s <= now():
            if network.cuts:
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
            await asyncio.sleep(outage.ends_s - now())
        return await dial(lambda: Link(make(), network, now))

    return dial_through


class Link(asyncio.Transport, asyncio.Protocol):
    """One connection over a network.

    At most a window of bytes is on its way to the client. Beyond it the real socket is read no further, so the server's own
    buffers fill as they would. In a blackhole nothing passes either way, and nobody is told; afterwards it goes on as a stream
    does, unless somebody has given up. Aborting is at once, on both sides: it does not travel.
    """

    def __init__(self, inner: asyncio.Protocol, network: Network, now: Callable[[], float]) -> None:
        super().__init__()
        self._inner = inner
        self._network = network
        self._now = now
        outward, inward = network.lanes(now())
        self._out = _Flow(outward, now, self._send, self._end_sending)
        self._in = _Flow(inward, now, self._deliver, self._end_delivering)
        self._real: asyncio.Transport | None = None
        self._edge: asyncio.TimerHandle | None = None
        self._is_away = False
        self._is_paused = False
        self._is_closing = False
        self._is_over = False
        self._error: Exception | None = None
        self._window_bytes = network.window_bytes

    # What the real transport tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._real = cast(asyncio.Transport, transport)
        self._look_at_the_network()
        self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        self._in.put(data)
        self._adjust_reading()

    def eof_received(self) -> bool:
        self._in.end("no more comes")
        return True  # what is on its way out still goes

    def connection_lost(self, exc: Exception | None) -> None:
        self._real = None
        self._error = exc
        self._out.stop()
        if self._is_closing:
            self._finish()
        else:
            self._in.end("closed")

    # What the inner protocol does with it.

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not self._is_closing:
            self._out.put(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._out.end("no more comes")

    def is_closing(self) -> bool:
        return self._is_closing or self._real is None

    def close(self) -> None:
        """Close once all that was written has arrived."""
        if not self._is_closing:
            self._is_closing = True
            self._in.stop()
            if self._real is not None:
                self._out.end("closed")
            else:
                asyncio.get_running_loop().call_soon(self._finish)

    def abort(self) -> None:
        self._is_closing = True
        self._in.stop()
        self._out.stop()
        if self._real is not None:
            self._real.abort()
        else:  # what came before its end is still on its way
            asyncio.get_running_loop().call_soon(self._finish)

    def is_reading(self) -> bool:
        return not self._is_paused and not self.is_closing()

    def pause_reading(self) -> None:
        self._is_paused = True
        self._in.hold(held=True)

    def resume_reading(self) -> None:
        self._is_paused = False
        self._in.hold(held=self._is_away)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._real.get_extra_info(name, default) if self._real is not None else default

    # What arrives.

    def _send(self, data: bytes) -> None:
        if self._real is not None:
            self._real.write(data)

    def _end_sending(self, end: End) -> None:
        if self._real is None:
            return
        if end == "closed":
            self._real.close()
        elif not self._real.is_closing():
            self._real.write_eof()

    def _deliver(self, data: bytes) -> None:
        self._inner.data_received(data)
        self._adjust_reading()

    def _end_delivering(self, end: End) -> None:
        if end == "closed":
            self._finish()
        elif not self._inner.eof_received():
            self.close()

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._in.stop()
        if self._edge is not None:
            self._edge.cancel()
        self._inner.connection_lost(self._error)

    # The network.

    def _look_at_the_network(self) -> None:
        """Called when the connection is made, and whenever an outage begins or ends."""
        self._edge = None
        now = self._now() + EARLY_S
        outage = self._network.outage(now)
        self._is_away = outage is not None and outage.begins_s <= now
        if self._is_away and self._network.cuts:
            self.abort()
            return
        if outage is not None:
            edge_s = outage.ends_s if self._is_away else outage.begins_s
            self._edge = asyncio.get_running_loop().call_later(edge_s - self._now(), self._look_at_the_network)
        self._out.hold(held=self._is_away)
        self._in.hold(held=self._is_away or self._is_paused)
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        real = self._real
        if real is None or real.is_closing():
            return
        reads = not self._is_away and self._in.waiting_bytes < self._window_bytes
        if reads and not real.is_reading():
            real.resume_reading()
        elif not reads and real.is_reading():
            real.pause_reading()


class _Flow:
    """What is on its way in one direction, oldest first. ``arrive`` is called with bytes as they arrive, ``end`` at the end."""

    def __init__(
        self, lane: Lane, now: Callable[[], float], arrive: Callable[[bytes], None], end: Callable[[End], None]
    ) -> None:
        self.waiting_bytes = 0
        self._lane = lane
        self._now = now
        self._arrive = arrive
        self._end = end
        self._waiting: deque[tuple[float, bytes | End]] = deque()
        self._is_held = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes) -> None:
        if self._is_over:
            return
        now = self._now()
        for start in range(0, len(data), PACKET_BYTES):
            packet = data[start : start + PACKET_BYTES]
            self._waiting.append((self._lane.arrival(now, len(packet)), packet))
        self.waiting_bytes += len(data)
        self._set_timer()

    def end(self, end: End) -> None:
        """This comes behind all that is on its way."""
        if not self._is_over:
            self._waiting.append((self._lane.arrival(self._now(), 0), end))
            self._set_timer()

    def hold(self, *, held: bool) -> None:
        """While held, nothing arrives; afterwards all at once that would have."""
        self._is_held = held
        if held:
            self._cancel()
        else:
            self._set_timer()

    def stop(self) -> None:
        """What is on its way is lost, and nothing comes after it."""
        self._is_over = True
        self._waiting.clear()
        self.waiting_bytes = 0
        self._cancel()

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting and not self._is_held:
            pause_s = max(0.0, self._waiting[0][0] - self._now())
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        """Hand over what has arrived. Whoever takes it may hold or stop the flow meanwhile."""
        self._timer = None
        waiting, now = self._waiting, self._now() + EARLY_S
        while waiting and waiting[0][0] <= now and not self._is_held:
            arrived: list[bytes] = []
            size = 0
            while waiting and waiting[0][0] <= now and size < DELIVERED_BYTES_MAX:
                item = waiting[0][1]
                if isinstance(item, str):
                    break
                waiting.popleft()
                arrived.append(item)
                size += len(item)
            if arrived:
                self.waiting_bytes -= size
                self._arrive(arrived[0] if len(arrived) == 1 else b"".join(arrived))
            else:
                _, end = waiting.popleft()
                assert isinstance(end, str)
                self._end(end)
        self._set_timer()
