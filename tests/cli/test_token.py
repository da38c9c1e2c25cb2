"""``token``: a token on stdout, and nothing else."""

import jwt
import pytest

from tests.cli.program import SECRET, Server, run


def test_a_server_in_development_mode_gives_one(open_server: Server) -> None:
    outcome = run("token", "alice", "--ttl", "90s", *open_server.at_control)

    assert outcome.code == 0
    assert outcome.err == ""
    (token,) = outcome.lines
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["type"]) == ("alice", "access")
    assert claims["exp"] - claims["iat"] == pytest.approx(90)


def test_with_the_secret_no_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUEMANTICS_WS_SECRET", SECRET)

    outcome = run("token", "alice", "--control", "http://127.0.0.1:1")

    claims = jwt.decode(outcome.out.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["type"], claims["token_version"]) == ("alice", "access", 1)
    assert claims["exp"] - claims["iat"] == 3600


def test_json_says_until_when(open_server: Server) -> None:
    (issued,) = run("token", "alice", "--json", *open_server.at_control).objects

    assert set(issued) == {"token", "user_id", "expires_at"}
    assert issued["user_id"] == "alice"


def test_an_empty_secret_is_no_secret() -> None:
    outcome = run("token", "alice", "--secret", "")

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: --secret: expected a secret that is not empty\n"


def test_a_public_key_is_no_secret() -> None:
    outcome = run("token", "alice", "--secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")

    assert outcome.code == 2
    assert "AAAA" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("",), "error: USER: expected a name of printable characters\n"),
        (("al\nice",), "error: USER: expected a name of printable characters\n"),
        (("alice", "--ttl", "0s"), "error: --ttl: expected more than 0s\n"),
    ],
)
def test_a_token_for_nobody_or_no_time_is_refused_here(arguments: tuple[str, ...], error: str) -> None:
    outcome = run("token", *arguments, "--secret", SECRET)

    assert (outcome.code, outcome.out, outcome.err.splitlines(keepends=True)[-1]) == (2, "", error)
