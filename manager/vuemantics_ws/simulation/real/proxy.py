"""A proxy that stands between clients and one server, and does to what passes whatever it is told to.

It speaks TCP and knows nothing of what it carries. What it does can change at any moment, also to what is connected already.
"""

import asyncio
import contextlib
import random
from collections.abc import Collection
from types import TracebackType
from typing import Literal, Self, cast

from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.network.lanes import Lane, window_bytes
from vuemantics_ws.simulation.network.resetting import reset
from vuemantics_ws.simulation.real.flow import End, Flow

Way = Literal["to the server", "to the client"]
WAYS: tuple[Way, Way] = ("to the server", "to the client")

BACKLOG = 1024
NOTHING_BETWEEN = NetworkProfile()


class TcpProxy:
    """Listens on loopback between ``async with`` and its end; ``port`` says where, and stays the same.

    What it holds of one connection is bounded: beyond a window it reads no further, and whoever sends is told so by TCP, as
    they would be without it. Nothing is lost, nothing is overtaken.

    Args:
        host, port: the server's.
        dice: for jitter, loss and slices.
    """

    def __init__(self, host: str, port: int, *, dice: random.Random) -> None:
        self.port = 0
        self.dice = dice
        self.profiles: dict[Way, NetworkProfile] = dict.fromkeys(WAYS, NOTHING_BETWEEN)
        self.slice_bytes_max: dict[Way, int] = dict.fromkeys(WAYS, 0)
        self.is_cut_off = False
        self.passed_bytes = 0
        """What has reached either side, since the start."""
        self._upstream = (host, port)
        self._healed = asyncio.Event()
        self._healed.set()
        self._pairs: dict[_Pair, None] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        pairs = list(self._pairs)
        self.reset()
        await asyncio.gather(*(pair.gone for pair in pairs))

    @property
    def connections(self) -> int:
        return len(self._pairs)

    @property
    def held_bytes(self) -> int:
        """What was sent and has not arrived: on its way, or held back."""
        return sum(way.flow.waiting_bytes for pair in self._pairs for way in pair.ways.values())

    # What it can be told, at any time.

    def change(self, profile: NetworkProfile, *, ways: Collection[Way] = WAYS, slice_bytes_max: int = 0) -> None:
        """Delay and throttle what passes from now on as this network would. Of its outages nothing is made: see ``cut_off``.

        Args:
            ways: in which directions; the others stay as they are.
            slice_bytes_max: hand over what comes in slices of up to so many bytes, each for itself; 0 does not cut it.
        """
        for way in ways:
            self.profiles[way] = profile
            self.slice_bytes_max[way] = slice_bytes_max
            for pair in self._pairs:
                pair.ways[way].change(profile, slice_bytes_max)

    def cut_off(self) -> None:
        """Let nothing pass, and tell nobody: no end, no reset, no refusal. Who connects finds somebody who says nothing.

        What was sent meanwhile arrives once it is healed, as TCP would send it again.
        """
        self.is_cut_off = True
        self._healed.clear()
        self._hold()

    def heal(self) -> None:
        self.is_cut_off = False
        self._healed.set()
        self._hold()

    def reset(self, ports: Collection[int] | None = None) -> int:
        """End connections with a reset to both sides. Returns how many.

        Args:
            ports: those of the clients that are meant; None for everybody.
        """
        meant = [pair for pair in self._pairs if ports is None or pair.port in ports]
        for pair in meant:
            pair.reset()
        return len(meant)

    async def refuse(self) -> None:
        """Let nobody in any more. What is connected stays."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)  # the listening socket is closed by the loop's next turn at the latest

    async def accept(self) -> None:
        """Let everybody in (again), at the same port.

        Raises:
            OSError: somebody else has it meanwhile.
        """
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._greet, "127.0.0.1", self.port, backlog=BACKLOG, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    # What its connections need.

    def forget(self, pair: "_Pair") -> None:
        del self._pairs[pair]

    async def reach(self, protocol: asyncio.Protocol) -> None:
        """Connect to the server, once it is not cut off.

        Raises:
            OSError: nobody answers.
        """
        await self._healed.wait()
        await asyncio.get_running_loop().create_connection(lambda: protocol, *self._upstream)

    def _greet(self) -> asyncio.Protocol:
        pair = _Pair(self)
        self._pairs[pair] = None
        return pair.client

    def _hold(self) -> None:
        for pair in self._pairs:
            for way in pair.ways.values():
                way.adjust()


class _Pair:
    """One client's connection, and the one that was opened to the server for it."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.port = 0
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.client, self.server = _Side(self), _Side(self)
        self.ways: dict[Way, _Way] = {
            "to the server": _Way(self, proxy, "to the server", self.client, self.server),
            "to the client": _Way(self, proxy, "to the client", self.server, self.client),
        }
        self.client.outward, self.client.inward = self.ways["to the server"], self.ways["to the client"]
        self.server.outward, self.server.inward = self.ways["to the client"], self.ways["to the server"]
        self._proxy = proxy
        self._reaching: asyncio.Task[None] | None = None
        self._is_reset = False

    def greeted(self, side: "_Side") -> None:
        """One of the two is connected. The client comes first, and the server is opened for it."""
        if self._is_reset or self.gone.done():
            side.reset()
            return
        if side is self.client:
            self.port = side.peer_port
            self._reaching = asyncio.get_running_loop().create_task(self._reach())
        for way in self.ways.values():
            way.adjust()

    async def _reach(self) -> None:
        try:
            await self._proxy.reach(self.server)
        except OSError:
            self.reset()

    def reset(self) -> None:
        self._is_reset = True
        for way in self.ways.values():
            way.flow.stop()
        for side in (self.client, self.server):
            side.reset()
        self.ended()

    def close_if_done(self) -> None:
        """Neither has anything to say any more, and neither would be noticed to leave."""
        if all(way.is_done for way in self.ways.values()):
            for side in (self.client, self.server):
                if side.transport is not None:
                    side.transport.close()

    def ended(self) -> None:
        """One of the two has ended. When both have, nothing of it is left."""
        if self.client.transport is not None or self.server.transport is not None:
            return
        if self._reaching is not None and not self._reaching.done() and self._reaching is not asyncio.current_task():
            self._reaching.cancel()
        for way in self.ways.values():
            way.flow.stop()
        if not self.gone.done():
            self.gone.set_result(None)
            self._proxy.forget(self)


class _Side(asyncio.Protocol):
    """One end of a pair. ``outward`` takes what comes from it, ``inward`` brings what goes to it."""

    outward: "_Way"
    inward: "_Way"

    def __init__(self, pair: _Pair) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_full = False
        self._pair = pair

    @property
    def peer_port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("peername")[1])

    def reset(self) -> None:
        if self.transport is not None:
            reset(self.transport)

    # What the loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._pair.greeted(self)

    def data_received(self, data: bytes) -> None:
        self.outward.put(data)

    def eof_received(self) -> bool:
        self.outward.flow.end("no more comes")
        return True  # what goes the other way still goes

    def pause_writing(self) -> None:
        self.is_full = True
        self.inward.adjust()

    def resume_writing(self) -> None:
        self.is_full = False
        self.inward.adjust()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.inward.flow.stop()
        if exc is None:
            self.outward.flow.end("closed")
        else:
            self.outward.flow.end("reset")
        self._pair.ended()


class _Way:
    """What goes from one side to the other."""

    def __init__(self, pair: _Pair, proxy: TcpProxy, way: Way, source: _Side, sink: _Side) -> None:
        profile = proxy.profiles[way]
        self.is_done = False
        """Its source has said that no more comes, and its sink has been told."""
        self._pair = pair
        self._proxy = proxy
        self._source = source
        self._sink = sink
        self._latency_s = profile.latency.draw(proxy.dice)
        self._lane = Lane(profile, self._latency_s, proxy.dice)
        self._window_bytes = window_bytes(profile, self._latency_s)
        self.flow = Flow(self._lane, asyncio.get_running_loop().time, self._arrive, self._end)
        self.flow.slice_bytes_max = proxy.slice_bytes_max[way]

    def change(self, profile: NetworkProfile, slice_bytes_max: int) -> None:
        self._latency_s = profile.latency.draw(self._proxy.dice)
        self._window_bytes = window_bytes(profile, self._latency_s)
        self._lane.change(profile, self._latency_s)
        self.flow.slice_bytes_max = slice_bytes_max
        self.adjust()

    def put(self, data: bytes) -> None:
        if self.flow.is_empty and self._lane.is_clear and not self.flow.slice_bytes_max:
            self._arrive(data)
        else:
            self.flow.put(data)
            self._adjust_reading()

    def adjust(self) -> None:
        """Hold back what cannot pass now, and read no more than may wait."""
        held = self._proxy.is_cut_off or self._sink.is_full or self._sink.transport is None
        self.flow.hold(held=held)
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        source = self._source.transport
        if source is None or source.is_closing():
            return
        reads = self.flow.waiting_bytes < self._window_bytes
        if reads and not source.is_reading():
            source.resume_reading()
        elif not reads and source.is_reading():
            source.pause_reading()

    def _arrive(self, data: bytes) -> None:
        self._proxy.passed_bytes += len(data)
        sink = self._sink.transport
        if sink is not None:
            sink.write(data)
        self._adjust_reading()

    def _end(self, end: End) -> None:
        sink = self._sink.transport
        if sink is None or sink.is_closing():
            return
        if end == "no more comes":
            self.is_done = True
            with contextlib.suppress(OSError):  # it has gone, and the loop has not noticed yet
                sink.write_eof()
            self._pair.close_if_done()
        elif end == "closed":
            sink.close()
        else:
            self._sink.reset()
