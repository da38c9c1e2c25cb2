"""How a simulated browser reaches a server over real sockets."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from websockets.uri import WebSocketURI

from vuemantics_ws.simulation.browser import Dial


def tcp(uri: WebSocketURI, *, receive_buffer_bytes: int | None = None) -> Dial:
    """Dial over TCP, without TLS.

    Args:
        receive_buffer_bytes: what the kernel may hold for a browser that reads slowly. Its own default would take megabytes
            at once, and a slow reader would look like a fast one for a long time.
    """
    assert not uri.secure, "TLS is not built yet"

    async def dial(make: Callable[[], asyncio.Protocol]) -> Any:
        loop = asyncio.get_running_loop()
        if receive_buffer_bytes is None:
            return await loop.create_connection(make, uri.host, uri.port)
        address = (await loop.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM))[0]
        connected = socket.socket(address[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            connected.setblocking(False)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            await loop.sock_connect(connected, address[4])
            return await loop.create_connection(make, sock=connected)
        except BaseException:
            connected.close()
            raise

    return dial
