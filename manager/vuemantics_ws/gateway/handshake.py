"""What the public port says to a request before it becomes a WebSocket (PROTOCOL.md section 1, SEMANTICS.md sections 4 and 5).

All of it is a function of the request and of two facts about the server. No answer quotes anything that came.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from vuemantics_ws.gateway.addresses import Network, is_loopback

PATHS = ("/ws/uploads", "/api/ws/uploads")
HEALTH_PATH = "/healthz"

FULL_RETRY_AFTER_S = 5
DRAINING_RETRY_AFTER_S = 1
"""Another node takes over at once, so whoever was sent away need not wait long."""

_AUTHORITY = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?"
_HOST = re.compile(_AUTHORITY, re.ASCII)
_PAGE = re.compile("https?://" + _AUTHORITY, re.ASCII)

_PROXY_HINT = (
    "a proxy stands in front of a server in development mode, which trusts whoever reaches it: "
    "give it a secret (VUEMANTICS_WS_SECRET) and an access rule"
)


class HandshakePolicy:
    """Who may come in.

    Args:
        origins: the pages that may connect, as browsers write them. A request without an origin comes from no page, and may.
        development: pages of this machine may connect as well, and what a proxy has forwarded may not.
        trusted_proxies: whose word counts on where a request came from.
        paths: where the WebSocket is.
    """

    def __init__(
        self,
        origins: Iterable[str],
        development: bool,
        trusted_proxies: Iterable[Network],
        paths: Iterable[str] = PATHS,
    ) -> None:
        self._origins = frozenset(origins)
        self._development = development
        self._trusted_proxies = tuple(trusted_proxies)
        self._paths = frozenset(paths)

    def check(self, request: Request, *, full: bool, draining: bool) -> Response | None:
        """What to answer instead of going on with ``ServerProtocol.accept``; None to go on.

        What the library refuses anyway (a bad key, another version) is left to it: see :func:`accept`.
        """
        response = self._check(request, full=full, draining=draining)
        if response is not None and request.method == "HEAD":
            response.body = b""  # RFC 9110 section 9.3.2: the headers stay those of the GET
        return response

    def _check(self, request: Request, *, full: bool, draining: bool) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _respond(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET or HEAD", headers={"Allow": "GET, HEAD"})
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(hosts) > 1 or len(origins) > 1 or (not hosts and request.protocol != "HTTP/1.0"):
            return _respond(HTTPStatus.BAD_REQUEST, "expected one Host and at most one Origin")
        if self._development and _is_forwarded(request.headers, hosts):
            return _respond(HTTPStatus.FORBIDDEN, "this server takes no forwarded requests", hint=_PROXY_HINT)
        path = request.path.partition("?")[0]
        if path == HEALTH_PATH:
            return _respond(HTTPStatus.OK, "ok")
        if path not in self._paths:
            return _respond(HTTPStatus.NOT_FOUND, "there is nothing here")
        if origins and not self._is_allowed(origins[0]):
            return _respond(
                HTTPStatus.FORBIDDEN,
                "this page's origin is not allowed",
                hint="whoever runs the server names the pages that may connect with --origin",
            )
        if request.method == "HEAD":
            return _upgrade_required()
        if draining:
            return _unavailable("this server is going away", DRAINING_RETRY_AFTER_S)
        if full:
            return _unavailable("this server is full", FULL_RETRY_AFTER_S)
        return None

    def trusts(self, peer_address: str) -> bool:
        """Whether this is a proxy whose word counts."""
        address = _read_address(peer_address)
        return address is not None and self._is_trusted(address)

    def client_address(self, request: Request, peer_address: str) -> str:
        """The address that a client's limits are counted by: the peer's, unless that is a proxy whose word counts.

        Each proxy appends whom it heard, so the list is read from its end, and the first address that is no proxy's is the
        client's: what stands before it, anybody may have invented. Where the list ends or makes no sense, the last proxy
        that was found stands for all that is behind it.
        """
        address = _read_address(peer_address)
        if address is None:
            return peer_address
        for hop in _hops(request.headers):
            if not self._is_trusted(address):
                break
            found = _read_address(hop)
            if found is None:
                break
            address = found
        return str(address)

    def _is_allowed(self, origin: str) -> bool:
        return origin in self._origins or (self._development and _is_local(_PAGE.fullmatch(origin)))

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted_proxies)


def shake_hands(
    protocol: ServerProtocol, data: bytes, *, answer: Callable[[Request], Response | None], bytes_max: int
) -> bytes:
    """Read a request line by line, so that its parser takes nothing of what follows, which is returned.

    Afterwards ``protocol.writes`` holds the answer if the request is whole, or not to be gone on with; it is empty before. The
    answer is yes where ``answer`` has no other and the library agrees; then ``protocol.state`` is OPEN.

    Args:
        bytes_max: what the request may still take.
    """
    read = 0
    while read < len(data):
        end = data.find(b"\n", read) + 1 or len(data)
        protocol.receive_data(data[read:end])
        read = end
        for request in protocol.events_received():
            assert isinstance(request, Request)
            protocol.send_response(answer(request) or accept(protocol, request))
            return data[read:]
        if protocol.handshake_exc is not None:
            if protocol.writes == [b""]:  # no HTTP: the library would just hang up
                protocol.writes = [bad_request().serialize(), b""]
            return b""
        if read > bytes_max:
            protocol.send_response(request_too_large())
            return b""
    return b""


def accept(protocol: ServerProtocol, request: Request) -> Response:
    """The library's answer to a request that the policy lets through; where it refuses, in words that quote nothing."""
    response = protocol.accept(request)
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        return response
    if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
        return _upgrade_required()
    return _respond(HTTPStatus(response.status_code), "expected a WebSocket handshake of version 13 (RFC 6455) over HTTP/1.1")


def bad_request() -> Response:
    """For bytes that are no HTTP request; the library would hang up without a word."""
    return _respond(HTTPStatus.BAD_REQUEST, "expected an HTTP/1.1 request without a body")


def request_too_large() -> Response:
    """For a request that goes on and on."""
    return _respond(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "expected a shorter request")


def _upgrade_required() -> Response:
    # RFC 9110 section 7.8: whoever sends Upgrade names it in Connection.
    return _respond(
        HTTPStatus.UPGRADE_REQUIRED,
        "expected a WebSocket handshake",
        hint="a browser's address bar cannot open this; a page's WebSocket can",
        headers={"Upgrade": "websocket", "Connection": "upgrade, close"},
    )


def _unavailable(message: str, retry_after_s: int) -> Response:
    return _respond(HTTPStatus.SERVICE_UNAVAILABLE, message, headers={"Retry-After": str(retry_after_s)})


def _respond(status: HTTPStatus, message: str, *, hint: str | None = None, headers: dict[str, str] | None = None) -> Response:
    body = (f"{message}\nhint: {hint}\n" if hint else f"{message}\n").encode()
    said = {"Connection": "close", "Content-Length": str(len(body)), "Content-Type": "text/plain; charset=utf-8"}
    return Response(status.value, status.phrase, Headers(said | (headers or {})), body)


def _is_forwarded(headers: Headers, hosts: list[str]) -> bool:
    """Whether a proxy has had the request, by what it adds, or by the name under which the client knew it.

    The name also tells a page that has pointed its own domain at this machine (DNS rebinding).
    """
    if hosts and not _is_local(_HOST.fullmatch(hosts[0].lower())):
        return True
    names = [name.lower() for name, _ in headers.raw_items()]
    return any(name == "forwarded" or name.startswith("x-forwarded-") for name in names)


def _is_local(authority: re.Match[str] | None) -> bool:
    if authority is None or (authority[2] is not None and int(authority[2]) > 65_535):
        return False
    return is_loopback(authority[1].strip("[]"))


def _hops(headers: Headers) -> Iterator[str]:
    """Whom the proxies heard, the nearest to us first."""
    for line in reversed(headers.get_all("X-Forwarded-For")):
        for hop in reversed(line.split(",")):
            yield hop.strip()


def _read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as sockets or proxies write it; IPv4 inside IPv6 is IPv4."""
    bare = text
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # some proxies append the port
        bare = text.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
