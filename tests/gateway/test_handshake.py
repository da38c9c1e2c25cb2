"""What the public port answers before the upgrade, to real bytes that the real parser has read."""

import base64
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from vuemantics_ws.gateway.handshake import HandshakePolicy, accept, bad_request, request_too_large

PEER = "203.0.113.7"
KEY = base64.b64encode(b"sixteen bytes ok").decode()
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
OK = "https://ok.example"


def read(sent: bytes) -> tuple[ServerProtocol, Request]:
    """What the parser makes of these bytes."""
    protocol = ServerProtocol()
    protocol.receive_data(sent)
    (request,) = protocol.events_received()
    assert isinstance(request, Request)
    return protocol, request


def written(
    path: str = "/ws/uploads",
    *lines: str,
    method: str = "GET",
    host: str | None = "ok.example",
    upgrade: Iterable[str] = UPGRADE,
    version: str = "1.1",
) -> bytes:
    """A request as a browser would send it, with more lines."""
    named = () if host is None else (f"Host: {host}",)
    return "\r\n".join([f"{method} {path} HTTP/{version}", *named, *upgrade, *lines, "", ""]).encode("latin-1")


def policy(
    *origins: str, development: bool = False, proxies: Iterable[str] = (), paths: Iterable[str] | None = None
) -> HandshakePolicy:
    more = {} if paths is None else {"paths": paths}
    return HandshakePolicy(
        origins=origins, development=development, trusted_proxies=[ip_network(proxy) for proxy in proxies], **more
    )


def answer(sent: bytes, chosen: HandshakePolicy | None = None, *, full: bool = False, draining: bool = False) -> Response:
    """The whole answer, as the port gives it: the policy's, else the library's."""
    protocol, request = read(sent)
    response = (chosen or policy(OK)).check(request, full=full, draining=draining)
    response = response or accept(protocol, request)
    protocol.send_response(response)
    assert b"".join(protocol.data_to_send()).startswith(b"HTTP/1.1 ")
    return response


def status(sent: bytes, chosen: HandshakePolicy | None = None, **facts: Any) -> int:
    return answer(sent, chosen, **facts).status_code


def with_origin(origin: str) -> bytes:
    return written("/ws/uploads", f"Origin: {origin}")


@pytest.mark.parametrize("path", ["/ws/uploads", "/api/ws/uploads", "/ws/uploads?token=nobody-reads-this", "/ws/uploads?"])
def test_a_good_request_is_upgraded(path: str) -> None:
    assert status(written(path)) == 101


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (written("/"), 404),
        (written("/ws/uploads/"), 404),
        (written("/WS/uploads"), 404),
        (written("//ws/uploads"), 404),
        (written("/ws/%75ploads"), 404),
        (written("/ws/uploads;x"), 404),
        (written("/ws/uploads#x"), 404),
        (written("/x?/ws/uploads"), 404),
        (written("http://ok.example/ws/uploads"), 404),
        (written("*"), 404),
        (written(upgrade=()), 426),
        (written(upgrade=("Connection: close",)), 426),
        (written(upgrade=("Connection: Upgrade", "Upgrade: h2c")), 426),
        (written(upgrade=("Connection: Upgrade", "Upgrade: websocket")), 400),
        (written(upgrade=(*UPGRADE[:3], "Sec-WebSocket-Key: c2hvcnQ=")), 400),
        (written(upgrade=(*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3])), 400),
        (written("/ws/uploads", "Sec-WebSocket-Protocol: \xe4\xf6"), 400),
        (written(host=None), 400),
        (written("/ws/uploads", "Host: other.example"), 400),
        (written("/ws/uploads", f"Origin: {OK}", f"Origin: {OK}"), 400),
        (written("/healthz", f"Origin: {OK}", "Origin: https://evil.example"), 400),
        (written(version="1.0"), 505),
        (written("/healthz", version="1.0", host=None, upgrade=()), 200),
        (written("/healthz"), 200),
        (written("/healthz?now", upgrade=()), 200),
        *((written(method=method), 405) for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X")),
        (written("/healthz", method="POST"), 405),
        (written("/nowhere", method="POST"), 405),
    ],
)
def test_everything_else_gets_the_status_that_says_what_is_wrong(sent: bytes, expected: int) -> None:
    assert status(sent) == expected


def test_the_paths_can_be_others() -> None:
    chosen = policy(paths=("/live",))

    assert status(written("/live"), chosen) == 101
    assert status(written("/ws/uploads"), chosen) == 404


# Origins.

MATRIX = [
    ("https://ok.example", True),
    ("https://also.example:8443", True),
    ("https://evil.example", False),
    ("null", False),
    ("", False),
    ("https://ok.example.evil.com", False),
    ("https://evilok.example", False),
    ("https://ok.example:443", False),
    ("https://ok.example:444", False),
    ("https://also.example", False),
    ("https://OK.example", False),
    ("HTTPS://ok.example", False),
    ("http://ok.example", False),
    ("https://ok.example/", False),
    ("https://ok.example/page", False),
    ("https://ok.example.", False),
    ("https://user@ok.example", False),
    ("https://ok.example https://evil.example", False),
    ("https://ok.example, https://evil.example", False),
    ("//ok.example", False),
    ("ok.example", False),
    ("*", False),
    ("file://", False),
    ("chrome-extension://ok.example", False),
    ("http://localhost:5173", False),
    ("http://127.0.0.1", False),
    ("http://[::1]", False),
]


@pytest.mark.parametrize(("origin", "allowed"), MATRIX)
def test_an_origin_must_be_exactly_one_that_was_named(origin: str, allowed: bool) -> None:
    chosen = policy("https://ok.example", "https://also.example:8443")

    assert status(with_origin(origin), chosen) == (101 if allowed else 403)


def test_a_missing_origin_is_allowed() -> None:
    assert status(written(), policy()) == 101


@pytest.mark.parametrize("origin", ["https://ok.example", "null", "http://localhost"])
def test_where_no_origin_is_named_no_page_may_connect(origin: str) -> None:
    assert status(with_origin(origin), policy()) == 403


# Development mode.


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://localhost:5173", True),
        ("https://localhost:65535", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.8.9.10", True),
        ("https://[::1]", True),
        ("http://[::1]:3000", True),
        ("https://ok.example", True),
        ("null", False),
        ("http://LOCALHOST:5173", False),
        ("http://localhost:65536", False),
        ("http://localhost:", False),
        ("http://localhost:80/", False),
        ("http://localhost.", False),
        ("http://localhost.evil.com", False),
        ("http://evil.localhost", False),
        ("http://127.0.0.1.evil.com", False),
        ("http://127.1", False),
        ("http://2130706433", False),
        ("http://0x7f000001", False),
        ("http://0177.0.0.1", False),
        ("http://0.0.0.0:8000", False),
        ("http://128.0.0.1", False),
        ("http://[::2]", False),
        ("http://[::]", False),
        ("http://::1", False),
        ("http://user@localhost", False),
        ("http://localhost@evil.com", False),
        ("ws://localhost", False),
        ("file://localhost", False),
        ("http://192.168.1.2:5173", False),
    ],
)
def test_in_development_mode_pages_of_this_machine_may_connect(origin: str, allowed: bool) -> None:
    sent = written("/ws/uploads", f"Origin: {origin}", host="127.0.0.1:8765")

    assert status(sent, policy(OK, development=True)) == (101 if allowed else 403)


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-proto: https",
        "X-FORWARDED-HOST: app.example",
        "X-Forwarded-Anything:",
        "Forwarded: for=203.0.113.9",
        "forwarded:",
    ],
)
@pytest.mark.parametrize("path", ["/ws/uploads", "/healthz", "/nowhere"])
def test_in_development_mode_what_a_proxy_forwarded_is_refused_with_the_cure(line: str, path: str) -> None:
    sent = written(path, line, host="localhost:8765")

    refused = answer(sent, policy(development=True))

    assert refused.status_code == 403
    assert b"hint: a proxy stands in front" in refused.body
    assert b"VUEMANTICS_WS_SECRET" in refused.body
    assert status(sent, policy()) != 403, "with a secret a proxy is welcome"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LocalHost:8765", True),
        ("127.0.0.1:8765", True),
        ("127.44.0.1", True),
        ("[::1]:8765", True),
        ("app.example", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.nip.io:8765", False),
        ("192.168.1.2:8765", False),
        ("0.0.0.0:8765", False),
        ("localhost:99999", False),
        ("localhost:8765:1", False),
        ("user@localhost", False),
        ("", False),
    ],
)
def test_in_development_mode_the_host_must_be_this_machine(host: str, local: bool) -> None:
    assert status(written(host=host), policy(development=True)) == (101 if local else 403)
    assert status(written(host=host), policy()) == 101


# Full and draining.


@pytest.mark.parametrize("facts", [{"full": True}, {"draining": True}, {"full": True, "draining": True}])
def test_a_server_that_is_full_or_drains_says_when_to_come_back(facts: dict[str, Any]) -> None:
    refused = answer(written(), **facts)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert status(written("/healthz"), **facts) == 200, "it lives, and a proxy that asks must know"
    assert status(written("/nowhere"), **facts) == 404
    assert status(with_origin("https://evil.example"), **facts) == 403


# All answers.

ALL = [
    written("/healthz"),
    written("/nowhere"),
    written(method="POST"),
    written(upgrade=()),
    written(host=None),
    written(version="1.0"),
    written(upgrade=UPGRADE[:2]),
    with_origin("null"),
]


@pytest.mark.parametrize("sent", ALL)
def test_every_answer_but_the_upgrade_ends_the_connection_and_is_plain_text(sent: bytes) -> None:
    response = answer(sent)

    assert "close" in response.headers["Connection"]
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(list(response.headers.raw_items())) == len(response.headers), "no header twice"
    assert response.body.endswith(b"\n")


@pytest.mark.parametrize("response", [bad_request(), request_too_large()])
def test_what_cannot_be_read_gets_an_answer_of_the_same_kind(response: Response) -> None:
    assert response.status_code in (400, 431)
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.serialize().startswith(f"HTTP/1.1 {response.status_code} ".encode())


def test_refusals_name_what_the_standard_wants_named() -> None:
    assert answer(written(method="POST")).headers["Allow"] == "GET, HEAD"
    assert answer(written(upgrade=())).headers["Upgrade"] == "websocket"
    assert answer(written(upgrade=())).headers["Connection"] == "upgrade, close"


@pytest.mark.parametrize(
    ("path", "expected"), [("/healthz", 200), ("/nowhere", 404), ("/ws/uploads", 426), ("/ws/uploads?x", 426)]
)
def test_a_head_gets_the_headers_of_the_get_and_no_body(path: str, expected: int) -> None:
    asked, got = answer(written(path, method="HEAD", upgrade=())), answer(written(path, upgrade=()))

    assert asked.status_code == got.status_code == expected
    assert list(asked.headers.raw_items()) == list(got.headers.raw_items())
    assert asked.body == b""
    assert got.body != b""


def test_a_head_with_all_that_an_upgrade_needs_is_none() -> None:
    assert status(written(method="HEAD")) == 426


@pytest.mark.parametrize("development", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        written("/canary"),
        written("/ws/uploads?canary"),
        written(method="CANARY".lower()),
        written(host="canary"),
        with_origin("https://canary"),
        written("/ws/uploads", "X-Forwarded-For: canary"),
        written(upgrade=("Connection: canary",)),
        written(upgrade=("Connection: Upgrade", "Upgrade: canary")),
        written(upgrade=(*UPGRADE[:3], "Sec-WebSocket-Key: canary")),
        written(upgrade=(*UPGRADE[:2], "Sec-WebSocket-Version: canary", UPGRADE[3])),
        written("/ws/uploads", "Sec-WebSocket-Extensions: permessage-deflate; canary=1"),
        written("/ws/uploads", "Sec-WebSocket-Protocol: canary"),
    ],
)
def test_no_answer_repeats_what_was_asked(sent: bytes, development: bool) -> None:
    said = answer(sent, policy(development=development)).serialize()

    assert b"canary" not in said.lower()


LINES = st.lists(
    st.tuples(
        st.sampled_from(["Host", "Origin", "Forwarded", "X-Forwarded-For", "Connection", "Upgrade", "Sec-WebSocket-Key"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
    ),
    max_size=5,
)


@given(LINES, st.sampled_from(["/ws/uploads", "/healthz", "/"]), st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_no_headers_make_anything_but_an_answer(
    lines: list[tuple[str, str]], path: str, method: str, development: bool
) -> None:
    request = Request(path, Headers(lines), method, "HTTP/1.1")
    chosen = policy(OK, development=development, proxies=["203.0.113.0/24"])

    response = chosen.check(request, full=False, draining=False) or accept(ServerProtocol(), request)

    assert response.status_code in (101, 200, 400, 403, 404, 405, 426)
    assert chosen.client_address(request, PEER)


# Whose limits count.

PROXIES = ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")


def client_address(peer: str, *lines: str, proxies: Iterable[str] = PROXIES) -> str:
    _, request = read(written("/ws/uploads", *(f"X-Forwarded-For: {line}" for line in lines)))
    return policy(proxies=proxies).client_address(request, peer)


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        ("10.0.0.1", ["198.51.100.4"], "198.51.100.4"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.4"], "198.51.100.4"),
        ("10.0.0.1", ["127.0.0.1, 198.51.100.4"], "198.51.100.4"),
        ("10.0.0.1", ["198.51.100.4, 10.2.2.2"], "198.51.100.4"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.4, 10.2.2.2,10.3.3.3"], "198.51.100.4"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.4", "10.2.2.2"], "198.51.100.4"),
        ("10.0.0.1", ["198.51.100.4:49152"], "198.51.100.4"),
        ("10.0.0.1", ["[2001:db8::7]:49152"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8:0::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:198.51.100.4"], "198.51.100.4"),
        ("::ffff:10.0.0.1", ["198.51.100.4"], "198.51.100.4"),
        ("fd00::1", ["198.51.100.4"], "198.51.100.4"),
        ("127.0.0.1", ["198.51.100.4"], "198.51.100.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.4, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.4, nonsense, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["198.51.100.4,"], "10.0.0.1"),
        ("10.0.0.1", ["10.4.4.4, 10.2.2.2"], "10.4.4.4"),
        ("203.0.113.7", ["198.51.100.4"], "203.0.113.7"),
        ("203.0.113.7", ["10.0.0.1"], "203.0.113.7"),
        ("", ["198.51.100.4"], ""),
    ],
)
def test_behind_a_named_proxy_the_nearest_address_that_is_no_proxy_counts(peer: str, lines: list[str], expected: str) -> None:
    assert client_address(peer, *lines) == expected


def test_without_a_named_proxy_nothing_that_is_forwarded_counts() -> None:
    assert client_address("127.0.0.1", "198.51.100.4", proxies=()) == "127.0.0.1"


@given(st.lists(st.ip_addresses(v=4), min_size=1, max_size=6))
def test_nobody_can_lend_themselves_an_address_by_writing_ahead_of_the_proxy(invented: list[Any]) -> None:
    line = ", ".join([*map(str, invented), "198.51.100.4"])

    assert client_address("10.0.0.1", line) == "198.51.100.4"
