"""Who may speak to the control port: programs of this machine, and pages that it serves itself.

The port has no password, since only this machine reaches it. But so does every page that a browser on this machine shows, and
a page can do two things. It can send a request to us from its own origin, and though it may not read the answer, the request
would have been obeyed (CSRF). Or it can have its own name point at this machine, and then we are its origin (DNS rebinding).

- ``Host`` must name loopback, or a host that was named. A page that came here under its own name brings that name along.
- ``Origin``, where there is one, must be ours: what is served under that very host and port. Browsers send it with every POST
  from elsewhere; ``null`` is what they send where they hide it.
- ``Sec-Fetch-Site``, where there is one, must be ``same-origin`` or ``none``. It also tells of requests that carry no origin,
  such as an image's, and of other ports of this host, which count as the same site.
- A POST without an origin may not have a type of content that a form can send. Whatever has another type, a browser asks us
  about first, and gets no for an answer. This is for browsers that predate the other two headers.

No answer ever allows another origin to read it (CORS).
"""

import asyncio
import re
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vuemantics_ws.gateway.addresses import is_loopback
from vuemantics_ws.gateway.answers import problem

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.ASCII)
_OF_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")

BODY_TIMEOUT_S = 10.0
"""How long a request's body may take."""

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """Refuses requests that a stranger's page may have sent, and stops reading bodies that are too big or too slow.

    Args:
        allowed_hosts: names, beside those of loopback, under which the port may be called, without a port.
        body_bytes_max: of a request; one that announces or sends more gets 413.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Iterable[str] = (), body_bytes_max: int) -> None:
        self._app = app
        self._allowed_hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send_hardened)
        else:
            await self._app(scope, self._limit(receive), send_hardened)

    def _refuse(self, scope: Scope) -> Response | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or len(origins) > 1:
            return problem(400, "bad_request", "expected one Host and at most one Origin")
        host = hosts[0].lower()
        if not self._is_ours(host):
            hint = "call it 127.0.0.1 or localhost, or name the host where the application is made"
            return problem(403, "host_refused", "the control port is not known under this host", hint)
        sites = _values(scope, b"sec-fetch-site")
        if (origins and origins[0] not in (f"http://{host}", f"https://{host}")) or not {*sites} <= {"same-origin", "none"}:
            return problem(403, "origin_refused", "the control port takes nothing from pages of another origin")
        if (
            scope["method"] == "POST"
            and not origins
            and any(_essence(kind) in _OF_FORMS for kind in _values(scope, b"content-type"))
        ):
            hint = "send it as application/json (curl: -H 'Content-Type: application/json')"
            return problem(415, "unsupported_media_type", "expected a type of content that no form can send", hint)
        sizes = _values(scope, b"content-length")
        if any(size.isdecimal() and int(size[:20]) > self._body_bytes_max for size in sizes):
            return too_large(self._body_bytes_max)
        return None

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        name = match[1].strip("[]") if match is not None else ""
        return is_loopback(name) or name in self._allowed_hosts

    def _limit(self, receive: Receive) -> Receive:
        received, whole = 0, False
        deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S

        async def receive_limited() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > self._body_bytes_max:
                raise HTTPException(413)
            return message

        return receive_limited


def too_large(bytes_max: int) -> Response:
    """What is left of the body stays unread, so the connection cannot be used again."""
    message = f"expected a body of at most {bytes_max} bytes"
    return problem(413, "too_large", message, "the limit is event-bytes-max", headers={"Connection": "close"})


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
