"""The tokens that clients show, good and bad (PROTOCOL.md section 4). None of them ever shows in a log or a repr."""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from vuemantics_ws.ambient import Clock
from vuemantics_ws.simulation.format.scenario import Token, TokenKind

LASTS_S = 86_400.0
"""How long a token holds of which nothing is said: for longer than any run."""

HOUR_S = 3600.0

NEEDS_THE_SECRET: frozenset[TokenKind] = frozenset({"expired", "not_yet_valid", "refresh", "no_expiry", "no_user"})
"""The bad ones that are refused for what they say, so that their signature must be good."""

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_GARBAGE = "this.is.no-token"


class Signature(NamedTuple):
    """How a server wants its tokens: signed with what, and naming which audience and issuer."""

    secret: str
    algorithm: str = "HS256"
    audience: str | None = None
    issuer: str | None = None

    def __repr__(self) -> str:
        return f"Signature({self.algorithm})"


class Mint:
    """Makes a token of any kind, at the moment at which it is shown."""

    def __init__(self, signature: Signature, clock: Clock) -> None:
        self._signature = signature
        self._clock = clock

    def make(self, token: Token, user_id: str) -> str | None:
        """None where nothing is shown. A time to live counts from now."""
        kind = token.kind
        if kind == "none":
            return None
        if kind == "garbage":
            return _GARBAGE
        said = self._claims(kind, user_id, LASTS_S if token.ttl is None else token.ttl)
        if kind == "alg_none":
            return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(said)}."
        key = self._signature.secret.encode()
        if kind == "wrong_signature":
            key = hashlib.sha512(key).hexdigest().encode()
        algorithm = self._signature.algorithm
        text = f"{_part({'alg': algorithm, 'typ': 'JWT'})}.{_part(said)}"
        return f"{text}.{_base64url(hmac.new(key, text.encode(), _HASHES[algorithm]).digest())}"

    def _claims(self, kind: TokenKind, user_id: str, ttl_s: float) -> dict[str, Any]:
        now = self._clock.wall()
        issued_at = now - 2 * HOUR_S if kind == "expired" else now
        ends_at = now - HOUR_S if kind == "expired" else now + ttl_s
        said: dict[str, Any] = {
            "sub": user_id,
            "iat": int(issued_at),
            "exp": math.ceil(ends_at * 1000) / 1000,  # never sooner than was asked for
            "type": "refresh" if kind == "refresh" else "access",
            "token_version": 1,
        }
        if kind == "not_yet_valid":
            said["nbf"] = math.ceil(now + HOUR_S)
        if self._signature.audience is not None:
            said["aud"] = self._signature.audience
        if self._signature.issuer is not None:
            said["iss"] = self._signature.issuer
        left_out = {"no_expiry": "exp", "no_user": "sub"}.get(kind)
        return {name: value for name, value in said.items() if name != left_out}


def _part(said: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(said, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
