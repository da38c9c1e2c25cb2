"""Tokens as the application makes them (PROTOCOL.md section 4), for whoever has the secret."""

import warnings
from dataclasses import dataclass, field

from vuemantics_ws.errors import BadSetting


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token with its end, in seconds since 1970. The token never shows in a repr."""

    token: str = field(repr=False)
    user_id: str
    expires_at: float


def mint_token(user_id: str, *, secret: str, ttl_s: float, now: float) -> IssuedToken:
    """A token signed with HS256. ``now`` is wall time; the end is rounded down to the second, as the claim is.

    Raises:
        BadSetting: the secret is no secret.
    """
    import jwt
    from jwt.exceptions import InvalidKeyError
    from jwt.warnings import InsecureKeyLengthWarning

    expires_at = int(now + ttl_s)
    claims = {"sub": user_id, "iat": int(now), "exp": expires_at, "type": "access", "token_version": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # whose server it is has been told
        try:
            return IssuedToken(jwt.encode(claims, secret, algorithm="HS256"), user_id, expires_at)
        except InvalidKeyError:
            raise BadSetting("expected a secret, got what looks like somebody's public key", setting="secret") from None
