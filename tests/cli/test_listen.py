"""``listen``: one real client, and how it ends."""

import json
import signal
from pathlib import Path

import pytest

from tests.cli.program import SECRET, Outcome, Server, ended, read_until, run, running, server


def listen(at: Server, *arguments: str) -> Outcome:
    return run("listen", *arguments, *at.at_url)


def publish(to: Server, *arguments: str) -> None:
    assert run("publish", *arguments, *to.at_control).code == 0


class TestWhatIsShown:
    def test_every_message_is_a_line_with_a_bar(self, open_server: Server, upload_id: str) -> None:
        with running("listen", upload_id, "--user", "alice", "--until", "completed", *open_server.at_url) as listener:
            read_until(listener.stderr, "following")
            publish(open_server, upload_id, "0")
            publish(open_server, upload_id, "50")
            publish(open_server, upload_id, "completed", "--description", "a beach")

            outcome = ended(listener)

        assert outcome.code == 0
        assert [" ".join(line.split()[1:]) for line in outcome.lines] == [
            "00000000 ░░░░░░░░░░░░ 0 % queued 1.1 Waiting to start",
            "00000000 ██████░░░░░░ 50 % description_audit 1.2 Checking the description",
            "00000000 ████████████ 100 % completed 1.3 audit 87: a beach",
        ]

    def test_json_is_the_message_as_it_came(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "completed", "--description", "\x1b[31mred \u202eand\x9b back")

        outcome = listen(open_server, upload_id, "--user", "alice", "--count", "1", "--json")

        (message,) = outcome.objects
        assert message["description"] == "\x1b[31mred \u202eand\x9b back"
        assert message["action"] == "upload_completed"
        assert not {"\x1b", "\u202e", "\x9b"} & set(outcome.out)

    def test_what_a_worker_wrote_cannot_move_the_cursor(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "failed", "--error", "bad\x1b]0;title\x07\r\nfile")

        outcome = listen(open_server, upload_id, "--user", "alice", "--count", "1")

        (line,) = outcome.lines
        assert line.endswith(r"bad\x1b]0;title\x07\x0d\x0afile")

    def test_what_else_the_user_follows_is_left_out(self, open_server: Server, upload_id: str) -> None:
        other = upload_id.replace("4000", "4001")
        publish(open_server, other, "10")
        with running("listen", other, "--user", "carol", *open_server.at_url) as neighbour:
            read_until(neighbour.stdout, "queued")
            publish(open_server, upload_id, "completed")

            outcome = listen(open_server, upload_id, "--user", "carol", "--count", "1", "--json")

        assert [message["upload_id"] for message in outcome.objects] == [upload_id]

    def test_an_unknown_upload_is_followed_all_the_same(self, open_server: Server, upload_id: str) -> None:
        outcome = listen(open_server, upload_id, "--user", "alice", "--timeout", "200ms")

        assert f"following {upload_id}, of which nothing is known yet" in outcome.err


class TestHowItEnds:
    def test_until_completed_waits_for_every_upload(self, open_server: Server, upload_id: str) -> None:
        other = upload_id.replace("4000", "4001")
        publish(open_server, upload_id, "completed")
        arguments = (upload_id, other, "--user", "alice", "--until", "completed")

        assert listen(open_server, *arguments, "--timeout", "200ms").code == 6
        publish(open_server, other, "completed")
        assert listen(open_server, *arguments, "--timeout", "5s").code == 0

    def test_until_completed_exits_1_when_an_upload_fails(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "failed")

        assert listen(open_server, upload_id, "--user", "alice", "--until", "completed").code == 1

    def test_a_timeout_exits_6_and_says_how_much_came(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "10")

        outcome = listen(open_server, upload_id, "--user", "alice", "--timeout", "300ms")

        assert outcome.code == 6
        assert "error: --timeout: 300ms are over, after 1 message about an upload\n" in outcome.err

    def test_a_token_that_is_none_is_refused_with_4(self, open_server: Server, upload_id: str) -> None:
        outcome = listen(open_server, upload_id, "--token", "a.b.c")

        assert outcome.code == 4
        assert "the token was refused (4003, Invalid token)" in outcome.err
        assert "hint: get a new token" in outcome.err
        assert "a.b.c" not in outcome.err

    @pytest.mark.slow
    def test_a_server_that_stops_exits_3(self, tmp_path: Path, upload_id: str) -> None:
        with server(tmp_path) as ready, running("listen", upload_id, "--user", "alice", *ready.at_url) as listener:
            read_until(listener.stderr, "following")
            ready.process.send_signal(signal.SIGTERM)

            outcome = ended(listener)
            ready.process.wait(10)

        assert outcome.code == 3
        assert "the server shuts down, or was told to close it (1012, Server reloading)" in outcome.err

    @pytest.mark.slow
    def test_with_reconnect_it_comes_back_and_shows_the_newest_state(self, tmp_path: Path, upload_id: str) -> None:
        arguments = ("listen", upload_id, "--user", "alice", "--reconnect", "--until", "completed", "--json")
        with server(tmp_path) as first, running(*arguments, *first.at_url) as listener:
            read_until(listener.stderr, "following")
            ports = [url.rpartition(":")[2].partition("/")[0] for url in (first.url, first.control)]
            first.process.terminate()
            first.process.wait(10)
            read_until(listener.stderr, "trying again in")

            with server(tmp_path, "--port", ports[0], "--control-port", ports[1]) as second:
                publish(second, upload_id, "completed")
                read_until(listener.stderr, "connected as alice again, every subscription repeated")

                outcome = ended(listener)

        assert outcome.code == 0
        assert [message["action"] for message in outcome.objects] == ["upload_completed"]


class TestWhoListens:
    @pytest.mark.slow
    def test_the_secret_makes_a_token_where_the_server_gives_none(self, tmp_path: Path, upload_id: str) -> None:
        with server(tmp_path, "--secret", SECRET, "--access", "open") as ready:
            publish(ready, upload_id, "completed")
            arguments = (upload_id, "--user", "alice", "--count", "1")

            without = listen(ready, *arguments)
            with_secret = listen(ready, *arguments, "--secret", SECRET)

        assert without.code == 4
        assert "secret" in without.err
        assert with_secret.code == 0

    def test_a_token_from_the_environment_is_used(
        self, open_server: Server, upload_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(open_server, upload_id, "completed")
        monkeypatch.setenv("VUEMANTICS_WS_TOKEN", run("token", "bob", *open_server.at_control).out.strip())

        outcome = listen(open_server, upload_id, "--count", "1", "--json")

        assert outcome.code == 0
        assert "connected as bob" in outcome.err
        assert json.loads(outcome.out)["action"] == "upload_completed"

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (["x"], "expected a user"),
            (["x", "--user", "alice", "--token", "a.b.c"], "expected --user or --token, got both"),
            (["x", "--user", "alice", "--url", "http://127.0.0.1:1"], "--url: expected a URL that begins with ws:// or wss://"),
            (["x", "--user", "alice", "--timeout", "soon"], "--timeout: expected a duration"),
            (["x y", "--user", "alice"], "UPLOAD_ID: expected 1 to 128 letters"),
        ],
    )
    def test_what_makes_no_sense_exits_2(self, arguments: list[str], error: str) -> None:
        outcome = run("listen", *arguments)

        assert outcome.code == 2
        assert f"error: {error}" in outcome.err
