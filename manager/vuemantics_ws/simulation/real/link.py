"""A network of some profile between a real socket and whoever uses it.

To the browser's protocol it is the transport, to the real transport the protocol. What comes from the server waits here until
it arrives, and so does what goes to it. No task runs for it, only timers.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Any, cast

from vuemantics_ws.simulation.network.dial import Dial
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.real.flow import EARLY_S, End, Flow


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
        self._out = Flow(outward, now, self._send, self._end_sending)
        self._in = Flow(inward, now, self._deliver, self._end_delivering)
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
