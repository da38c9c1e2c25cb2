"""How a simulated browser reaches a server over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

from websockets.uri import WebSocketURI

from vuemantics_ws.simulation.network.dial import Dial

READ_BYTES = 2 * 1024
"""What such a browser takes at once. One that empties its buffer in one gulp and then rests has a window that is closed most of
the time, and a kernel that has found it closed tries again after longer and longer pauses.
"""

_FAR_AWAY = {"TCP_MAXSEG": 1400, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 30}
"""In bytes, seconds, seconds, and a count.

A kernel reopens a window only once a whole segment fits, and those of loopback are as large as the buffer: a reader that takes
little by little would get nothing for seconds. A server that drops whoever reads nothing cannot tell it so, but its kernel
does, when it is asked.
"""


def tcp(uri: WebSocketURI, *, receive_buffer_bytes: int | None = None, by: tuple[str, int] | None = None) -> Dial:
    """Dial over TCP, and over TLS where the scheme says so.

    Args:
        by: who passes it on, where the server is not reached itself.
        receive_buffer_bytes: what the kernel may hold for a browser that reads slowly. Its own default would take megabytes
            at once, and a slow reader would look like a fast one for a long time. Such a browser hears of its server's end
            through the kernel, too.
    """
    secure = True if uri.secure else None
    host, port = by or (uri.host, uri.port)
    server_name = uri.host if secure else None

    async def dial(make: Callable[[], asyncio.Protocol]) -> Any:
        loop = asyncio.get_running_loop()
        if receive_buffer_bytes is None:
            return await loop.create_connection(make, host, port, ssl=secure, server_hostname=server_name)
        address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
        connected = socket.socket(address[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            connected.setblocking(False)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            _move_away(connected)
            await loop.sock_connect(connected, address[4])
            return await loop.create_connection(
                lambda: _InPieces(make()), sock=connected, ssl=secure, server_hostname=server_name
            )
        except BaseException:
            connected.close()
            raise

    return dial


class _InPieces(asyncio.BufferedProtocol):
    """Hands on to a protocol what comes, piece by piece."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._buffer = bytearray(READ_BYTES)
        self.connection_made = protocol.connection_made  # type: ignore[method-assign]
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))


def _move_away(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _FAR_AWAY.items():
        option = getattr(socket, name, None)
        if option is not None:  # not every system has all of them
            with contextlib.suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, option, value)
