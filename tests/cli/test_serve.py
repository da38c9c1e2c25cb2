"""``serve``: what it says, what it refuses, how it ends."""

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.program import SECRET, Server, ended, read_until, run, running, server
from tests.redis_server import RedisServer
from vuemantics_ws.errors import BadSetting
from vuemantics_ws.gateway.settings import SETTINGS, Settings
from vuemantics_ws_cli.commands.serve import read_settings


class TestWhereSettingsComeFrom:
    def test_options_win_over_variables_and_variables_over_defaults(self) -> None:
        environment = {"VUEMANTICS_WS_GRACE": "1m", "VUEMANTICS_WS_DRAIN": "2s", "PATH": "/bin"}

        settings = read_settings({"grace": "3s", "origin": ["https://a.example", "https://b.example"]}, environment)

        assert (settings.grace_s, settings.drain_s) == (3, 2)
        assert settings.origins == ("https://a.example", "https://b.example")
        assert settings.ping_interval_s == Settings().ping_interval_s

    @pytest.mark.parametrize(
        ("typed", "environment", "error"),
        [
            ({"grace": "5"}, {}, "--grace: expected a duration"),
            ({}, {"VUEMANTICS_WS_GRACE": "5"}, "VUEMANTICS_WS_GRACE: expected a duration"),
            ({"grace": "5"}, {"VUEMANTICS_WS_GRACE": "6"}, "--grace: expected a duration"),
            ({}, {"VUEMANTICS_WS_SECRET": ""}, "VUEMANTICS_WS_SECRET: expected a secret that is not empty"),
            ({"secret": SECRET}, {}, "--access: expected a rule"),
            ({}, {"VUEMANTICS_WS_SECRET": SECRET}, "--access: expected a rule"),
            ({"host": "0.0.0.0"}, {}, "--secret: expected a secret"),
        ],
    )
    def test_an_error_names_what_was_given(self, typed: dict[str, str], environment: dict[str, str], error: str) -> None:
        with pytest.raises(BadSetting) as caught:
            read_settings(typed, environment)

        assert caught.value.message.startswith(error)

    @pytest.mark.parametrize("name", SETTINGS)
    def test_every_option_reaches_its_setting(self, name: str) -> None:
        """A value that cannot be is refused under the option's own name, before anything listens."""
        free = {"jwt_audience", "jwt_issuer", "secret"}  # any text may be one of these: something else is refused
        option = "--control-host" if name in free else SETTINGS[name].option
        impossible = () if name == "control_host" else ("--control-host", "10.0.0.1")

        outcome = run("serve", SETTINGS[name].option, "a b*", *impossible)

        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {option}: expected")

    @pytest.mark.parametrize(
        "url", ["redis://us:hush@127.0.0.1:x", "redis://us:hush@127.0.0.1/0/1", "http://us:hush@127.0.0.1"]
    )
    def test_a_password_of_redis_never_shows_in_an_error(self, url: str) -> None:
        outcome = run("serve", "--redis", url)

        assert outcome.code == 2
        assert outcome.err.startswith("error: --redis: expected")
        assert "hush" not in outcome.err

    def test_a_secret_never_shows_in_an_error(self) -> None:
        outcome = run("serve", "--secret", SECRET, "--access", "owner", "--grace", "5")

        assert outcome.code == 2
        assert SECRET not in outcome.err


class TestReady:
    @pytest.mark.slow
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_json_is_one_line_on_stdout_and_a_signal_ends_it_in_order(self, tmp_path: Path, number: signal.Signals) -> None:
        arguments = ("serve", "--port", "0", "--control-port", "0", "--json")
        with running(*arguments, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())

            process.send_signal(number)

            outcome = ended(process)
        assert ready["url"].startswith("ws://127.0.0.1:")
        assert ready["control"].startswith("http://127.0.0.1:")
        assert ready["pid"] == process.pid
        assert (outcome.code, outcome.out) == (0, "")

    @pytest.mark.slow
    def test_development_mode_says_so_loudly_and_what_to_try(self, tmp_path: Path) -> None:
        arguments = ("serve", "--port", "0", "--control-port", "0")
        with running(*arguments, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as process:
            url = read_until(process.stderr, "browsers").split()[1]
            loud = read_until(process.stderr, "DEVELOPMENT MODE")
            listen = read_until(process.stderr, "vuemantics-ws listen")
            process.terminate()

            outcome = ended(process)
        assert "no secret" in loud
        assert listen.strip().startswith("listen")
        assert f"--url {url}" in listen
        assert (outcome.code, outcome.out) == (0, "")

    @pytest.mark.slow
    def test_with_a_secret_it_is_no_development_mode(self) -> None:
        options = ("--access", "owner", "--origin", "https://app.example.org", "--port", "0", "--control-port", "0")
        with running("serve", *options, VUEMANTICS_WS_SECRET=SECRET) as process:
            listen = read_until(process.stderr, "vuemantics-ws listen")
            publish = read_until(process.stderr, "vuemantics-ws publish")
            process.terminate()

            outcome = ended(process)
        assert "VUEMANTICS_WS_SECRET=… vuemantics-ws listen" in listen
        assert "--owner alice" in publish
        assert "DEVELOPMENT" not in outcome.err
        assert SECRET not in outcome.err
        assert outcome.code == 0

    @pytest.mark.slow
    def test_what_was_probably_not_meant_is_warned_of(self) -> None:
        options = ("--access", "owner", "--port", "0", "--control-port", "0")
        with running("serve", *options, VUEMANTICS_WS_SECRET="short") as process:
            warning = read_until(process.stderr, "the secret is shorter than the 32 bytes")
            read_until(process.stderr, "is ready")
            process.terminate()

            assert ended(process).code == 0
        assert "WARNING" in warning


class TestPorts:
    @pytest.mark.slow
    @pytest.mark.parametrize("option", ["--port", "--control-port"])
    def test_a_port_that_is_taken_exits_3(self, option: str, tmp_path: Path) -> None:
        other = "--control-port" if option == "--port" else "--port"
        with socket.create_server(("127.0.0.1", 0)) as taken:
            arguments = ("serve", option, str(taken.getsockname()[1]), other, "0")

            with running(*arguments, VUEMANTICS_WS_STATE_DIR=str(tmp_path)) as process:
                outcome = ended(process)

        assert outcome.code == 3
        assert "error: cannot listen on 127.0.0.1 port" in outcome.err
        assert option in outcome.err

    def test_the_running_server_is_where_it_says(self, open_server: Server) -> None:
        assert run("token", "alice", *open_server.at_control).code == 0


@pytest.mark.slow
class TestAroundRedis:
    def test_it_starts_while_redis_is_away_says_so_and_becomes_ready_by_itself(self, own_redis: RedisServer) -> None:
        own_redis.kill()
        url = f"redis://:hush@127.0.0.1:{own_redis.port}"
        with running("serve", "--port", "0", "--control-port", "0", "--json", VUEMANTICS_WS_REDIS=url) as process:
            assert process.stdout is not None
            control = json.loads(process.stdout.readline())["control"]
            away = read_until(process.stderr, f"redis at 127.0.0.1:{own_redis.port}")
            before = httpx.get(f"{control}/readyz"), httpx.get(f"{control}/healthz")
            own_redis.options = ("--requirepass", "hush")
            own_redis.start()
            read_until(process.stderr, "answers")
            after = httpx.get(f"{control}/readyz")
            process.send_signal(signal.SIGTERM)
            outcome = ended(process)

        assert "hush" not in away
        assert [answer.status_code for answer in before] == [503, 200]
        assert before[0].json()["error"]["code"] == "broker_away"
        assert after.status_code == 200
        assert (outcome.code, outcome.err.count("hush")) == (0, 0)

    def test_several_are_one_system_for_those_who_watch_list_and_kick(
        self, redis: RedisServer, prefix: str, tmp_path: Path
    ) -> None:
        options = ("--redis", redis.url, "--redis-prefix", prefix)
        with (
            server(tmp_path, *options, "--node-name", "a") as first,
            server(tmp_path, *options, "--node-name", "b") as second,
        ):
            with running("listen", "holiday", "--user", "alice", *first.at_url) as tab:
                read_until(tab.stderr, "following")
                published = run("publish", "holiday", "50", "--owner", "alice", *second.at_control)
                read_until(tab.stdout, "50")
                listed = run("connections", "--json", *second.at_control)
                alone = run("connections", "--json", "--scope", "node", *second.at_control)
                watched = run("watch", "--once", "--nodes", *second.at_control)
                own = run("watch", "--once", "--connections", "--scope", "node", "--json", *second.at_control)
                refused = run("kick", "1", *second.at_control)
                kicked = run("kick", "1", "--node", "a", *second.at_control)
                read_until(tab.stderr, "1012")

        assert published.code == 0
        assert [(row["user"], row["node"]) for row in listed.objects] == [("alice", "a")]
        assert alone.objects == []
        assert [page["rows"] for frame in own.objects for page in frame["views"]] == [[]]
        assert "2 nodes" in watched.lines[0]
        assert "redis" in watched.lines[0]
        assert [line.split()[:2] for line in watched.lines if line.startswith(("a ", "b "))][-2:] == [
            ["a", "ready"],
            ["b", "ready"],
        ]
        assert refused.code == 4
        assert "name the node that has it, with node= or --node" in refused.err
        assert (kicked.code, kicked.out) == (0, "closed 1 connection\n")
