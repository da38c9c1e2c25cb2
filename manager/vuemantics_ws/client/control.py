"""The client of a server's control port."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import httpx
import msgspec

from vuemantics_ws.client.locations import START_ONE, check_url, is_local, shown
from vuemantics_ws.client.tokens import IssuedToken
from vuemantics_ws.errors import BadEvent, EnvironmentUnfit, Refused

T = TypeVar("T")


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
        dots = upload_id.replace(".", "%2E")  # an upload may be called "..", which httpx would take for the folder above
        response = await self._request("GET", f"/uploads/{dots}")
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
        """Whether the server takes new connections. False while it starts and while it drains."""
        response = await self._request("GET", "/readyz")
        if response.status_code not in (200, 503):
            self._refuse(response)
        return response.status_code == 200

    async def happenings(self) -> AsyncGenerator[dict[str, Any], None]:
        """What happens, from now on, until the server stops. Use it under :func:`contextlib.aclosing`."""
        timeout = httpx.Timeout(self._timeout_s, read=None)
        try:
            async with self._http.stream("GET", self._url + "/happenings", timeout=timeout) as response:
                if response.status_code != 200:
                    await response.aread()
                    self._refuse(response)
                async for line in response.aiter_lines():
                    if line:
                        yield self._read(line.encode())
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

    def _read(self, data: bytes) -> dict[str, Any]:
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
