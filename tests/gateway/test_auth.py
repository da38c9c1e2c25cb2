"""What a token must be in order to prove anything, and what it can never make us do."""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.errors import BadSetting, OperatorError, TokenRefused
from vuemantics_ws.gateway.auth import Authenticator, Identity, is_user_id

SECRET = "a secret of sixty-four bytes, known to nobody but to these tests"
NOW = 1_750_000_000.0
CANARY = "canary-5f1d"

Claims = dict[str, Any]


class FixedClock:
    """Stands still until somebody moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return 0.0


def authenticator(secret: str | bytes = SECRET, *, clock: FixedClock | None = None, **options: Any) -> Authenticator:
    return Authenticator(secret, clock=clock or FixedClock(), **options)


def part(value: Any) -> str:
    """JSON, or bytes as they are, in base64url."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Any, claims: Any, *, secret: str | bytes = SECRET, hashing: Any = hashlib.sha256) -> str:
    """A token with any header and any claims, and a good signature. Made by hand: PyJWT refuses to make most of them."""
    return sealed(f"{part(header)}.{part(claims)}", secret=secret, hashing=hashing)


def sealed(said: str, *, secret: str | bytes = SECRET, hashing: Any = hashlib.sha256) -> str:
    """Two parts, with their signature."""
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{said}.{part(hmac.new(key, said.encode(), hashing).digest())}"


def leftover(value: Any) -> str:
    """The same JSON in base64url that says it in another way: with a bit set that stands for nothing."""
    data = json.dumps(value).encode()
    data += b" " * (2 - len(data) % 3)  # leaves two bits over
    text = part(data)
    assert text[-1] in "AEIMQUYcgkosw048"
    return text[:-1] + chr(ord(text[-1]) + 1)


def token(**changes: Any) -> str:
    """A good token, with other claims; a claim that is ``...`` is left out."""
    claims = {"sub": "alice", "iat": int(NOW), "exp": int(NOW) + 60, "type": "access", "token_version": 1, **changes}
    return signed({"alg": "HS256", "typ": "JWT"}, {name: value for name, value in claims.items() if value is not ...})


def headed(**header: Any) -> str:
    """A good token, with another header."""
    return signed({"alg": "HS256", "typ": "JWT", **header}, GOOD)


def raw(claims: str) -> str:
    """A token whose payload is this text, which need not be JSON that Python would write."""
    return signed({"alg": "HS256"}, claims.encode("utf-8", "surrogatepass"))


GOOD: Claims = {"sub": "alice", "exp": int(NOW) + 60, "type": "access"}
REST = '"exp":1750000060,"type":"access"'

_public_pem = b"""\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxfEB22CtBmpKCgJ3bhop
c1r7853fBssfsInnMxcB4W313ZsZAc1eljzszDKZVAcnzTz+mPF66QIf2j7Wo5He
hmYMOg29+EIMEwp3cHhrVa19k1grWDsqEvde9X3cjRzlHZDehsIfAt15y4tvUNpF
N0UaDJzimf6rOjyfbnDTVGJ7J/XjCT2KGzN6J4ljwRHS5XVg9Sm2+fZAUVBqSFbZ
e+R+F0u03sNNlUYQgWYAtLt3fBhNsE8GTwWxVM1GccZ8efOZqVU+hJdxve91bZZ7
As8WXtFPUnfEzORF81ybs/Ul4fYP63F+PNn1eMquKkQePo7tqDOSGGuy2VJbLdml
LQIDAQAB
-----END PUBLIC KEY-----
"""

REFUSED: dict[str, str] = {
    # The algorithm is ours to choose.
    "alg none": signed({"alg": "none"}, GOOD),
    "alg none, unsigned": f"{part({'alg': 'none'})}.{part(GOOD)}.",
    "alg None": signed({"alg": "None"}, GOOD),
    "alg NONE": signed({"alg": "NONE"}, GOOD),
    "alg in lower case": signed({"alg": "hs256"}, GOOD),
    "alg missing": signed({"typ": "JWT"}, GOOD),
    "alg null": signed({"alg": None}, GOOD),
    "alg a list": signed({"alg": ["HS256"]}, GOOD),
    "HS384 where HS256 is meant": signed({"alg": "HS384"}, GOOD, hashing=hashlib.sha384),
    "HS512 where HS256 is meant": signed({"alg": "HS512"}, GOOD, hashing=hashlib.sha512),
    "RS256": signed({"alg": "RS256"}, GOOD, secret=_public_pem),
    "signed with a public key as if it were a secret": signed({"alg": "HS256"}, GOOD, secret=_public_pem),
    # The signature.
    "signed with another secret": signed({"alg": "HS256"}, GOOD, secret=SECRET[:-1] + "?"),
    "signed with nothing": signed({"alg": "HS256"}, GOOD, secret=b""),
    "signed with a short secret": signed({"alg": "HS256"}, GOOD, secret=b"a"),
    "signature cut": headed()[:-3],
    "signature of another token": ".".join([*token().split(".")[:2], token(sub="bob").split(".")[2]]),
    "claims changed after signing": ".".join([token().split(".")[0], part({**GOOD, "sub": "bob"}), token().split(".")[2]]),
    # The header.
    "crit unknown": headed(crit=["x"], x=True),
    "crit empty": headed(crit=[]),
    "b64 false": headed(b64=False, crit=["b64"]),
    "b64 true": headed(b64=True),
    "jku": headed(jku="http://127.0.0.1:9/keys"),
    "x5u": headed(x5u="file:///etc/passwd"),
    "x5c": headed(x5c=["MIIB"]),
    "jwk": headed(jwk={"kty": "oct", "k": part(SECRET.encode())}),
    "cty": headed(cty="JWT"),
    "zip": headed(zip="DEF"),
    "kid a path": headed(kid="../../etc/passwd"),
    "kid with NUL": headed(kid="a\0b"),
    "kid empty": headed(kid=""),
    "kid too long": headed(kid="k" * 129),
    "kid a number": headed(kid=7),
    "kid null": headed(kid=None),
    "typ JWE": headed(typ="JWE"),
    "typ null": headed(typ=None),
    "typ a list": headed(typ=["JWT"]),
    "header a list": signed([], GOOD),
    "header no JSON": signed(b"{", GOOD),
    "header says alg twice": signed(b'{"alg":"none","alg":"HS256"}', GOOD),
    "header nested deeply": signed(b'{"kid":' + b"[" * 3_000 + b"]" * 3_000 + b"}", {}),
    "header in UTF-16": signed('{"alg":"HS256"}'.encode("utf-16"), GOOD),
    # The text.
    "empty": "",
    "dots": "..",
    "two parts": ".".join(token().split(".")[:2]),
    "four parts": token() + ".x",
    "five parts": f"{token()}.{part(b'x')}.{part(b'y')}",
    "padded": token() + "=",
    "newline at the end": token() + "\n",
    "space before": " " + token(),
    "bearer": "Bearer " + token(),
    "standard base64": token()[:-1] + "+",
    "not ASCII": token()[:-1] + "ä",
    "NUL": token() + "\0",
    "lone surrogate": token() + "\ud800",
    "too long": token(filler="x" * 8_192),
    "two megabytes": "a" * 2_000_000,
    "bits left over": sealed(f"{part({'alg': 'HS256'})}.{leftover(GOOD)}"),
    # The claims.
    "payload a list": raw("[]"),
    "payload a string": raw('"alice"'),
    "payload no JSON": raw("{"),
    "payload empty": f"{part({'alg': 'HS256'})}..{part(b'x')}",
    "payload nested deeply": raw('{"sub":"alice",' + REST + ',"x":' + "[" * 2_900 + "]" * 2_900 + "}"),
    "payload with a BOM": raw('\ufeff{"sub":"alice",' + REST + "}"),
    "payload no UTF-8": signed({"alg": "HS256"}, b'{"sub":"\xff",' + REST.encode() + b"}"),
    "sub twice": raw('{"sub":"alice","sub":"bob",' + REST + "}"),
    "payload of many lists": raw('{"sub":"alice",' + REST + ',"x":[' + "[]," * 256 + "[]]}"),
    "a key twice, deep inside": raw('{"sub":"alice","x":{"y":1,"y":2},' + REST + "}"),
    "NaN": raw('{"sub":"alice","x":NaN,' + REST + "}"),
    "exp NaN": raw('{"sub":"alice","exp":NaN,"type":"access"}'),
    "exp Infinity": raw('{"sub":"alice","exp":Infinity,"type":"access"}'),
    "exp 1e400": raw('{"sub":"alice","exp":1e400,"type":"access"}'),
    "exp of 400 digits": raw('{"sub":"alice","exp":' + "9" * 400 + ',"type":"access"}'),
    "exp of 5,000 digits": raw('{"sub":"alice","exp":' + "9" * 5_000 + ',"type":"access"}'),
    "exp in milliseconds": token(exp=int(NOW * 1000)),
    "exp missing": token(exp=...),
    "exp null": token(exp=None),
    "exp true": token(exp=True),
    "exp text": token(exp=str(int(NOW) + 60)),
    "exp a list": token(exp=[int(NOW) + 60]),
    "nbf ahead": token(nbf=NOW + 11),
    "nbf text": token(nbf="0"),
    "nbf false": token(nbf=False),
    "nbf null": token(nbf=None),
    "iat ahead": token(iat=NOW + 11),
    "iat text": token(iat="0"),
    "iat -1e400": raw('{"sub":"alice","iat":-1e400,' + REST + "}"),
    "a refresh token": token(type="refresh"),
    "a refresh token that has expired": token(type="refresh", exp=int(NOW) - 1),
    "type missing": token(type=...),
    "type in upper case": token(type="ACCESS"),
    "type a list": token(type=["access"]),
    "sub missing": token(sub=...),
    "sub null": token(sub=None),
    "sub empty": token(sub=""),
    "sub an integer": token(sub=7),
    "sub a list": token(sub=["alice"]),
    "sub an object": token(sub={"id": "alice"}),
    "sub too long": token(sub="a" * 257),
    "sub with NUL": token(sub="alice\0"),
    "sub with a newline": token(sub="alice\nINFO all is well"),
    "sub with ESC": token(sub="\x1b[2Jalice"),
    "sub with DEL": token(sub="alice\x7f"),
    "sub with a C1 newline": token(sub="alice\x85"),
    "sub with a line separator": token(sub="alice\u2028bob"),
    "sub with a lone surrogate": raw('{"sub":"\\ud800",' + REST + "}"),
    "token_version text": token(token_version="1"),
    "token_version true": token(token_version=True),
    "token_version null": token(token_version=None),
    "token_version 1.5": token(token_version=1.5),
    "an audience where none is configured": token(aud="https://elsewhere.example"),
    "an empty list of audiences where none is configured": token(aud=[]),
}

EXPIRED: dict[str, str] = {
    "a second ago": token(exp=int(NOW) - 1),
    "this very moment": token(exp=int(NOW)),
    "before 1970": token(exp=-1),
    "long ago": token(exp=0),
    "a moment ago, with a fraction": token(exp=NOW - 0.001),
}


@contextlib.contextmanager
def events_of_the_machine() -> Iterator[list[str]]:
    """The names of all audited events that touch a file, a socket, another process or a module, while the block runs."""
    seen: list[str] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


_watchers: list[list[str]] = []
_WATCHED = ("open", "socket.", "os.", "subprocess.", "urllib.", "http.", "import", "shutil.", "ctypes.", "compile", "exec")


def _on_audit(name: str, arguments: tuple[Any, ...]) -> None:
    if _watchers and name.startswith(_WATCHED):
        for seen in _watchers:
            seen.append(name)


sys.addaudithook(_on_audit)  # cannot be taken away again, so there is one, which sleeps


def refusal(text: str, checker: Authenticator | None = None) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        (checker or authenticator()).verify(text)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_is_not_exactly_right_proves_nothing(name: str) -> None:
    checker = authenticator()

    with events_of_the_machine() as events:
        refused = refusal(REFUSED[name], checker)

    assert refused.message == "Invalid token"
    assert refused.reason
    assert events == []


@pytest.mark.parametrize("name", EXPIRED)
def test_a_token_that_was_good_once_is_called_expired(name: str) -> None:
    checker = authenticator()

    with events_of_the_machine() as events:
        refused = refusal(EXPIRED[name], checker)

    assert refused.message == "Token expired"
    assert events == []


def test_the_corpus_is_refused_for_its_own_faults_and_not_for_ours() -> None:
    """The makers of the corpus make good tokens, too."""
    assert authenticator().verify(token()) == Identity("alice", NOW + 60, 1)
    assert authenticator().verify(headed()) == Identity("alice", NOW + 60, None)
    assert authenticator().verify(raw('{"sub":"alice",' + REST + "}")) == Identity("alice", NOW + 60, None)
    assert len(REFUSED) >= 40


def test_the_watch_over_the_machine_sees_what_a_bad_verifier_would_do(tmp_path: Any) -> None:
    (tmp_path / "key").write_text("")

    with events_of_the_machine() as events:
        (tmp_path / "key").read_text()

    assert "open" in events


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"exp": NOW + 0.001}, True),
        ({"exp": NOW}, False),
        ({"exp": 253_402_300_799}, True),
        ({"exp": 253_402_300_800}, False),
        ({"nbf": NOW + 10}, True),
        ({"nbf": NOW + 10.001}, False),
        ({"iat": NOW + 10}, True),
        ({"iat": NOW + 10.001}, False),
        ({"iat": -1}, True),
        ({"iat": ...}, True),
        ({"nbf": NOW - 1e9}, True),
        ({"token_version": ...}, True),
        ({"token_version": -3}, True),
        ({"sub": "a" * 256}, True),
        ({"sub": "Ünïcode 用户 👩‍🚀"}, True),
        ({"iss": "anybody"}, True),
        ({"more": {"of": ["this"]}}, True),
        ({"roles": [["one"]] * 200}, True),
    ],
)
def test_each_claim_holds_to_its_very_edge(changes: Claims, accepted: bool) -> None:
    checker = authenticator()

    if accepted:
        assert checker.verify(token(**changes)).user_id
    else:
        refusal(token(**changes), checker)


@pytest.mark.parametrize("header", [{"typ": "jwt"}, {"typ": "AT+JWT"}, {"kid": "2025-01.key_A"}, {"kid": "k" * 128}])
def test_harmless_headers_are_accepted(header: Claims) -> None:
    assert authenticator().verify(headed(**header)).user_id == "alice"


def test_a_good_token_expires_when_the_clock_gets_there() -> None:
    clock = FixedClock()
    checker = authenticator(clock=clock)
    minted = checker.mint("alice", 30)

    clock.now = NOW + 29.999
    assert checker.verify(minted).expires_at == NOW + 30

    clock.now = NOW + 30
    assert refusal(minted, checker).message == "Token expired"


@pytest.mark.parametrize(
    ("options", "claims", "accepted"),
    [
        ({"audience": "uploads"}, {"aud": "uploads"}, True),
        ({"audience": "uploads"}, {"aud": ["other", "uploads"]}, True),
        ({"audience": "uploads"}, {"aud": ["other"]}, False),
        ({"audience": "uploads"}, {"aud": "uploads2"}, False),
        ({"audience": "uploads"}, {"aud": {"uploads": 1}}, False),
        ({"audience": "uploads"}, {}, False),
        ({"issuer": "https://us"}, {"iss": "https://us"}, True),
        ({"issuer": "https://us"}, {"iss": "https://us/"}, False),
        ({"issuer": "https://us"}, {"iss": ["https://us"]}, False),
        ({"issuer": "https://us"}, {}, False),
    ],
)
def test_audience_and_issuer_must_match_where_they_are_configured(options: Claims, claims: Claims, accepted: bool) -> None:
    checker = authenticator(**options)

    if accepted:
        assert checker.verify(token(**claims)).user_id == "alice"
    else:
        assert refusal(token(**claims), checker).message == "Invalid token"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_minted_token_is_one_that_others_can_read(algorithm: str) -> None:
    checker = authenticator(algorithm=algorithm, audience="uploads", issuer="us", clock=FixedClock(NOW + 0.25))

    minted = checker.mint("alice", 60)

    assert checker.verify(minted) == Identity("alice", NOW + 60.25, 1)
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = {"sub": "alice", "iat": NOW + 0.25, "exp": NOW + 60.25, "type": "access", "token_version": 1}
    read = jwt.decode(minted, SECRET, [algorithm], audience="uploads", issuer="us", options=options)
    assert read == {**claims, "aud": "uploads", "iss": "us"}


def test_a_token_of_pyjwt_is_accepted() -> None:
    assert authenticator().verify(jwt.encode(GOOD, SECRET, headers={"kid": "k1"})).user_id == "alice"


def test_whole_seconds_stay_integers() -> None:
    claims = json.loads(base64.urlsafe_b64decode(authenticator().mint("alice", 60).split(".")[1] + "=="))

    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)
    assert isinstance(claims["iat"], int)
    assert isinstance(claims["exp"], int)


@pytest.mark.parametrize("user_id", ["", "a\nb", "a" * 257, "\ud800"])
def test_no_token_is_minted_for_whom_none_would_be_accepted(user_id: str) -> None:
    with pytest.raises(OperatorError, match="expected a user id"):
        authenticator().mint(user_id, 60)


@given(st.text(max_size=40), st.floats(min_value=0.001, max_value=1e9))
def test_what_is_minted_is_accepted(user_id: str, ttl_s: float) -> None:
    if is_user_id(user_id):
        assert authenticator().verify(authenticator().mint(user_id, ttl_s)).user_id == user_id


@given(st.text())
def test_no_text_makes_anything_but_a_refusal(text: str) -> None:
    assert refusal(text).message == "Invalid token"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
NAMES = st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "type", "token_version", "alg", "kid", "typ", "crit"])


@given(st.dictionaries(NAMES, JSON, max_size=2), st.dictionaries(NAMES, JSON, max_size=2))
def test_no_signed_token_makes_anything_but_a_refusal_or_an_identity(header: Claims, claims: Claims) -> None:
    text = signed({"alg": "HS256", **header}, {**GOOD, **claims})

    identity = None
    with contextlib.suppress(TokenRefused):
        identity = authenticator().verify(text)

    assert identity is None or (is_user_id(identity.user_id) and identity.expires_at > NOW)


CANARIES: dict[str, Callable[[], str]] = {
    "in the signature": lambda: token() + CANARY,
    "in the text": lambda: f"{CANARY}!{CANARY}",
    "in sub": lambda: token(sub=f"{CANARY}\n"),
    "in type": lambda: token(type=CANARY),
    "in exp": lambda: token(exp=CANARY),
    "in aud": lambda: token(aud=CANARY),
    "in a header's name": lambda: headed(**{CANARY: 1}),
    "in alg": lambda: signed({"alg": CANARY}, GOOD),
    "in kid": lambda: headed(kid=f"{CANARY}/"),
    "in a payload that is no JSON": lambda: raw(f'{{"{CANARY}": '),
    "in a key that stands twice": lambda: raw(f'{{"{CANARY}":1,"{CANARY}":2}}'),
    "in a token that has expired": lambda: token(sub=CANARY, exp=1),
}


@pytest.mark.parametrize("where", CANARIES)
def test_nothing_of_a_token_is_in_its_refusal_or_in_a_log(where: str, caplog: pytest.LogCaptureFixture) -> None:
    text = CANARIES[where]()

    with caplog.at_level(logging.DEBUG):
        refused = refusal(text)
        try:
            raise refused
        except TokenRefused:
            logging.getLogger("test").exception("a token was refused: %s", refused.reason)

    spoken = [str(refused), repr(refused), refused.reason, caplog.text, *traceback.format_exception(refused)]
    assert not any(CANARY in line or text in line for line in spoken)
    assert refused.__cause__ is None
    assert refused.__context__ is None, "what raised it has the token in it"


def test_the_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(authenticator())


def test_a_short_secret_is_not_complained_about_with_every_token() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker = authenticator("short")
        checker.verify(checker.mint("alice", 60))

    assert caught == []


@pytest.mark.parametrize("secret", ["", _public_pem.decode(), _public_pem, '{"kty":"oct","k":"c2VjcmV0"}', "\udc80"])
def test_a_secret_that_cannot_be_one_is_refused_at_the_start(secret: str | bytes) -> None:
    with pytest.raises(BadSetting) as caught:
        authenticator(secret)

    assert caught.value.setting == "secret"
    assert not secret or str(secret)[:20] not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["none", "RS256", "HS1", "", "hs256"])
def test_an_algorithm_that_is_no_hmac_is_refused_at_the_start(algorithm: str) -> None:
    with pytest.raises(BadSetting) as caught:
        authenticator(algorithm=algorithm)

    assert caught.value.setting == "jwt_algorithm"
