"""One end of a connection in memory, as a protocol sees it: what asyncio's transport is over a socket.

It calls its protocol in the order in which asyncio's selector transport does, and never from within a call of the protocol's
own, but for ``pause_writing``. Underneath it does what a kernel does: closing sends what was written before the end, or a
reset where something was left unread; and what reaches an end that is closed is answered with a reset (RFC 9293 section
3.10.7, RFC 1122 section 4.2.2.13).
"""

import asyncio
import contextvars
import errno
import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from vuemantics_ws.simulation.clock.process import here
from vuemantics_ws.simulation.network.buffer import WriteBuffer
from vuemantics_ws.simulation.network.slicer import Slicer
from vuemantics_ws.simulation.network.stream import Mark, Stream

READ_BYTES_MAX = 256 * 1024
"""What is handed to a protocol at once, as asyncio reads."""


class VirtualTransport(asyncio.Transport):
    """One end. Made in the process that it belongs to; while that is paused its protocol hears nothing, and after its death
    never again, nor does anything that it does then leave.

    Args:
        host: whose end it is.
        nowhere: where what belongs to no process happens.
        inward, outward: what comes to it, and what it sends.
        make: makes the protocol. Called once it is connected.
        shut: called when nothing of it is left but what is on its way.
        read_bytes_max: what is handed to the protocol at once.
        slicer: cuts what the protocol first gets; None for nobody.
    """

    def __init__(
        self,
        host: str,
        inward: Stream,
        outward: Stream,
        make: Callable[[], asyncio.BaseProtocol],
        *,
        loop: asyncio.AbstractEventLoop,
        nowhere: contextvars.Context,
        shut: Callable[["VirtualTransport"], None],
        addresses: dict[str, object],
        read_bytes_max: int = READ_BYTES_MAX,
        slicer: Slicer | None = None,
    ) -> None:
        super().__init__(addresses)
        self.host = host
        self.context = contextvars.copy_context()
        self.is_shut = False
        """Its socket is closed."""
        self._make = make
        self._protocol: asyncio.BaseProtocol | None = None
        self._in = inward
        self._out = outward
        self._loop = loop
        self._process = here()
        self._nowhere = nowhere
        self._shut = shut
        self._read_bytes_max = read_bytes_max
        self._slicer = slicer
        self._buffer = WriteBuffer()
        self._awaits_open = True
        self._is_made = False
        self._is_paused = False
        self._is_writer_paused = False
        self._is_closing = False
        self._is_lost = False
        self._has_ended = False
        self._is_ended = False
        self._reads = False
        self._will_read = False
        self._will_flush = False
        self._lingers = True
        inward.reader, outward.writer = self, self

    # How it begins.

    def begin(self, begun: Callable[[], None] | None = None) -> asyncio.BaseProtocol:
        """It is connected: make its protocol, which hears of it next. ``begun`` is called after that."""
        self._awaits_open = False
        protocol = self._protocol = self._make()
        self._loop.call_soon(self._begin, begun, context=self.context)
        return protocol

    def _begin(self, begun: Callable[[], None] | None) -> None:
        assert self._protocol is not None
        self._is_made = True
        try:
            self._protocol.connection_made(self)
        finally:
            self._loop.call_soon(self._adjust_reading, context=self.context)
            if begun is not None:
                begun()

    # What the protocol does with it: reading.

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._is_closing

    def is_reading(self) -> bool:
        return not self._is_closing and not self._is_paused

    def pause_reading(self) -> None:
        if self.is_reading():
            self._is_paused = True
            self._reads = False

    def resume_reading(self) -> None:
        if not self._is_closing and self._is_paused:
            self._is_paused = False
            self._adjust_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What a socket's transport tells, but no socket. ``hung_up`` is whether the connection is known to be over, though
        there may be something left to read.
        """
        if name == "hung_up":
            self._in.land()
            return Mark.RESET in self._in.arrived or (self._has_ended and Mark.END in self._in.arrived)
        return super().get_extra_info(name, default)

    # What the protocol does with it: writing.

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not isinstance(data, bytes):
            if not isinstance(data, bytearray | memoryview):
                raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
            data = bytes(data)
        if self._has_ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._is_lost or self._is_ghost:
            return
        if self._in.is_reset and self._finds_reset():
            return
        if not self._buffer:
            sent = self._out.put(data)
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        self._buffer.add(data)
        self._pause_writer()

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview[Any]]") -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._is_closing or self._has_ended:
            return
        self._has_ended = True
        if not self._buffer and not self._is_ghost:
            self._out.mark(Mark.END)

    def get_write_buffer_size(self) -> int:
        return self._buffer.size_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._buffer.low_bytes, self._buffer.high_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._buffer.set_limits(high, low)
        self._pause_writer()

    # What the protocol does with it: ending.

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._reads = False
        if not self._buffer:
            self._lose(None)

    def abort(self) -> None:
        """What was written and has not left is lost. The peer finds an end, or a reset where something was left unread."""
        self._end_at_once(None)

    def reset(self) -> None:
        """As :meth:`abort`, and the peer finds a reset."""
        self._lingers = False
        self._end_at_once(None)

    # What the streams tell it. Nothing of the protocol's is called from here.

    @property
    def wants_to_know(self) -> bool:
        """Whether something that arrives concerns it now. It looks for itself when it reads again."""
        return self._reads or self._awaits_open or self.is_shut

    @property
    def told_in(self) -> contextvars.Context:
        return self._nowhere if self.is_shut else self.context

    def landed(self) -> None:
        """Something has arrived."""
        if self._reads or self._awaits_open:
            if not self._will_read:
                self._will_read = True
                self._loop.call_soon(self._read, context=self.context)
        elif self.is_shut:
            self._loop.call_soon(self._refuse, context=self._nowhere)
        elif self._buffer and self._in.is_reset:
            self._loop.call_soon(self._finds_reset, context=self.context)

    def arrived(self) -> None:
        """The same, told by the loop."""
        if self.is_shut:
            self._refuse()
        elif self._reads or self._awaits_open:
            if not self._will_read:
                self._read()
        elif self._buffer and self._in.is_reset:
            self._finds_reset()

    def takes_more(self) -> None:
        """There is room again for what it writes."""
        if self._buffer and not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush, context=self.context)

    # Reading.

    def _adjust_reading(self) -> None:
        reads = self._is_made and not (self._is_paused or self._is_closing or self._is_ended)
        if reads and not self._reads:
            self._reads = True
            self._in.land()
            if self._in.arrived:
                self.landed()
            self._in.attend()

    def _read(self) -> None:
        self._will_read = False
        stream = self._in
        stream.land()
        arrived = stream.arrived
        if self._awaits_open and arrived:
            if arrived.popleft() is Mark.OPEN:
                self.begin()
            else:  # it was reset before it came so far: nobody hears of it
                self.die()
            return
        if not self._reads or not arrived:
            return
        first = arrived[0]
        if isinstance(first, Mark):
            arrived.popleft()
            if first is Mark.END:
                self._read_end()
            else:
                self._end_at_once(_reset_error())
            return
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            self._read_into(self._protocol)
        else:
            data = self._take(self._read_bytes_max)
            try:
                cast(asyncio.Protocol, self._protocol).data_received(data)
            except Exception as error:  # noqa: BLE001 - as asyncio does: a fault of the protocol ends its connection
                self._fail(error, "Fatal error: protocol.data_received() call failed.")
        if self._reads:
            if arrived:
                self.landed()
            else:
                stream.attend()

    def _read_into(self, protocol: asyncio.BufferedProtocol) -> None:
        try:
            buffer = memoryview(protocol.get_buffer(-1))
            if not buffer:
                raise RuntimeError("get_buffer() returned an empty buffer")
            data = self._take(min(len(buffer), self._read_bytes_max))
            buffer[: len(data)] = data
            protocol.buffer_updated(len(data))
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error, "Fatal error: protocol.buffer_updated() call failed.")

    def _take(self, bytes_max: int) -> bytes:
        slicer = self._slicer
        if slicer is not None:
            bytes_max = slicer.next_bytes_max(bytes_max)
            if slicer.is_done:
                self._slicer = None
        return self._in.take(bytes_max)

    def _read_end(self) -> None:
        try:
            keeps_open = cast(asyncio.Protocol, self._protocol).eof_received()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if keeps_open:
            self._is_ended = True
            self._reads = False
        else:
            self.close()

    # Writing.

    def _flush(self) -> None:
        self._will_flush = False
        buffer = self._buffer
        if self._is_lost or not buffer or self._is_ghost:
            return
        buffer.send(self._out)
        if self._is_writer_paused and buffer.is_low:
            self._is_writer_paused = False
            self._tell("protocol.resume_writing() failed", lambda protocol: protocol.resume_writing())
        if not buffer:
            if self._is_closing:
                self._is_lost = True
                self._on_lost(None)
            elif self._has_ended:
                self._out.mark(Mark.END)

    def _pause_writer(self) -> None:
        if self._buffer.is_high and not self._is_writer_paused:
            self._is_writer_paused = True
            self._tell("protocol.pause_writing() failed", lambda protocol: protocol.pause_writing())

    def _tell(self, failure: str, call: Callable[[asyncio.BaseProtocol], object]) -> None:
        assert self._protocol is not None
        try:
            call(self._protocol)
        except Exception as error:  # noqa: BLE001 - as asyncio does: the connection goes on
            self._complain(error, failure)

    # Ending.

    @property
    def _is_ghost(self) -> bool:
        """Its process is dead, and yet something of it runs: it unwinds, and nothing of that reaches anybody."""
        return self._process is not None and self._process.is_dead

    def _finds_reset(self) -> bool:
        """Whether the peer's reset has come, which whoever writes is told before whoever reads."""
        self._in.land()
        if self.is_shut or Mark.RESET not in self._in.arrived:
            return False
        self._end_at_once(_reset_error())
        return True

    def _fail(self, error: Exception, message: str) -> None:
        if not isinstance(error, OSError):
            self._complain(error, message)
        self._end_at_once(error)

    def _complain(self, error: Exception, message: str) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )

    def _end_at_once(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._buffer.clear()
        self._is_closing = True
        self._reads = False
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._is_lost = True
        self._loop.call_soon(self._on_lost, error, context=self.context)

    def _on_lost(self, error: Exception | None) -> None:
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error)
        finally:
            self._protocol = None
            if not self._is_ghost:
                self.shut()

    def die(self) -> None:
        """Its host is gone: the peer finds a reset, and whoever is left on this end is told at once."""
        self._lingers = False
        self._end_at_once(None)
        self.shut()

    def shut(self) -> None:
        """Its socket is closed."""
        if self.is_shut:
            return
        self.is_shut = True
        self._awaits_open = False
        unread = self._in.drop_unread()
        if unread or not self._lingers:
            self._out.mark(Mark.RESET)
        elif not self._has_ended:
            self._out.mark(Mark.END)
        self._in.stop()
        self._in.attend()
        self._shut(self)

    def _refuse(self) -> None:
        """Somebody still sends to a closed socket."""
        if self._in.drop_unread() and not self._out.is_reset:
            self._out.mark(Mark.RESET)


def _reset_error() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
