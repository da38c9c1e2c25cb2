"""One connection to a Redis server on which we listen: what it says is handed on reply by reply (the hot path).

RESP2: replies and what is published come in one order, so that a reply belongs to the oldest command that has none.
"""

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast

import hiredis

from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.connections import connect_to_first
from vuemantics_ws.errors import BrokerAway

CONNECT_TIMEOUT_S = 2.0
"""What connecting, TLS and introducing ourselves may take together."""

ANSWER_TIMEOUT_S = 2.0
"""What the answer to one command may take."""

REPLY_BYTES_MAX = 4 * 1024 * 1024
"""No event is as large, and no answer that we ask for."""

CLIENT_NAME = b"vuemantics-ws"
"""How CLIENT LIST shows us."""

Receive = Callable[[Any], None]

_INCOMPLETE = object()
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def server_name(address: RedisAddress, endpoint: Endpoint | None) -> str:
    """How an operator is told of a server: ``redis at 127.0.0.1:6379``."""
    return f"redis at {address.path}" if endpoint is None else f"redis at {endpoint.host}:{endpoint.port}"


class Link(asyncio.Protocol):
    """One connection. ``lost`` gets the reason when it is no more; nothing is ever raised from it.

    A reply that is no Redis protocol, or larger than ``REPLY_BYTES_MAX``, ends it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._receive: Receive = self._answer
        self._read_ended: Callable[[], None] = _nothing
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport
        self._paused = False
        self._unsent: deque[bytes] = deque()

    @classmethod
    async def open(cls, address: RedisAddress, endpoint: Endpoint | None, *, authenticate: bool = True) -> Self:
        """Connect and introduce ourselves, within ``CONNECT_TIMEOUT_S``. No endpoint means the address' socket file.

        Raises:
            BrokerAway: it cannot be reached, does not answer in time, or refuses us.
        """
        link = cls(server_name(address, endpoint))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await link._connect(address, endpoint)
                await link._introduce(address if authenticate else None)
        except BaseException as error:
            link.drop("given up")
            if isinstance(error, TimeoutError):  # an OSError, too
                raise BrokerAway(f"{link.name} does not answer{' over TLS' if address.tls else ''}") from None
            if isinstance(error, OSError):
                raise BrokerAway(f"{link.name} cannot be reached: {_cause(error)}") from None
            raise
        return link

    async def ask(self, *command: bytes | str | int) -> Any:
        """The answer to one command, within ``ANSWER_TIMEOUT_S``; only before :meth:`listen`.

        Raises:
            BrokerAway: the connection is lost, it does not answer, or the answer is an error.
        """
        if self.lost.done():
            raise BrokerAway(self.lost.result())
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self.send(pack(*command))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reply = await answer
        except TimeoutError:
            raise BrokerAway(f"{self.name} does not answer") from None
        if isinstance(reply, hiredis.ReplyError):
            raise BrokerAway(f"{self.name} {refusal(reply)}")
        return reply

    def listen(self, receive: Receive, read_ended: Callable[[], None]) -> None:
        """From now on each reply goes to ``receive``, and ``read_ended`` is called after all that one read brought."""
        self._receive, self._read_ended = receive, read_ended

    def send(self, data: bytes) -> None:
        """Write, or keep while the socket takes no more."""
        if self._paused:
            self._unsent.append(data)
        else:
            self._transport.write(data)

    def drop(self, reason: str) -> None:
        """End it at once. The first reason counts."""
        if not self.lost.done():
            self.lost.set_result(reason)
            for answer in self._answers:
                if not answer.done():
                    answer.set_exception(BrokerAway(reason))
            self._answers.clear()
            self._unsent.clear()
        transport = getattr(self, "_transport", None)
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of another family
        if self.lost.done():
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        reader, receive = self._reader, self._receive
        gets = reader.gets
        reader.feed(data)
        try:
            while (reply := gets()) is not _INCOMPLETE:
                receive(reply)
        except hiredis.ProtocolError:
            self.drop(f"{self.name} speaks another protocol than Redis")
        if reader.len() > REPLY_BYTES_MAX:
            self.drop(f"{self.name} sent a reply of more than {REPLY_BYTES_MAX} bytes")
        self._read_ended()

    def connection_lost(self, error: Exception | None) -> None:
        self.drop(f"{self.name} closed the connection" if error is None else f"the connection to {self.name} broke")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._unsent and not self._paused:
            self._transport.write(self._unsent.popleft())

    async def _connect(self, address: RedisAddress, endpoint: Endpoint | None) -> None:
        loop = asyncio.get_running_loop()
        if endpoint is None:
            await loop.create_unix_connection(lambda: self, address.path)
            return
        tls: dict[str, Any] = {"ssl": _tls_as(address), "server_hostname": endpoint.host} if address.tls else {}
        await connect_to_first(
            endpoint.host, endpoint.port, lambda host: loop.create_connection(lambda: self, host, endpoint.port, **tls)
        )
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is None:  # not every transport has one
            return
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    async def _introduce(self, address: RedisAddress | None) -> None:
        if address is not None and address.password is not None:
            user = () if address.username is None else (address.username,)
            await self.ask(b"AUTH", *user, address.password)
        await self.ask(b"CLIENT", b"SETNAME", CLIENT_NAME)

    def _answer(self, reply: Any) -> None:
        if not self._answers:
            self.drop(f"{self.name} answered what nobody asked")
            return
        answer = self._answers.popleft()
        if not answer.done():
            answer.set_result(reply)


def pack(*command: bytes | str | int) -> bytes:
    """A command as it is sent."""
    return hiredis.pack_command(command)  # type: ignore[arg-type, no-any-return]  # its stub knows one argument


def refusal(error: hiredis.ReplyError) -> str:
    """What an error reply says, in words that follow the server's name. Nothing of its text is quoted but its first word."""
    kind = str(error).partition(" ")[0]
    if kind == "ERR" and "SENTINEL" in str(error):
        return "is no Sentinel"
    return _REFUSALS.get(kind, f"answered {kind}")


_REFUSALS = {
    "NOAUTH": "wants a password",
    "WRONGPASS": "refuses our user or password",
    "NOPERM": "does not let our user do what is needed",
    "LOADING": "is loading its data",
    "CLUSTERDOWN": "says that its cluster is down",
}


def _tls_as(address: RedisAddress) -> ssl.SSLContext:
    """How its certificate is to be verified."""
    context = ssl.create_default_context(cafile=address.ca)
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _cause(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or 'unknown').lower().replace('_', ' ')})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, FileNotFoundError):
        return "a file that the URL names is missing"
    return os.strerror(error.errno).lower() if error.errno else "no address of it answers"


def _nothing() -> None:
    pass
