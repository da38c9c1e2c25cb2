"""One socket of a simulated browser: the sans-I/O protocol inside an asyncio.Protocol, without any extension."""

import asyncio
import select
import socket
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import WebSocketURI

from vuemantics_ws.client.endings import GONE_WITHOUT_A_WORD
from vuemantics_ws.gateway.quiet import QUIET
from vuemantics_ws.messages import ClientPing, Message, encode
from vuemantics_ws.simulation.network.resetting import reset

PING_INTERVAL_S = 30.0
CLOSE_TIMEOUT_S = 2.0
"""How long the server may take to answer a goodbye before the socket is cut."""

LOOK_EVERY_S = 0.25
"""How often a socket that is not read is looked at, since its end comes with what is read."""

MESSAGE_BYTES_MAX = 1024 * 1024


class Tab(Protocol):
    """Whose socket it is. Each call comes from the loop, and must return at once."""

    @property
    def rate_bytes_per_s(self) -> float | None:
        """How fast it reads; None for as fast as it comes."""
        ...

    @property
    def reads(self) -> bool: ...

    def opened(self, socket: "BrowserSocket") -> None:
        """It was upgraded."""
        ...

    def received(self, socket: "BrowserSocket", data: bytes) -> None:
        """A whole message came."""
        ...

    def refused(self, socket: "BrowserSocket", reason: str) -> None:
        """It ended without an upgrade. Called once, and nothing after it."""
        ...

    def ended(self, socket: "BrowserSocket", code: int, reason: str, *, server_closed: bool) -> None:
        """It is gone: 1006 where no close frame came. Called once after ``opened``, and nothing after it."""
        ...


class BrowserSocket(asyncio.Protocol):
    """One connection of a tab. ``answered`` is done once the server has answered the upgrade, or is gone."""

    __slots__ = (
        "_ending",
        "_is_over",
        "_is_upgraded",
        "_looking",
        "_parts",
        "_pinging",
        "_protocol",
        "_resuming",
        "_tab",
        "_transport",
        "answered",
        "number",
    )

    def __init__(self, tab: Tab, uri: WebSocketURI, number: int) -> None:
        self.number = number
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tab = tab
        self._protocol = ClientProtocol(uri, max_size=MESSAGE_BYTES_MAX, logger=QUIET)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._pinging: asyncio.TimerHandle | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._is_upgraded = False
        self._is_over = False

    @property
    def is_open(self) -> bool:
        """Whether a message would be sent."""
        return self._is_upgraded and not self._is_over and self._protocol.state is OPEN

    # What the tab does with it.

    def say(self, message: Message) -> None:
        """Send it, or drop it silently where the socket is not open."""
        if self.is_open:
            self._protocol.send_text(encode(message))
            self._flush()

    def say_raw(self, text: str) -> None:
        """The same with text that may be anything."""
        if self.is_open:
            self._protocol.send_text(text.encode())
            self._flush()

    def say_goodbye(self) -> None:
        """Close with 1000. The tab hears of the end once the server has answered, or has not in time."""
        if self.is_open:
            self._protocol.send_close(1000)
            self._flush()

    def abort(self) -> None:
        """Cut it, with a reset where the kernel does so. The tab hears of the end."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Cut it with a reset, whatever the kernel would do. The tab hears of the end."""
        if self._transport is not None:
            reset(self._transport)

    def abandon(self) -> None:
        """Cut it, and tell the tab nothing."""
        self._is_over = True
        self.abort()

    def fall_silent(self) -> None:
        """Neither read nor write any more, and leave the socket open, so that the server notices nothing."""
        self._is_over = True
        self._pause_transport()
        self._stop_timers()
        self._tab.ended(self, GONE_WITHOUT_A_WORD, "vanished", server_closed=False)

    def pause(self) -> None:
        """Read no further, until :meth:`resume`. Where the kernel knows of the server's end, the tab hears of it."""
        self._pause_transport()
        if self._looking is None and not self._is_over:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def resume(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._resume_transport()

    def _pause_transport(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _resume_transport(self) -> None:
        transport = self._transport
        if transport is not None and not self._is_over and not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    # What the loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._is_over:
            self.abort()
            return
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            self._take(event)
        self._flush()
        rate = self._tab.rate_bytes_per_s
        if rate is not None and self._resuming is None:
            self._pause_transport()
            self._resuming = asyncio.get_running_loop().call_later(len(data) / rate, self._go_on_reading)

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self._transport = None
        if self._is_over:
            return
        self._is_over = True
        if not self._is_upgraded:
            self.answered.set_result(None)
            self._tab.refused(self, _reason_of(self._protocol.handshake_exc))
            return
        closed = self._protocol.close_rcvd
        if closed is not None:
            self._tab.ended(self, closed.code, closed.reason, server_closed=True)
        else:
            self._tab.ended(self, GONE_WITHOUT_A_WORD, "", server_closed=False)

    def _take(self, event: object) -> None:
        if isinstance(event, Response):
            self._take_answer()
        elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts.append(bytes(event.data))
            if event.fin and not self._is_over:
                whole, self._parts = b"".join(self._parts), []
                self._tab.received(self, whole)

    def _take_answer(self) -> None:
        if self._protocol.handshake_exc is not None:
            self.abort()
            return
        self._is_upgraded = True
        self.answered.set_result(None)
        self._pinging = asyncio.get_running_loop().call_later(PING_INTERVAL_S, self._ping)
        self._tab.opened(self)
        if not self._tab.reads:
            self.pause()

    def _ping(self) -> None:
        self.say(ClientPing())
        self._pinging = asyncio.get_running_loop().call_later(PING_INTERVAL_S, self._ping)

    def _go_on_reading(self) -> None:
        self._resuming = None
        if self._tab.reads:
            self._resume_transport()

    def _look(self) -> None:
        self._looking = None
        transport = self._transport
        if transport is None or self._is_over:
            return
        if transport.is_closing() or _is_hung_up(transport):
            self.abort()
        else:
            self._looking = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _flush(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is None or transport.is_closing():
                continue
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
        if self._ending is None and transport is not None and self._protocol.close_expected():
            self._ending = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def _stop_timers(self) -> None:
        for timer in (self._pinging, self._resuming, self._ending, self._looking):
            if timer is not None:
                timer.cancel()
        self._pinging = self._resuming = self._ending = self._looking = None


def _is_hung_up(transport: asyncio.Transport) -> bool:
    """Whether the kernel knows that the connection is over, though there may be something left to read."""
    peer: socket.socket | None = transport.get_extra_info("socket")
    if peer is None:
        return bool(transport.get_extra_info("hung_up"))  # a network in memory says so itself
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(peer.fileno(), 0)  # asks for nothing but errors and hang-ups
    return bool(poll.poll(0))


def _reason_of(error: Exception | None) -> str:
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else "the connection was lost before the upgrade"
