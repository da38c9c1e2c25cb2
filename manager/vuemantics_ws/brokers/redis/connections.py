"""redis-py's connections, with two faults less.

Where a server's name leads is found before anybody connects. uvloop's ``create_connection``, cancelled while it looks a name
up, leaves a future behind whose error nobody gets, and which the loop complains of. Its ``getaddrinfo`` leaves nothing.

One that was reset while nobody used it counts as lost. redis-py sees only what ended in good order, and whoever came next
would send into nothing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

T = TypeVar("T")


async def connect_to_first(host: str, port: int, connect: Callable[[str], Awaitable[T]]) -> T:
    """What ``connect`` returns for the first address of a name that it reaches.

    Raises:
        OSError: the name has none, or what the last one raised.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # two dots side by side, or more than 63 characters between them
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from None
    *others, last = dict.fromkeys(str(address[0]) for *_, address in found)
    for address in others:
        with contextlib.suppress(OSError):
            return await connect(address)
    return await connect(last)


class ResolvedConnection(Connection):
    """redis-py's connection. All its addresses together have ``socket_connect_timeout``."""

    _address: str

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            await connect_to_first(self.host, self.port, self._connect_to_address)

    async def _connect_to_address(self, address: str) -> None:
        self._address = address
        await super()._connect()  # type: ignore[no-untyped-call]

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments: dict[str, Any] = {**super()._connection_arguments(), "host": self._address}
        return arguments | ({"server_hostname": self.host} if "ssl" in arguments else {})

    async def can_read(self) -> bool:
        """Whether there is something to read before anything was asked: then whoever takes it from a pool opens it anew."""
        was_reset = self._reader is not None and self._reader.exception() is not None
        return was_reset or await super().can_read()


class ResolvedSSLConnection(ResolvedConnection, SSLConnection):
    """The same with TLS, for the name and not for the address."""


class ResolvedMasterConnection(ResolvedConnection, SentinelManagedConnection):
    """The same to the master that Sentinels name."""


class ResolvedMasterSSLConnection(ResolvedConnection, SentinelManagedSSLConnection):
    """Both."""
