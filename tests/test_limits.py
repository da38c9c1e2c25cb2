"""The limits: each is declared once, explains itself, and cannot be set to nonsense."""

import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from vuemantics_ws.errors import BadSetting
from vuemantics_ws.limits import Limits, declare

NAMES = [declared.name for declared in fields(Limits)]

DECIDED = {
    "handshake_timeout_s": 5,
    "auth_timeout_s": 5,
    "ping_interval_s": 30,
    "silence_timeout_s": 40,
    "silence_grace_s": 10,
    "stall_timeout_s": 30,
    "grace_s": 300,
    "connections_per_user_max": 32,
    "unauthenticated_max": 256,
    "unauthenticated_per_address_max": 20,
    "uploads_per_user_max": 1_000,
    "waiting_users_max": 1_024,
    "message_bytes_max": 16 * 1024,
    "message_before_auth_bytes_max": 8 * 1024,
    "messages_burst_max": 1_200,
    "messages_per_s": 20,
    "event_bytes_max": 64 * 1024,
    "write_bytes_max": 64 * 1024,
    "reply_bytes_max": 64 * 1024,
    "direct_messages_max": 256,
    "direct_bytes_max": 64 * 1024,
    "unbrokered_bytes_max": 1024 * 1024,
    "head_ttl_s": 24 * 3600,
}
"""What SEMANTICS.md sections 2, 3, 5 and 6 decide."""


@pytest.mark.parametrize(("name", "value"), DECIDED.items())
def test_a_default_is_what_was_decided(name: str, value: float) -> None:
    assert getattr(Limits(), name) == value


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_says_its_unit_and_what_it_is_for(name: str) -> None:
    declared = Limits.__dataclass_fields__[name]

    assert name.endswith(("_s", "_max", "_per_s"))
    assert declared.metadata["about"]
    assert getattr(Limits(), name) >= declared.metadata["least"] >= 0


@pytest.mark.parametrize("name", NAMES)
def test_the_least_value_is_allowed_and_anything_below_is_not(name: str) -> None:
    least: Any = Limits.__dataclass_fields__[name].metadata["least"]

    assert getattr(Limits(**{name: least}), name) == least
    below: list[Any] = [least - 0.001, -1, -math.inf, math.nan]
    for value in below:
        with pytest.raises(BadSetting) as caught:
            Limits(**{name: value})
        assert caught.value.setting == name
        assert str(caught.value) == f"expected at least {least:g}, got {value!r}"


def test_limits_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().grace_s = 1  # type: ignore[misc]


def test_an_open_end_is_a_limit_too() -> None:
    assert Limits(grace_s=math.inf).grace_s == math.inf


def test_a_secret_never_shows_in_a_repr() -> None:
    assert declare("x", "a secret", secret=True).repr is False
    assert declare("x", "no secret").repr is True


def test_the_browser_s_tries_end_before_its_subscriptions_do() -> None:
    """SEMANTICS.md section 2: its backoff lasts up to 211 s, and it never repeats a subscription."""
    assert Limits().grace_s > 211
