"""The client of a server's control port."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from vuemantics_ws.client.locations import START_ONE, check_url, is_local, shown
from vuemantics_ws.client.tokens import IssuedToken
from vuemantics_ws.errors import BadEvent, BadSetting, EnvironmentUnfit, Refused
from vuemantics_ws.quantities import format_duration

T = TypeVar("T")

Scope = Literal["node", "cluster"]

LINE_BYTES_MAX = 64 * 1024 * 1024
"""No frame of a watch is as long, with the longest names in all of its rows."""

NAME_CHARACTERS_SHOWN = 40
"""Of a field that the server has not."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a published event.

    ``attempt`` and ``seq`` are the event's own where it was accepted, else those of the state that it met, None where there
    is none. ``receivers`` counts the processes that were told, None where nobody knows.
    """

    upload_id: str
    verdict: str
    attempt: int | None
    seq: int | None
    receivers: int | None


@dataclass(frozen=True, slots=True)
class Kicked:
    """How many connections were closed, and the names of nodes that did not say whether they closed any."""

    count: int
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a node says where load balancers ask. ``degraded`` is one that cannot reach its broker."""

    state: Literal["ready", "degraded", "draining"]
    reason: str = ""


class Control:
    """Asks one server. Use it as an async context manager: its connections are kept and closed at the end.

    Every verb raises:
        EnvironmentUnfit: no server answers there in time, or something else does.
        Refused: the server said no; with its reason and its hint.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """Raises:
        BadSetting: the URL is none of HTTP.
        """
        parts = check_url(url, setting="control", schemes=("http", "https"))
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(timeout=timeout_s, trust_env=not is_local(parts), follow_redirects=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def publish(self, event: bytes, *, owner: str | None = None) -> Receipt:
        """Publish the bytes of one event as they are. A stale event is no error: its verdict says so.

        Being cancelled leaves unknown whether the event was taken; publishing the same bytes again does no harm.

        Raises:
            BadEvent: the server cannot take it as an event; with the reason.
        """
        parameters = {} if owner is None else {"owner": owner}
        headers = {"Content-Type": "application/json"}
        said = await self._ask("POST", "/events", params=parameters, content=event, headers=headers)
        return self._convert(said, Receipt)

    async def head(self, upload_id: str) -> dict[str, Any] | None:
        """The newest accepted event of an upload with its version, owner and age; None where none is known."""
        response = await self._request("GET", f"/uploads/{_part(upload_id)}")
        complaint = read_complaint(response.content) if response.status_code == 404 else None
        return None if complaint is not None and complaint.code == "unknown_upload" else self._object(response)

    async def statistics(self) -> dict[str, Any]:
        """How full every table is, and what happened since the start."""
        return await self._ask("GET", "/statistics")

    async def token(self, user_id: str, *, ttl_s: float) -> IssuedToken:
        """A token for any user, which only a server in development mode gives."""
        said = await self._ask("POST", "/tokens", json={"user_id": user_id, "ttl_s": ttl_s})
        return self._convert(said, IssuedToken)

    async def ready(self) -> bool:
        """Whether the server takes new connections. False while it starts, drains, or cannot reach its broker."""
        response = await self._request("GET", "/readyz")
        if response.status_code not in (200, 503):
            self._refuse(response)
        return response.status_code == 200

    async def health(self) -> Readiness:
        """The same in more words. One that starts counts as draining: it takes nobody either."""
        response = await self._request("GET", "/readyz")
        if response.status_code == 200:
            return Readiness("ready")
        complaint = read_complaint(response.content) if response.status_code == 503 else None
        if complaint is None:
            self._refuse(response)
        return Readiness("degraded" if complaint.code == "broker_away" else "draining", complaint.message)

    async def metrics(self) -> str:
        """All figures of the server in Prometheus' text format."""
        response = await self._request("GET", "/metrics")
        if response.status_code != 200:
            self._refuse(response)
        return response.text

    async def happenings(self) -> AsyncGenerator[dict[str, Any], None]:
        """What happens, from now on, until the server stops. Use it under :func:`contextlib.aclosing`."""
        async with aclosing(self._lines("/happenings", silence_s=None)) as lines:
            async for line in lines:
                yield line

    # Looking at the live tables.

    async def page(
        self,
        view: str,
        *,
        filter: str = "",  # noqa: A002
        sort: str = "",
        limit: int = 50,
        offset: int = 0,
        scope: Scope | None = None,
    ) -> dict[str, Any]:
        """Some rows of ``uploads``, ``connections``, ``followers``, ``follows`` or ``nodes``, as they are now.

        They are those of all nodes around the server's broker, or with ``scope`` ``node`` of the server alone.

        Raises:
            BadSetting: the server cannot read the filter or the order; ``setting`` says which.
        """
        asked = {"filter": filter, "sort": sort, "limit": limit, "offset": offset, **_scope(scope)}
        return await self._ask("GET", f"/{view}", params=asked)

    async def frames(
        self,
        views: Sequence[str],
        *,
        filter: str = "",  # noqa: A002
        sort: str = "",
        limit: int = 50,
        offset: int = 0,
        every_s: float = 1.0,
        scope: Scope | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """All nodes at a glance with a page of each view, at once and then every so often, until the server stops.

        With ``scope`` ``node`` it is the server alone. Use it under :func:`contextlib.aclosing`. Whoever reads too slowly gets
        fewer frames, not older ones.

        Raises:
            BadSetting: the server cannot read the filter or the order; ``setting`` says which.
        """
        asked = {"view": list(views), "filter": filter, "sort": sort, "limit": limit, "offset": offset, **_scope(scope)}
        asked["every"] = format_duration(every_s)
        async with aclosing(self._lines("/watch", asked, silence_s=every_s + self._timeout_s)) as lines:
            async for line in lines:
                yield line

    # Acting.

    async def kick(self, connection: int, *, node: str | None = None, for_good: bool = False) -> Kicked:
        """Close one connection, by its number; its browser comes back unless it is ``for_good``.

        ``node`` is the name of the node that has it, None for the server itself.

        Raises:
            Refused: there is no such connection, or no such node.
        """
        return await self._kick(f"/connections/{connection:d}", for_good, {} if node is None else {"node": node})

    async def kick_user(self, user_id: str, *, for_good: bool = False) -> Kicked:
        """Close every connection of a user, on all nodes.

        Raises:
            Refused: the user has no open connection.
        """
        return await self._kick(f"/users/{_part(user_id)}/connections", for_good, {})

    async def _kick(self, path: str, for_good: bool, where: dict[str, str]) -> Kicked:
        said = self._convert(await self._ask("DELETE", path, params={"for_good": str(for_good).lower(), **where}), _Kicked)
        return Kicked(said.kicked, said.missing)

    async def _lines(
        self, path: str, asked: Mapping[str, Any] | None = None, *, silence_s: float | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of an endless answer. ``silence_s`` is how long the server may say nothing; None is for ever."""
        timeout = httpx.Timeout(self._timeout_s, read=silence_s)
        try:
            async with self._http.stream("GET", self._url + path, params=asked, timeout=timeout) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._refuse(response)
                line = bytearray()
                async for data in response.aiter_bytes():
                    *whole, rest = data.split(
                        b"\n"
                    )  # and at nothing else: a text may hold what others take for the end of a line
                    for end in whole:
                        line += end
                        if line:
                            yield self._read(line)
                        line.clear()
                    line += rest
                    if len(line) > LINE_BYTES_MAX:
                        raise self._stranger()
                if line:
                    yield self._read(line)
        except httpx.HTTPError as error:
            raise self._unfit(error) from None

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._object(await self._request(method, path, **options))

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._http.request(method, self._url + path, **options)
        except httpx.HTTPError as error:
            raise self._unfit(error) from None

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code != 200:
            self._refuse(response)
        return self._read(response.content)

    def _read(self, data: bytes | bytearray) -> dict[str, Any]:
        try:
            return msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._stranger() from None

    def _convert(self, said: dict[str, Any], kind: type[T]) -> T:
        try:
            return msgspec.convert(said, kind)
        except msgspec.ValidationError:
            raise self._stranger() from None

    def _refuse(self, response: httpx.Response) -> NoReturn:
        complaint = read_complaint(response.content)
        if complaint is None:
            raise self._stranger(f"HTTP {response.status_code}")
        message, hint = complaint.message, complaint.hint
        if complaint.code == "bad_event":
            raise BadEvent(message, hint=hint)
        if complaint.code == "bad_query":
            setting = next((name for name in ("sort", "offset") if message.startswith(name)), "filter")
            asked = response.request.url.params.get(setting, "")
            raise BadSetting(_naming_the_field(message, asked), setting=setting, hint=hint)
        if response.status_code >= 500:
            raise EnvironmentUnfit(f"{shown(self._url)} cannot answer: {message}", hint=hint)
        raise Refused(message, hint=hint)

    def _stranger(self, answer: str = "something else") -> EnvironmentUnfit:
        return EnvironmentUnfit(f"{shown(self._url)} is no control port of ours: it answered {answer}", hint=START_ONE)

    def _unfit(self, error: httpx.HTTPError) -> EnvironmentUnfit:
        if isinstance(error, httpx.ConnectError):
            return EnvironmentUnfit(f"no server answers at {shown(self._url)}", hint=START_ONE)
        if isinstance(error, httpx.TimeoutException):
            return EnvironmentUnfit(f"no answer from {shown(self._url)} within {self._timeout_s:g} s")
        return EnvironmentUnfit(f"the connection to {shown(self._url)} was lost")


def _part(name: str) -> str:
    """A name as a part of a path. It may be "..", which httpx would take for the folder above."""
    return quote(name, safe="").replace(".", "%2E")


def _scope(scope: Scope | None) -> dict[str, str]:
    """A server of one node need not know what is not asked."""
    return {} if scope is None else {"scope": scope}


class _Kicked(msgspec.Struct):
    kicked: int
    missing: list[str] = []


class Complaint(msgspec.Struct):
    """What the server says is wrong, with its hint."""

    code: str
    message: str
    hint: str | None = None


class _Failure(msgspec.Struct):
    error: Complaint


def read_complaint(body: bytes) -> Complaint | None:
    """The complaint in an answer's body; None where it is no server of ours that answered."""
    try:
        return msgspec.json.decode(body, type=_Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_UNKNOWN_FIELD = re.compile(r"(?:filter|sort), character (\d{1,4}): expected a field", re.ASCII)
_FIELD = re.compile(r"""[^\s()=!<>~'",]+""")


def _naming_the_field(message: str, asked: str) -> str:
    """A server repeats nothing of what it does not understand; whoever asked may see which field that is."""
    unknown = _UNKNOWN_FIELD.fullmatch(message)
    name = _FIELD.match(asked, int(unknown[1]) - 1) if unknown is not None else None
    return f"{message}, got {name[0][:NAME_CHARACTERS_SHOWN]!r}" if name is not None else message
