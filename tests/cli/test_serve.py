"""``serve``: what it says, what it refuses, how it ends."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.program import SECRET, Server, ended, read_until, run, running
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
