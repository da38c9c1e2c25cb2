"""What every command has in common: errors, exit codes, help."""

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from tests.cli.program import SECRET, Server, ended, read_until, run, running
from vuemantics_ws.errors import BadEvent, BadScenario, BadSetting, EnvironmentUnfit, Refused, TokenRefused
from vuemantics_ws_cli import tokens
from vuemantics_ws_cli.exit_codes import MEANINGS, ExitCode, exit_code_of, exit_code_table

NOWHERE = ("--control", "http://127.0.0.1:1")


class TestExitCodes:
    def test_every_code_has_its_meaning_in_help_and_in_the_documentation(self) -> None:
        shown = " ".join(run("--help").out.split())

        assert list(MEANINGS) == list(ExitCode)
        for code, meaning in MEANINGS.items():
            assert f"{code:d} {meaning}" in shown
            assert f"| {code:d} | {meaning} |" in exit_code_table()

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (BadSetting("no", setting="port"), 2),
            (BadScenario(["no"]), 2),
            (EnvironmentUnfit("no"), 3),
            (Refused("no"), 4),
            (BadEvent("no"), 7),
            (TokenRefused("no", reason="no"), 70),
        ],
    )
    def test_an_error_has_the_code_of_who_is_to_blame(self, error: Exception, code: int) -> None:
        assert exit_code_of(error) == code


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "error", "hint"),
        [
            (["publsh"], "no such command 'publsh'", "did you mean 'publish'?"),
            (["listen", "x", "--cuont", "3"], "no such option: --cuont", "did you mean --count?"),
            (["token"], "missing argument 'USER'", "see: vuemantics-ws token --help"),
            (["kick", "x"], "invalid value for 'CONNECTION': expected a valid integer", "see: vuemantics-ws kick --help"),
            (
                ["watch", "--limit", "0"],
                "invalid value for '--limit': expected greater than or equal to 1",
                "see: vuemantics-ws watch --help",
            ),
            (
                ["publish", "x", "--run", "sound"],
                "invalid value for '--run': 'sound' is not one of 'image', 'video'",
                "see: vuemantics-ws publish --help",
            ),
            (["token", "alice", "--ttl", "5"], "--ttl: expected a duration such as 250ms, 30s or 5m, got '5'", None),
        ],
    )
    def test_wrong_usage_says_what_was_expected(self, arguments: list[str], error: str, hint: str | None) -> None:
        outcome = run(*arguments)

        assert outcome.code == 2
        assert outcome.out == ""
        assert outcome.err == f"error: {error}\n" + (f"hint: {hint}\n" if hint else "")

    def test_a_server_that_is_not_there_is_no_fault_of_the_arguments(self) -> None:
        outcome = run("token", "alice", *NOWHERE)

        assert outcome.code == 3
        assert outcome.err.splitlines() == [
            "error: no server answers at http://127.0.0.1:1",
            "hint: start one with: vuemantics-ws serve",
        ]

    def test_a_fault_of_ours_is_owned_up_to_without_a_traceback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tokens, "issue", _fail)

        outcome = run("token", "alice")

        assert outcome.code == 70
        assert outcome.err.startswith("error: a fault of ours: ZeroDivisionError\nhint: ")
        assert "nobody planned this" not in outcome.err
        assert "VUEMANTICS_WS_DEBUG=1" in outcome.err
        assert "Traceback" not in outcome.err

    def test_the_traceback_is_there_for_whoever_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tokens, "issue", _fail)
        monkeypatch.setenv("VUEMANTICS_WS_DEBUG", "1")

        outcome = run("token", "alice")

        assert outcome.code == 70
        assert "Traceback" in outcome.err

    def test_what_others_wrote_cannot_move_the_cursor(self) -> None:
        outcome = run("listen", "x\x1b[2J", "--user", "alice")

        assert outcome.code == 2
        assert "\x1b" not in outcome.err


async def _fail(*arguments: object, **options: object) -> None:
    raise ZeroDivisionError("nobody planned this")


class TestHelp:
    def test_without_a_command_there_is_help_and_2(self) -> None:
        outcome = run()

        assert outcome.code == 2
        assert outcome.out == ""
        assert "Usage: vuemantics-ws" in outcome.err

    def test_the_version_is_one_line(self) -> None:
        outcome = run("--version")

        assert outcome.code == 0
        assert re.fullmatch(r"vuemantics-ws \S.*\n", outcome.out)

    def test_help_imports_nothing_that_only_running_needs(self) -> None:
        heavy = "{'pydantic', 'fastapi', 'uvicorn', 'httpx', 'websockets', 'jwt', 'yaml', 'msgspec', 'asyncio'}"
        code = f"import sys, vuemantics_ws_cli.app; print(sorted({heavy} & set(sys.modules)))"

        finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

        assert finished.stdout == "[]\n"


class TestPipes:
    def test_a_reader_that_has_had_enough_is_no_error(self, open_server: Server, upload_id: str) -> None:
        with running("listen", upload_id, "--user", "alice", *open_server.at_url) as listener:
            read_until(listener.stderr, "following")
            assert listener.stdout is not None
            listener.stdout.close()
            listener.stdout = None

            run("publish", upload_id, "10", *open_server.at_control)

            outcome = ended(listener)
        assert outcome.code == 0
        assert outcome.err == ""

    def test_ctrl_c_ends_with_130_and_no_words(self, open_server: Server, upload_id: str) -> None:
        with running("listen", upload_id, "--user", "alice", *open_server.at_url) as listener:
            read_until(listener.stderr, "following")

            listener.send_signal(signal.SIGINT)

            outcome = ended(listener)
        assert outcome == (130, "", "")

    def test_an_encoding_without_bars_is_no_reason_to_stop(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "50", "--message", "hé", *open_server.at_control)
        options = ("--user", "alice", "--count", "1", *open_server.at_url)

        with running("listen", upload_id, *options, PYTHONIOENCODING="ascii") as listener:
            outcome = ended(listener)

        assert outcome.code == 0
        assert "######------  50 %" in outcome.out
        assert "h\\xe9" in outcome.out


class TestStreams:
    @pytest.mark.parametrize("arguments", ["scenarios --json", "scenarios", "token alice --secret-of-enough"])
    def test_a_full_disk_is_told_as_what_it_is(self, arguments: str) -> None:
        arguments = arguments.replace("--secret-of-enough", f"--secret '{SECRET}'")

        ended = in_a_shell(f"{arguments} >/dev/full")

        assert (ended.returncode, ended.stderr) == (3, "error: what was to be written cannot be: no space left on device\n")

    @pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&1 >/dev/null | true", "2>&-"])
    def test_an_exit_code_is_the_same_whether_anybody_hears_why(self, stderr: str) -> None:
        ended = in_a_shell(f"nonsense {stderr}")

        assert (ended.returncode, ended.stdout) == (2, "")

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_a_stream_that_is_closed_is_one_that_nobody_reads(self, closed: str) -> None:
        ended = in_a_shell(f"scenarios --json {closed}")

        assert (ended.returncode, ended.stderr) == (0, "")


def in_a_shell(line: str) -> "subprocess.CompletedProcess[str]":
    command = f"{shlex.quote(sys.executable)} -m vuemantics_ws_cli {line}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    shell = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(shell, env=buffered, capture_output=True, text=True, timeout=20, check=False)
