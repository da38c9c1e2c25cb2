"""Who a token says somebody is (PROTOCOL.md section 4, SEMANTICS.md section 4).

PyJWT checks the signature, with the one algorithm that was configured, whatever the token asks for. The rest is checked here,
because PyJWT reads the machine's clock and forgives what a token has no reason to contain. Nothing in a token is ever followed:
no key, no file and no address is looked up.
"""

import base64
import binascii
import json
import math
import re
import unicodedata
from typing import Any, NamedTuple, NoReturn

import jwt

from vuemantics_ws.ambient import Clock
from vuemantics_ws.errors import BadSetting, OperatorError, TokenRefused

ALGORITHMS = ("HS256", "HS384", "HS512")
TOKEN_CHARACTERS_MAX = 8_192
USER_ID_CHARACTERS_MAX = 256
LEEWAY_S = 10.0
"""How far the clock of whoever signed may be ahead of ours, for ``nbf`` and ``iat``. ``exp`` has none."""

EXPIRES_AT_MAX = 253_402_300_799
"""The last second of the year 9999. What claims to hold longer was counted in milliseconds, or in jest."""

BRACKETS_MAX = 256
"""In the JSON of a part. Bounds its depth, which Python's own limit does differently in every version."""

_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TYPES = ("jwt", "at+jwt")
_LINE_BREAKERS = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of control characters, lone surrogates, and separators of lines and paragraphs."""


class Identity(NamedTuple):
    """What a good token proves. ``expires_at`` is wall-clock time, in seconds since 1970-01-01 UTC."""

    user_id: str
    expires_at: float
    token_version: int | None


def is_user_id(text: str) -> bool:
    """Whether somebody may be called that: up to 256 characters, none of which would break a line or an encoding."""
    return 0 < len(text) <= USER_ID_CHARACTERS_MAX and not any(unicodedata.category(char) in _LINE_BREAKERS for char in text)


class Authenticator:
    """Verifies tokens, and makes them where we are the ones who sign.

    Args:
        secret: the key of the signature.
        algorithm: the only one that is accepted.
        audience: what ``aud`` must name. None refuses every token that has an audience, for it is not ours.
        issuer: what ``iss`` must be. None asks nothing.

    Raises:
        BadSetting: the algorithm is no HMAC, or the secret is empty or looks like somebody's public key.
    """

    def __init__(
        self,
        secret: str | bytes,
        *,
        algorithm: str = "HS256",
        audience: str | None = None,
        issuer: str | None = None,
        clock: Clock,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise BadSetting(f"expected {', '.join(ALGORITHMS)}, got {algorithm[:20]!r}", setting="jwt_algorithm")
        self._algorithm = algorithm
        self._signer = jwt.get_algorithm_by_name(algorithm)
        self._key = _prepare_key(self._signer, secret)
        self._audience = audience
        self._issuer = issuer
        self._clock = clock

    def verify(self, token: str) -> Identity:
        """Who the token was made for.

        Raises:
            TokenRefused: it proves nothing. Of the token itself neither the message nor the reason says anything.
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            _refuse("it is too long")
        match = _TOKEN.fullmatch(token)
        if match is None:
            _refuse("it is not three parts of base64url")
        self._check_header(_read_part(match[1], "header"))
        signature = _decode_part(match[3])
        if signature is None or not self._signer.verify(token[: match.end(2)].encode(), self._key, signature):
            _refuse("the signature does not match")
        return self._read_claims(_read_part(match[2], "payload"))

    def mint(self, user_id: str, ttl_s: float) -> str:
        """A token that :meth:`verify` accepts for ``ttl_s`` seconds from now. A negative time makes one that has expired.

        Raises:
            OperatorError: nobody may be called that.
        """
        if not is_user_id(user_id):
            raise OperatorError(
                f"expected a user id of 1 to {USER_ID_CHARACTERS_MAX} characters, none of them a control character"
            )
        now = self._clock.wall()
        claims: dict[str, Any] = {"sub": user_id, "iat": _number(now), "exp": _number(now + ttl_s), "type": "access"}
        if self._audience is not None:
            claims["aud"] = self._audience
        if self._issuer is not None:
            claims["iss"] = self._issuer
        signed = f"{_encode_part({'alg': self._algorithm, 'typ': 'JWT'})}.{_encode_part(claims | {'token_version': 1})}"
        return f"{signed}.{_base64url(self._signer.sign(signed.encode(), self._key))}"

    def _check_header(self, header: dict[str, Any]) -> None:
        if not header.keys() <= {"alg", "typ", "kid"}:
            _refuse("the header holds something other than alg, typ and kid")
        if header.get("alg") != self._algorithm:
            _refuse(f"the algorithm is not {self._algorithm}")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            _refuse("typ is not JWT")
        key_id = header.get("kid", "-")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            _refuse("kid is no name of a key")

    def _read_claims(self, claims: dict[str, Any]) -> Identity:
        """Everything about a token is checked before its age: only a token that was good once is called expired."""
        now = self._clock.wall()
        if claims.get("type") != "access":
            _refuse("type is not access")
        user_id = claims.get("sub")
        if not isinstance(user_id, str) or not is_user_id(user_id):
            _refuse("sub is no user id")
        token_version = claims.get("token_version")
        if "token_version" in claims and (not isinstance(token_version, int) or isinstance(token_version, bool)):
            _refuse("token_version is no integer")
        for name in ("nbf", "iat"):
            if name in claims and _seconds(claims, name) > now + LEEWAY_S:
                _refuse(f"{name} is in the future")
        self._check_audience(claims)
        expires_at = _seconds(claims, "exp")
        if expires_at > EXPIRES_AT_MAX:
            _refuse("exp is beyond the year 9999")
        if expires_at <= now:
            raise TokenRefused("Token expired", reason="exp has passed")
        return Identity(user_id, expires_at, token_version)

    def _check_audience(self, claims: dict[str, Any]) -> None:
        if self._audience is None:
            if "aud" in claims:
                _refuse("aud names an audience, and none is configured")
        else:
            audience = claims.get("aud")
            if audience != self._audience and not (isinstance(audience, list) and self._audience in audience):
                _refuse("aud does not name the audience that is configured")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            _refuse("iss is not the issuer that is configured")


def _refuse(reason: str) -> NoReturn:
    raise TokenRefused("Invalid token", reason=reason)


def _prepare_key(signer: Any, secret: str | bytes) -> Any:
    try:
        return signer.prepare_key(secret)
    except UnicodeEncodeError:
        problem = "expected a secret that is text"
    except jwt.InvalidKeyError:
        problem = "expected a secret of our own, got nothing, or a public key, a certificate or a JWK"
    raise BadSetting(problem, setting="secret", hint="make one with: openssl rand -hex 32")


def _read_part(part: str, name: str) -> dict[str, Any]:
    """The JSON object in a part. An error of the parser quotes the text, so none of them goes on as the cause of ours."""
    data = _decode_part(part)
    read = None if data is None else _read_object(data)
    if read is None:
        _refuse(f"the {name} is no JSON object that says everything once")
    return read


def _read_object(data: bytes) -> dict[str, Any] | None:
    if data.count(b"[") + data.count(b"{") > BRACKETS_MAX:
        return None
    try:
        read = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal keys, readers disagree about which one counts."""
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError
    return read


def _no_constant(name: str) -> NoReturn:
    """NaN and Infinity are no JSON, and no comparison with NaN refuses anything."""
    raise ValueError


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"{name} is no number")
    seconds = _as_float(value)
    if not math.isfinite(seconds):
        _refuse(f"{name} is out of range")
    return seconds


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _decode_part(part: str) -> bytes | None:
    """None where the text is not how these bytes are written (RFC 7515 section 2: base64url without padding)."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        return None
    return data if _base64url(data) == part else None


def _encode_part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(seconds: float) -> float:
    """To the millisecond, and an integer where it is one, because some readers of tokens expect no fraction."""
    rounded = round(seconds, 3)
    return int(rounded) if rounded.is_integer() else rounded
