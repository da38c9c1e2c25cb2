"""One socket of the public port: the sans-I/O WebSocket protocol inside an asyncio.Protocol.

The library parses the handshake and the frames; deadlines, reassembly, UTF-8, rates and everything about sending are ours.
What a connection says and understands is passed in as its :class:`Conversation`.

Sending never waits. Frames go into the outbox; once a loop iteration the port flushes every touched connection, all of its
frames in one write. When the transport says that its buffer is full, states are conflated until the peer takes again.
"""

import asyncio
import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast

from websockets.exceptions import InvalidState
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.core.outbox import ConflatingOutbox
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway.handshake import shake_hands
from vuemantics_ws.gateway.inbound import Allowance, Assembly, Violation, check_text
from vuemantics_ws.gateway.kernel import STALL_CHECKS, StallWatch, tune
from vuemantics_ws.gateway.port import Conversation, Phase, Port
from vuemantics_ws.gateway.quiet import QUIET, log_fault
from vuemantics_ws.gateway.timers import NEVER

logger = logging.getLogger(__name__)

CHUNK_BYTES = 4_096
"""Bytes are parsed in pieces, so that a flood is noticed before all of it has been answered."""

CLOSING_BYTES_MAX = 64 * 1024
"""What is read of a peer that goes on after its end; the rest stays in the kernel."""


class Connection(asyncio.Protocol):
    """A receiver of frames with a socket behind it."""

    __slots__ = (
        "_allowance", "_assembly", "_close_by", "_code", "_conversation", "_heard_at", "_on_flushed", "_outbox", "_phase",
        "_ping_at", "_pinged_at", "_port", "_protocol", "_reading", "_stall", "_touched", "_unmetered",
        "_written", "due_tick", "number", "opened_at", "peer_address", "sent", "transport",
    )  # fmt: skip

    def __init__(self, port: Port, number: int) -> None:
        self.number = number
        """Counts the connections of a port, from 1: their order."""
        self.peer_address = ""
        self.opened_at = 0.0
        self.sent = 0
        """How many frames of the conversation were handed to the transport."""
        self.due_tick = 0
        self._port = port
        self._phase = Phase.HANDSHAKE
        self.transport: asyncio.Transport | None = None
        self._protocol: ServerProtocol | None = ServerProtocol(logger=QUIET)
        self._conversation: Conversation | None = None
        self._outbox: ConflatingOutbox[bytes] = ConflatingOutbox()
        self._assembly: Assembly | None = None
        self._allowance: Allowance | None = None
        self._code: int | None = None
        self._stall: StallWatch | None = None  # while the transport's buffer is full
        self._reading = True
        self._touched = False
        self._on_flushed: Callable[[], None] | None = None
        self._unmetered = 0  # bytes of the request, and of what comes after the end
        self._written = 0
        self._heard_at = 0.0
        self._pinged_at = 0.0
        self._ping_at = 0.0
        self._close_by = 0.0

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        port = self._port
        self._heard_at = self.opened_at = port.timers.now()
        self.transport.set_write_buffer_limits(high=port.write_buffer_bytes_max, low=port.write_buffer_bytes_max // 4)
        peer = transport.get_extra_info("peername")
        self.peer_address = peer[0] if isinstance(peer, tuple) else ""
        tune(
            transport.get_extra_info("socket"),
            unsent_bytes_max=port.unsent_bytes_max,
            stall_timeout_s=port.limits.stall_timeout_s,
        )
        self._close_by = self._heard_at + port.limits.handshake_timeout_s
        port.timers.schedule(self, self._close_by)
        port.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSED or self._protocol is None:
            return
        now = self._heard_at = self._port.timers.now()
        try:
            for start in range(0, len(data), CHUNK_BYTES):
                self._read(data[start : start + CHUNK_BYTES], now)
        except Violation as violation:
            self.close(violation.code, violation.reason)
        except Exception as error:  # noqa: BLE001 - see on_fault
            self.on_fault(error)

    def on_fault(self, error: Exception) -> None:
        """A fault of ours, which must cost this connection only."""
        log_fault(logger, f"connection {self.number}", error)
        try:
            self.close(CloseCode.INTERNAL_ERROR, "a fault of ours")
        except Exception:  # noqa: BLE001 - it is closing that fails
            self.abort()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def pause_writing(self) -> None:
        if self.transport is not None:
            now = self._port.timers.now()
            self._stall = StallWatch(self.transport, self._written, now)
            self._schedule(now)

    def resume_writing(self) -> None:
        self._stall = None
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_conversation()
        self._phase = Phase.CLOSED
        self._port.timers.cancel(self)
        protocol, self._protocol = self._protocol, None
        if self._code is None and protocol is not None and self._allowance is not None:
            self._code = protocol.close_rcvd.code if protocol.close_rcvd is not None else 1006
        self._outbox.clear()
        self._on_flushed = None
        self.transport = None
        self._port.ended(self, self._code)

    # Receiving.

    def _read(self, data: bytes, now: float) -> None:
        protocol = self._protocol
        if protocol is None or self._phase is Phase.CLOSED:
            return
        if self._phase is Phase.HANDSHAKE:
            data = self._shake_hands(protocol, data)
            protocol = self._protocol
            if not data or protocol is None:
                return
        if self._phase is Phase.CLOSING:
            self._unmetered += len(data)
            if self._unmetered > CLOSING_BYTES_MAX and self.transport is not None:
                self.transport.pause_reading()
                return
        protocol.receive_data(data)
        limits = self._port.limits
        if protocol.state is OPEN:
            self._write_protocol_data()  # pongs, which a peer may want before the rest of a message
        for frame in protocol.events_received():
            if self._phase is not Phase.OPEN:
                break
            assert isinstance(frame, WebSocketFrame)
            assert self._allowance is not None
            if not self._allowance.spend(now, burst=limits.messages_burst_max, per_s=limits.messages_per_s):
                raise Violation(CloseCode.TOO_MANY_MESSAGES, "too many messages")
            self._take_frame(frame)
        self._write_protocol_data()

    def _shake_hands(self, protocol: ServerProtocol, data: bytes) -> bytes:
        """What came behind the request, once it is whole and the socket upgraded; nothing before, or where it is refused."""
        bytes_left = self._port.limits.request_bytes_max - self._unmetered
        rest = shake_hands(protocol, data, answer=partial(self._port.answer, self), bytes_max=bytes_left)
        self._unmetered += len(data) - len(rest)
        if protocol.state is OPEN:
            self._upgrade(protocol)
            return rest
        if protocol.writes:
            self._phase = Phase.CLOSING
            self._write_protocol_data()
        return b""

    def _upgrade(self, shaken: ServerProtocol) -> None:
        """A fresh protocol in place of the one that holds the request: half of a connection's memory goes with it."""
        self._transport_write(b"".join(shaken.data_to_send()))
        self._protocol = ServerProtocol(state=OPEN, max_size=self._port.limits.message_before_auth_bytes_max, logger=QUIET)
        now = self._heard_at
        self._phase = Phase.OPEN
        self._allowance = Allowance(self._port.limits.messages_burst_max, now)
        self._ping_at = now + self._port.first_ping_after()
        self._conversation = self._port.converse(self)
        self._port.timers.cancel(self)
        self._schedule(now)

    def _take_frame(self, frame: WebSocketFrame) -> None:
        assert self._conversation is not None
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if not frame.fin:
                self._assembly = Assembly(frame, fragments_max=self._port.limits.fragments_max)
            elif opcode is Opcode.TEXT:
                self._conversation.on_text(check_text(frame.data))
            else:
                self._conversation.on_binary(bytes(frame.data))
        elif opcode is Opcode.CONT:
            assert self._assembly is not None  # the library refuses a continuation of nothing
            whole = self._assembly.add(frame)
            if whole is not None:
                binary, self._assembly = self._assembly.binary, None
                (self._conversation.on_binary if binary else self._conversation.on_text)(whole)

    # Sending.

    def put_state(self, upload_id: str, frame: Frame) -> None:
        self._outbox.put_state(upload_id, frame.data)
        if not self._touched:
            if self._stall is None:
                self._touched = True
                self._port.touch(self)
            else:
                self._outbox.wait(self._port.timers.now(), upload_id)
                self._port.waiting(1)

    def put_direct(self, frame: Frame) -> None:
        if not self._add_direct(frame.data):
            self.flush()  # many at once are no offence of a peer that takes them
            if not self._add_direct(frame.data):
                asyncio.get_running_loop().call_soon(self.close, CloseCode.STALLED, "too many messages wait")
                return
        self._touch()

    def _add_direct(self, frame: bytes) -> bool:
        limits = self._port.limits
        return self._outbox.add_direct(frame, count_max=limits.direct_messages_max, bytes_max=limits.direct_bytes_max)

    def reply(self, frame: bytes) -> None:
        """An answer to this peer. While too many of them wait, nothing more is read from it."""
        if self._phase is not Phase.OPEN:
            return
        self._outbox.add_reply(frame)
        if self._reading and self._outbox.reply_bytes > self._port.limits.reply_bytes_max and self.transport is not None:
            self._reading = False
            self.transport.pause_reading()
        self._touch()

    def discard(self, upload_id: str) -> None:
        self._outbox.discard(upload_id)

    def holds(self, upload_id: str) -> bool:
        return self._outbox.holds(upload_id)

    def _touch(self) -> None:
        if not self._touched and self._stall is None:
            self._touched = True
            self._port.touch(self)

    def flush(self) -> None:
        """Hand to the transport what it takes: all that is pending, or until its buffer is full."""
        self._touched = False
        outbox = self._outbox
        if self._phase is Phase.OPEN:
            bytes_max = self._port.limits.write_bytes_max
            while self._stall is None and (frames := outbox.take(bytes_max)):
                self.sent += len(frames)
                self._transport_write(frames[0] if len(frames) == 1 else b"".join(frames))
            if self._stall is not None or outbox.waits:
                self._note_waiting()
        if not self._reading and outbox.reply_bytes <= self._port.limits.reply_bytes_max:
            self._heard_at = self._port.timers.now()
            self._read_on()
        if self._on_flushed is not None and self._stall is None and not outbox:
            flushed, self._on_flushed = self._on_flushed, None
            flushed()

    def _note_waiting(self) -> None:
        """The slow path: what has left waited for so long, and what is still there waits from now on."""
        now = self._port.timers.now()
        for waited_s in self._outbox.left(now):
            self._port.waited(waited_s)
        if self._stall is not None:
            self._port.waiting(self._outbox.wait(now))

    def _read_on(self) -> None:
        self._reading = True
        if self.transport is not None:
            self.transport.resume_reading()

    def _write_protocol_data(self) -> None:
        """Send what the library wants sent: pongs as replies, a close frame at once, and the end of the stream."""
        if self._protocol is None:
            return
        for data in self._protocol.data_to_send():
            if data == b"":
                self._shut()
            elif self._phase is Phase.OPEN and self._protocol.state is OPEN:
                self.reply(data)
            else:
                self._transport_write(data)
        if self._phase is Phase.OPEN and self._protocol.state is not OPEN:
            sent = self._protocol.close_sent  # the peer closed, or broke the protocol
            self._begin_closing(sent.code if sent is not None else 1006)

    def _transport_write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():  # asyncio would log what it cannot send
            self._written += len(data)
            self.transport.write(data)

    # Ending.

    def close(self, code: CloseCode, reason: str) -> None:
        """Say what may still be said, then close. Ends within ``close_timeout_s``, whatever the peer does."""
        if self._phase is not Phase.OPEN or self._protocol is None:
            return
        self._on_flushed = None
        self.flush()
        with suppress(InvalidState):  # what came behind it broke the protocol, or closed: the library has answered already
            self._protocol.send_close(int(code), reason)
        sent = self._protocol.close_sent
        self._begin_closing(sent.code if sent is not None else int(code))
        self._write_protocol_data()

    def when_flushed(self, flushed: Callable[[], None]) -> None:
        """Call back as soon as nothing waits in the outbox any more; never, where the connection ends before."""
        self._on_flushed = flushed
        self._touch()

    def abort(self) -> None:
        """Drop the socket with all that is pending."""
        if self.transport is not None:
            self.transport.abort()

    def _begin_closing(self, code: int) -> None:
        self._phase = Phase.CLOSING
        self._code = code
        self._outbox.clear()
        self._end_conversation()
        if not self._reading:
            self._read_on()  # the peer's close frame is still wanted
        now = self._port.timers.now()
        self._close_by = now + self._port.limits.close_timeout_s
        self._port.timers.schedule(self, self._close_by)

    def _shut(self) -> None:
        """End the stream on our side, and wait for the peer to end its own: closing with unread bytes would reset it."""
        if self._phase is Phase.CLOSING and self._code is None:  # a refused request
            self._close_by = self._port.timers.now() + self._port.limits.close_timeout_s
            self._port.timers.schedule(self, self._close_by)
        if self.transport is not None and not self.transport.is_closing():
            with suppress(OSError):
                self.transport.write_eof()

    def _end_conversation(self) -> None:
        conversation, self._conversation = self._conversation, None
        self._assembly = None
        if conversation is not None:
            conversation.on_closed()

    # Deadlines.

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def user_id(self) -> str | None:
        """Who the peer has shown to be."""
        return self._conversation.user_id if self._conversation is not None else None

    @property
    def conflated(self) -> int:
        return self._outbox.conflated

    @property
    def sent_bytes(self) -> int:
        """All that was handed to the transport, the handshake's answer and closes included."""
        return self._written

    @property
    def is_slow(self) -> bool:
        """Whether the transport's buffer is full right now."""
        return self._stall is not None

    def taken_nothing_s(self, now: float) -> float:
        """For how long the peer has taken nothing though something waits for it; 0 while it keeps up."""
        return self._stall.lasts(self._written, now) if self._stall is not None else 0.0

    def behind_s(self, now: float) -> float:
        """For how long the peer has been owed a newer state than the one that was handed to its socket."""
        since = self._outbox.waiting_since
        return now - since if since is not None else 0.0

    def silent_s(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self._heard_at

    @property
    def pending_bytes(self) -> int:
        """What waits in the outbox and in the transport, which is all that it costs us; what the kernel holds is beside it."""
        return self._outbox.pending_bytes + (self.transport.get_write_buffer_size() if self.transport is not None else 0)

    def load(self) -> tuple[int, int, bool]:
        """``conflated``, ``pending_bytes`` and ``is_slow`` at once, for whoever asks them of all connections."""
        outbox, transport = self._outbox, self.transport
        pending_bytes = outbox.pending_bytes
        if transport is not None:
            pending_bytes += transport.get_write_buffer_size()
        return outbox.conflated, pending_bytes, self._stall is not None

    def authenticated(self) -> None:
        """The peer has shown who it is: larger messages are welcome, and its conversation has another deadline."""
        if self._protocol is not None:
            self._protocol.max_message_size = self._port.limits.message_bytes_max
        self._schedule(self._port.timers.now())

    def on_timer(self, now: float) -> float:
        try:
            return self._on_due(now)
        except Exception as error:  # noqa: BLE001 - see on_fault
            self.on_fault(error)
            return NEVER

    def _on_due(self, now: float) -> float:
        if self._phase is not Phase.OPEN:
            if self._phase is not Phase.CLOSED and now >= self._close_by:
                self.abort()
                return NEVER
            return self._close_by
        assert self._conversation is not None
        if now >= self._conversation.deadline:
            self._conversation.on_deadline(now)
        elif self._stall is not None and self._stall.lasts(self._written, now) >= self._port.limits.stall_timeout_s:
            self.close(CloseCode.STALLED, "took nothing for too long")
        elif now >= self._silent_at():
            self._break_silence(now)
        elif now >= self._ping_at:
            self._ping_at = now + self._port.limits.ping_interval_s
            self._conversation.on_liveness_due()
        return self._due_at(now)

    def _schedule(self, now: float) -> None:
        self._port.timers.schedule(self, self._due_at(now))

    def _due_at(self, now: float) -> float:
        if self._phase is not Phase.OPEN or self._conversation is None:
            return self._close_by if self._phase is Phase.CLOSING else NEVER
        due_at = min(self._conversation.deadline, self._ping_at, self._silent_at())
        return due_at if self._stall is None else min(due_at, now + self._port.limits.stall_timeout_s / STALL_CHECKS)

    def _silent_at(self) -> float:
        limits = self._port.limits
        if not self._reading:
            return NEVER  # its signs of life wait unread, and the stall watch looks after it
        if self._pinged_at > self._heard_at:
            return self._pinged_at + limits.silence_grace_s
        return self._heard_at + limits.silence_timeout_s

    def _break_silence(self, now: float) -> None:
        if self._pinged_at > self._heard_at:
            self.close(CloseCode.SILENT, "no sign of life")
        elif self._protocol is not None:
            self._pinged_at = now
            self._protocol.send_ping(struct.pack("!I", self.number & 0xFFFFFFFF))
            self._write_protocol_data()
