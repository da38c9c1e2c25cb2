"""Sockets that listen, for one process or for several on one port."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from vuemantics_ws.errors import EnvironmentUnfit

BACKLOG = 128
"""Sockets that the kernel holds for us. All of them may be accepted at once, so they must fit the unauthenticated places."""

Address = tuple[str, int]

OpenPort = Callable[[Callable[[], asyncio.Protocol], str, int], Awaitable[tuple[asyncio.AbstractServer, Address]]]
"""Opens a port on which each connection gets a protocol, and says where it is: a port 0 stands for a free one.

Raises:
    EnvironmentUnfit: the address cannot be had.
"""


async def open_port(
    make: Callable[[], asyncio.Protocol], host: str, port: int, *, shared: bool = False
) -> tuple[asyncio.AbstractServer, Address]:
    """Open a public port on this machine. ``shared`` is as :func:`listen` has it."""
    listener = listen(host, port, "--port", shared=shared)
    address: Address = listener.getsockname()[:2]
    return await asyncio.get_running_loop().create_server(make, sock=listener, backlog=BACKLOG), address


def listen(host: str, port: int, option: str, *, shared: bool = False) -> socket.socket:
    """A socket that listens there; a shared one beside those of other processes of this user that say the same.

    Linux spreads connections over the sockets that share a port. macOS gives all of them to the last one.

    Its protocol is named, because asyncio sets TCP_NODELAY only on sockets whose protocol it knows, and accepted ones inherit
    it: without, every second write of a connection waits 40 ms for the peer's delayed acknowledgement.

    Raises:
        EnvironmentUnfit: the name does not resolve, or the address is taken or not ours.
    """
    return _bound(host, port, option, socket.SO_REUSEADDR, *([socket.SO_REUSEPORT] if shared else []), backlog=BACKLOG)


def reserve(host: str, port: int, option: str) -> socket.socket:
    """A socket that does not listen, and has a port that others may share with it for as long as it is open.

    Raises:
        EnvironmentUnfit: as :func:`listen`; also where somebody listens there who would share.
    """
    if port:
        _bound(host, port, option, socket.SO_REUSEADDR).close()
    return _bound(host, port, option, socket.SO_REUSEPORT)


def _bound(host: str, port: int, option: str, *options: int, backlog: int | None = None) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind, socket.IPPROTO_TCP)
    except OSError as error:
        raise _cannot_listen(host, port, option, error) from None
    try:
        bound.setblocking(False)
        for name in options:
            bound.setsockopt(socket.SOL_SOCKET, name, 1)
        bound.bind(address)
        if backlog is not None:
            bound.listen(backlog)
    except OSError as error:
        bound.close()
        raise _cannot_listen(host, port, option, error) from None
    return bound


def _cannot_listen(host: str, port: int, option: str, error: OSError) -> EnvironmentUnfit:
    reason = (error.strerror or str(error)).lower()
    hint = f"stop what listens there, or choose another with {option}"
    return EnvironmentUnfit(f"cannot listen on {host} port {port}: {reason}", hint=hint)
