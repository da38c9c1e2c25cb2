"""Asks control ports of this machine for somebody else: what was asked and what was answered are passed on as they are.

It speaks HTTP through h11 on plain streams, since every event that is published at a supervisor comes through here: a request
costs it an eighth of what httpx takes for one.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import h11

from vuemantics_ws.client.control import LINE_BYTES_MAX
from vuemantics_ws.errors import EnvironmentUnfit

CONNECT_TIMEOUT_S = 2.0
READ_BYTES = 64 * 1024

_UNKNOWN = "whether it did what it was asked is not known"


class Asked(NamedTuple):
    """A request. ``target`` is its path with its query, as they came."""

    method: str
    target: str
    content_type: str | None = None
    body: bytes = b""


class Answer(NamedTuple):
    """An answer that has an end."""

    status: int
    content_type: str
    body: bytes


class Unreached(EnvironmentUnfit):
    """Nobody is there, so nothing was asked."""


class Relay:
    """Asks, and keeps its connections. Use it as a context manager: they are closed at the end."""

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._idle: dict[str, list[_Connection]] = {}
        self._turn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    def in_turn(self, controls: Sequence[str]) -> list[str]:
        """All of them, each time beginning with another."""
        self._turn += 1
        first = self._turn % max(1, len(controls))
        return [*controls[first:], *controls[:first]]

    async def ask_any(self, controls: Sequence[str], asked: Asked, *, harmless_twice: bool) -> Answer:
        """Ask one of them, each time another, and the next one where that one is not there.

        Raises:
            EnvironmentUnfit: none is there, or the one that was asked went away and it is not ``harmless_twice`` to ask again.
        """
        error = EnvironmentUnfit("no worker answers", hint="the log of the server says why")
        for control in self.in_turn(controls):
            try:
                return await self.ask(control, asked)
            except Unreached:
                pass
            except EnvironmentUnfit as lost:
                error = lost
                if not harmless_twice:
                    break
        raise error

    async def ask(self, control: str, asked: Asked) -> Answer:
        """Raises:
        Unreached: no connection can be made.
        EnvironmentUnfit: it did not answer in time, or went away.
        """
        idle = self._idle.setdefault(control, [])
        while idle and idle[-1].is_gone:
            idle.pop().close()
        connection = idle.pop() if idle else await self._connect(control)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await connection.ask(asked)
        except TimeoutError:
            connection.close()
            raise EnvironmentUnfit(f"a worker does not answer within {self._timeout_s:g} s", hint=_UNKNOWN) from None
        except (OSError, h11.RemoteProtocolError):
            connection.close()
            raise EnvironmentUnfit("a worker went away before it had answered", hint=_UNKNOWN) from None
        except BaseException:
            connection.close()
            raise
        if connection.is_free:
            idle.append(connection)
        else:
            connection.close()
        return answer

    @asynccontextmanager
    async def stream(self, control: str, target: str) -> AsyncGenerator["AsyncGenerator[bytes, None] | Answer", None]:
        """The lines of an endless answer, each without its end, as they come; or the answer where it is another.

        Raises:
            EnvironmentUnfit: it is not there. The lines raise it as well, when it goes away.
        """
        connection = await self._connect(control)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await connection.begin(Asked("GET", target))
            if response.status_code == 200:
                async with aclosing(_lines(connection)) as lines:
                    yield lines
            else:
                yield await connection.rest_of(response)
        except (OSError, h11.RemoteProtocolError):
            raise EnvironmentUnfit("a worker went away") from None
        finally:
            connection.close()

    async def _connect(self, control: str) -> "_Connection":
        for of, idle in list(self._idle.items()):  # those of workers that have ended: nobody will ask for them again
            if idle and all(connection.is_gone for connection in idle):
                for connection in self._idle.pop(of):
                    connection.close()
        where = urlsplit(control)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
        except OSError:
            raise Unreached("no worker answers") from None
        return _Connection(where.netloc, reader, writer)


class _Connection:
    """One request at a time."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @property
    def is_gone(self) -> bool:
        """Whether the other end has been closed."""
        return self._reader.at_eof()

    @property
    def is_free(self) -> bool:
        """Whether it has been answered, and may be asked again."""
        return self._http.our_state is h11.IDLE

    def close(self) -> None:
        self._writer.close()

    async def ask(self, asked: Asked) -> Answer:
        return await self.rest_of(await self.begin(asked))

    async def begin(self, asked: Asked) -> h11.Response:
        """Ask, and wait for what is said before the body."""
        headers = [("Host", self._host), ("Content-Length", str(len(asked.body)))]
        if asked.content_type is not None:
            headers.append(("Content-Type", asked.content_type))
        request = h11.Request(method=asked.method, target=asked.target, headers=headers)
        for event in (request, h11.Data(asked.body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        response = await self._next()
        assert isinstance(response, h11.Response)
        return response

    async def rest_of(self, response: h11.Response) -> Answer:
        body = bytearray()
        async for data in self.data():
            body += data
            if len(body) > LINE_BYTES_MAX:
                raise h11.RemoteProtocolError("too much")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        kind = next((value for name, value in response.headers if name == b"content-type"), b"")
        return Answer(response.status_code, kind.decode("latin-1"), bytes(body))

    async def data(self) -> AsyncGenerator[bytes, None]:
        """The body, as it comes."""
        while isinstance(event := await self._next(), h11.Data):
            yield event.data

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_BYTES))
        return event


async def _lines(connection: _Connection) -> AsyncGenerator[bytes, None]:
    line = bytearray()
    async for data in connection.data():
        *whole, rest = data.split(b"\n")
        for end in whole:
            line += end
            yield bytes(line)
            line.clear()
        line += rest
        if len(line) > LINE_BYTES_MAX:
            raise h11.RemoteProtocolError("a line without an end")
