"""Addresses are checked before anything is sent, and shown without their secrets."""

import pytest

from vuemantics_ws.client.locations import check_url, is_local, shown
from vuemantics_ws.errors import BadSetting


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://127.0.0.1:8765/ws/uploads", "did you mean ws://127.0.0.1:8765/ws/uploads?"),
        ("127.0.0.1:8765", "did you mean ws://127.0.0.1:8765?"),
        ("ftp://example.org", None),
        ("ws://", None),
        ("ws://host:notaport/", None),
        ("ws://host:99999/", None),
        ("ws://[::1/", None),
    ],
)
def test_what_is_no_url_of_a_websocket_is_refused(url: str, hint: str | None) -> None:
    with pytest.raises(BadSetting) as caught:
        check_url(url, setting="url", schemes=("ws", "wss"))

    assert caught.value.setting == "url"
    assert caught.value.hint == hint


def test_what_may_be_secret_in_a_url_is_not_shown() -> None:
    assert shown("wss://alice:hunter2@example.org:8443/ws?token=abc#def") == "wss://example.org:8443/ws"
    assert shown("alice:hunter2@example.org") == "example.org"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("ws://127.0.0.1:1/", True),
        ("ws://localhost/", True),
        ("ws://[::1]:1/", True),
        ("ws://10.0.0.1/", False),
        ("wss://example.org", False),
    ],
)
def test_no_proxy_belongs_before_this_machine(url: str, local: bool) -> None:
    assert is_local(check_url(url, setting="url", schemes=("ws", "wss"))) is local
