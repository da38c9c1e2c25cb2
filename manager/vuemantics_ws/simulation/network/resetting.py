"""The rude end of a connection."""

import asyncio
import contextlib
import socket
import struct

from vuemantics_ws.simulation.network.transport import VirtualTransport

_AT_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End it with a reset to the peer (RFC 9293 section 3.10.7). What was written and has not left is lost."""
    if isinstance(transport, VirtualTransport):
        transport.reset()
        return
    connected = transport.get_extra_info("socket")
    if connected is not None:
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_CLOSE)
    transport.abort()
