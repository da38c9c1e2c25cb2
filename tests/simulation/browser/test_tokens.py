"""Tokens of every kind, shown to the gateway's own authenticator."""

from typing import get_args

import pytest

from tests.gateway.test_auth import NOW, FixedClock
from vuemantics_ws.errors import TokenRefused
from vuemantics_ws.gateway.auth import Authenticator, Identity
from vuemantics_ws.simulation.browser.tokens import LASTS_S, Mint, Signature
from vuemantics_ws.simulation.format.scenario import Token, TokenKind

SECRET = "a canary of a secret, which is long enough to sign with SHA-512!"

REFUSED: dict[TokenKind, tuple[str, str]] = {
    "expired": ("Token expired", "exp has passed"),
    "not_yet_valid": ("Invalid token", "nbf is in the future"),
    "wrong_signature": ("Invalid token", "the signature does not match"),
    "alg_none": ("Invalid token", "it is not three parts of base64url"),
    "refresh": ("Invalid token", "type is not access"),
    "no_expiry": ("Invalid token", "exp is no number"),
    "no_user": ("Invalid token", "sub is no user id"),
    "garbage": ("Invalid token", "the header is no JSON object that says everything once"),
}


def shown(kind: TokenKind = "valid", *, ttl: str | None = None, signature: Signature | None = None) -> str | None:
    said = {"kind": kind} if ttl is None else {"ttl": ttl}
    return Mint(signature or Signature(SECRET), FixedClock()).make(Token.model_validate(said), "alice")


def identity(token: str | None, **options: str) -> Identity:
    assert token is not None
    return Authenticator(SECRET, clock=FixedClock(), **options).verify(token)


def test_a_valid_one_says_who_it_is_for_longer_than_any_run() -> None:
    assert identity(shown()) == Identity("alice", NOW + LASTS_S, 1)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_one_is_refused_for_what_its_kind_says(kind: TokenKind) -> None:
    with pytest.raises(TokenRefused) as refused:
        identity(shown(kind))

    words, reason = REFUSED[kind]
    assert refused.value.message == words
    assert reason in refused.value.reason


def test_every_kind_is_known() -> None:
    assert {*REFUSED, "valid", "none"} == set(get_args(TokenKind))
    assert shown("none") is None


def test_a_time_to_live_counts_from_when_it_is_shown() -> None:
    assert identity(shown(ttl="30s")).expires_at == NOW + 30


def test_it_never_ends_sooner_than_was_asked_for() -> None:
    clock = FixedClock(NOW + 0.0004)

    token = Mint(Signature(SECRET), clock).make(Token.model_validate({"ttl": "1s"}), "alice")

    assert 0 <= identity(token).expires_at - (clock.now + 1) < 0.001


def test_it_is_signed_as_the_server_wants_it() -> None:
    token = shown(signature=Signature(SECRET, "HS512", "browsers", "vuemantics"))

    assert identity(token, algorithm="HS512", audience="browsers", issuer="vuemantics").user_id == "alice"


def test_the_secret_never_shows() -> None:
    assert "canary" not in repr(Signature(SECRET))
