"""One connection to a Redis in memory: it brings commands, and takes away what is said to it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import hiredis

from vuemantics_ws.simulation.resp.replies import ErrorReply, encode

OUTPUT_BYTES_MAX = 32 * 1024 * 1024
"""What may wait for a subscriber, as Redis has it by default: whoever leaves more unread is cut off."""

OUTPUT_BYTES_LONG = 8 * 1024 * 1024
OUTPUT_LONG_S = 60.0
"""And whoever leaves so much unread for so long."""

_INCOMPLETE = object()


class Connection(asyncio.Protocol):
    """What a server has of one client.

    Args:
        receive: called with all that comes, in its order, and with None when nothing comes any more.
        unsent: whoever has something to send is put there; :meth:`send` sends it.
        monotonic: seconds.
    """

    def __init__(
        self,
        receive: Callable[["Connection", bytes | None], None],
        unsent: list["Connection"],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.is_over = False
        self._receive = receive
        self._unsent = unsent
        self._monotonic = monotonic
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._said: list[bytes] = []
        self._is_full = False
        self._long_since: float | None = None
        self._transport: asyncio.Transport

    @property
    def subscriptions(self) -> int:
        return len(self.channels) + len(self.patterns)

    def commands(self, data: bytes) -> Iterator[list[bytes]]:
        """Those that are whole with what has just come, until the connection is over."""
        self._reader.feed(data)
        while not self.is_over:
            try:
                command: Any = self._reader.gets()
            except hiredis.ProtocolError:
                command = None
            if command is _INCOMPLETE:
                return
            if command.__class__ is not list:
                self.say(encode(ErrorReply("ERR Protocol error: expected a command as an array of strings")))
                self.send()
                self._transport.close()
                self.is_over = True
            elif command:
                yield command

    def say(self, data: bytes) -> None:
        if not self._said:
            self._unsent.append(self)
        self._said.append(data)

    def send(self) -> None:
        """All that was said, in one write."""
        said, self._said = self._said, []
        if not self.is_over and not self._transport.is_closing():
            self._transport.write(b"".join(said))
            if self._is_full and self.subscriptions:
                self._look_at_output()

    def end(self) -> None:
        """Cut it off: what was said and not sent is lost."""
        self.is_over = True
        self._transport.abort()

    def _look_at_output(self) -> None:
        waiting, now = self._transport.get_write_buffer_size(), self._monotonic()
        if waiting < OUTPUT_BYTES_LONG:
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now
        if waiting > OUTPUT_BYTES_MAX or (self._long_since is not None and now - self._long_since > OUTPUT_LONG_S):
            self.end()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.is_over:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._receive(self, data)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._long_since = None

    def connection_lost(self, error: Exception | None) -> None:
        self._receive(self, None)
