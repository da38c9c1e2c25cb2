"""Tokens minted with the secret are the application's."""

import warnings

import jwt

from vuemantics_ws.client.tokens import mint_token

SECRET = "a secret of quite enough bytes for anybody"


def test_a_minted_token_has_the_application_s_claims() -> None:
    issued = mint_token("alice", secret=SECRET, ttl_s=3600, now=1_000_000.9)

    claims = jwt.decode(issued.token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})

    assert claims == {"sub": "alice", "iat": 1_000_000, "exp": 1_003_600, "type": "access", "token_version": 1}
    assert issued.expires_at == 1_003_600


def test_a_token_never_shows_in_a_repr() -> None:
    issued = mint_token("alice", secret=SECRET, ttl_s=60, now=0)

    assert issued.token not in repr(issued)


def test_a_short_secret_is_the_server_s_to_complain_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        issued = mint_token("alice", secret="short", ttl_s=60, now=0)

    assert issued.token.count(".") == 2
