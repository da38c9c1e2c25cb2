"""What only the kernel knows of a socket, and what it must be told."""

import asyncio
import socket
import struct
import sys
from contextlib import suppress

if sys.platform != "win32":  # there a peer is judged by what the transport still holds
    from fcntl import ioctl
    from termios import TIOCOUTQ

STALL_CHECKS = 15
"""How often a connection that takes nothing is looked at within its stall timeout."""


def tune(peer: socket.socket | None, *, unsent_bytes_max: int, stall_timeout_s: float) -> None:
    """Keep the kernel from hiding a backlog of stale frames, and from keeping a dead peer for a quarter of an hour."""
    if peer is None:
        return
    options = {"TCP_NOTSENT_LOWAT": unsent_bytes_max, "TCP_USER_TIMEOUT": int((stall_timeout_s + 10) * 1000)}
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:
            with suppress(OSError):
                peer.setsockopt(socket.IPPROTO_TCP, option, value)


class StallWatch:
    """How long a peer has taken nothing, from the moment at which the transport's buffer was full.

    A kernel reopens a small window only every few seconds, so it is bytes that the peer has acknowledged that count, over the
    whole time.
    """

    __slots__ = ("_since", "_taken", "_transport")

    def __init__(self, transport: asyncio.Transport, written: int, now: float) -> None:
        self._transport = transport
        self._since = now
        self._taken = written - self._waiting()

    def lasts(self, written: int, now: float) -> float:
        """Seconds since the peer last took something. ``written`` is all that was ever given to the transport, in bytes."""
        taken = written - self._waiting()
        if taken > self._taken:
            self._taken, self._since = taken, now
        return now - self._since

    def _waiting(self) -> int:
        waiting = self._transport.get_write_buffer_size()
        peer = self._transport.get_extra_info("socket")
        if sys.platform != "win32" and peer is not None:
            with suppress(OSError):
                waiting += struct.unpack("i", ioctl(peer.fileno(), TIOCOUTQ, bytes(4)))[0]
        return waiting
