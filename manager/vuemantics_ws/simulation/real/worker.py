"""How simulated workers publish: over a few kept connections to the control port, and with as little work as can be.

A general HTTP client costs milliseconds a request. Workers share a process and a loop with the browsers whose latency is
measured, so that would be measured too.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urlsplit

import msgspec

from vuemantics_ws.client.control import Receipt, read_complaint
from vuemantics_ws.errors import BadEvent, EnvironmentUnfit, Refused

LINES_MAX = 64
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 64 * 1024

_RECEIPT = msgspec.json.Decoder(Receipt)


class _Line(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Stale(Exception):
    """The server closed a kept connection before it took the request."""


class Workers:
    """Publishes for all workers of a run. Use it as an async context manager: its connections are closed at the end.

    What one worker publishes is answered before it publishes the next, so order within an upload is the worker's own.
    """

    def __init__(self, control_url: str, *, timeout_s: float | None = None) -> None:
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        parts = urlsplit(control_url)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._secure else 80)
        self._host_header = parts.netloc.rpartition("@")[2]
        self._path = parts.path.rstrip("/")
        self._free: deque[_Line] = deque()
        self._places = asyncio.Semaphore(LINES_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._free:
            line.writer.transport.abort()
        self._free.clear()

    async def publish(self, event: bytes, *, owner: str | None = None, sent: Callable[[], None] | None = None) -> Receipt:
        """Publish the bytes of one event. ``sent`` is called when it leaves, after all that it had to wait for.

        An event whose answer was lost with a kept connection is published once more, which the server notices.

        Raises:
            BadEvent: the server cannot take it as an event.
            Refused: the server said no.
            EnvironmentUnfit: no server answers in time.
        """
        query = f"?owner={quote(owner, safe='')}" if owner is not None else ""
        request = (
            f"POST {self._path}/events{query} HTTP/1.1\r\nHost: {self._host_header}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(event)}\r\n\r\n"
        ).encode() + event
        async with self._places:
            if sent is not None:
                sent()
            try:
                async with asyncio.timeout(self._timeout_s):
                    status, body = await self._exchange(request)
            except TimeoutError:
                raise EnvironmentUnfit(f"no answer to an event within {self._timeout_s:g} s") from None
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                raise EnvironmentUnfit("the connection to the control port was lost") from None
        return _read(status, body)

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        while self._free:
            try:
                return await self._ask(self._free.pop(), request, kept=True)
            except _Stale:
                continue
        reader, writer = await asyncio.open_connection(
            self._host, self._port, limit=ANSWER_BYTES_MAX, ssl=True if self._secure else None
        )
        return await self._ask(_Line(reader, writer), request, kept=False)

    async def _ask(self, line: _Line, request: bytes, *, kept: bool) -> tuple[int, bytes]:
        """One request and its answer. The line is kept for the next one, or closed where anything went wrong."""
        whole = False
        try:
            line.writer.write(request)
            head = await line.reader.readuntil(b"\r\n\r\n")
            status, headers = _read_head(head)
            body = await line.reader.readexactly(int(headers["content-length"]))
            whole = headers.get("connection", "").lower() != "close"
            return status, body
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            if kept and not getattr(error, "partial", b""):
                raise _Stale from None
            raise
        except KeyError:
            raise ValueError("expected an answer with its length") from None
        finally:
            if whole:
                self._free.append(line)
            else:
                line.writer.transport.abort()


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.partition(" ")[2][:3]), headers


def _read(status: int, body: bytes) -> Receipt:
    stranger = EnvironmentUnfit(f"the control port answered {status} with something else")
    if status == 200:
        try:
            return _RECEIPT.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise stranger from None
    complaint = read_complaint(body)
    if complaint is None:
        raise stranger
    if status == 503:
        raise EnvironmentUnfit(complaint.message)
    raise BadEvent(complaint.message) if status == 422 else Refused(complaint.message)
