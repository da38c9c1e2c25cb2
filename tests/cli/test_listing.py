"""``connections``, ``uploads`` and ``kick``: one look, and one act."""

import re

import pytest

from tests.cli.program import Server, read_until, run, running

NOWHERE = ("--control", "http://127.0.0.1:1")


class TestUploads:
    def test_they_are_a_table_with_how_many_there_are_beside_it(self, open_server: Server, upload_id: str) -> None:
        run("publish", upload_id, "40", "--owner", "alice", *open_server.at_control)

        outcome = run("uploads", "--filter", f"upload={upload_id}", *open_server.at_control)

        assert outcome.code == 0
        assert outcome.lines[0].split()[:3] == ["upload", "stage", "percent"]
        assert re.match(rf"{upload_id[:8]}\S*  \w+ +█+░+  40 %", outcome.lines[1])
        assert len(outcome.lines) == 2
        assert re.fullmatch(r"uploads: rows 1-1 of 1( matched, \d+ in all)?\n", outcome.err)

    def test_for_a_program_each_is_an_object(self, open_server: Server, upload_id: str) -> None:
        for percent in ("10", "20", "30"):
            run("publish", upload_id + percent, percent, *open_server.at_control)
        options = ("--filter", f"upload={upload_id}*", "--sort=-percent", "--limit", "2", "--offset", "1", "--json")

        outcome = run("uploads", *options, *open_server.at_control)

        assert [row["percent"] for row in outcome.objects] == [20, 10]
        assert outcome.err.startswith("uploads: rows 2-3 of 3 matched")

    def test_none_is_no_table(self, open_server: Server) -> None:
        outcome = run("uploads", "--filter", "upload=there-is-none", *open_server.at_control)

        assert (outcome.code, outcome.out) == (0, "")
        assert re.fullmatch(r"uploads: (none of \d+ matched|none)\n", outcome.err)

    @pytest.mark.parametrize("command", [["uploads"], ["connections"], ["watch", "--once"]])
    def test_what_its_help_shows_is_understood(
        self, open_server: Server, command: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        shown = run(command[0], "--help").out
        filter_text = re.search(r"Only rows like these: (.+)\. ", shown)
        sort = re.search(r"(--sort=[-\w,]+)\. ", shown)

        assert filter_text is not None
        assert sort is not None
        outcome = run(*command, "--filter", filter_text[1], sort[1], *open_server.at_control)

        assert (outcome.code, "error" in outcome.err) == (0, False)

    @pytest.mark.parametrize("command", ["uploads", "connections"])
    def test_a_bad_filter_exits_2_with_the_server_s_words(self, open_server: Server, command: str) -> None:
        outcome = run(command, "--filter", "(", *open_server.at_control)

        assert outcome.code == 2
        assert outcome.err.startswith("error: filter, character 2: expected")

    @pytest.mark.parametrize("arguments", [["uploads"], ["connections"], ["kick", "1"]])
    def test_a_server_that_is_not_there_exits_3(self, arguments: list[str]) -> None:
        assert run(*arguments, *NOWHERE).code == 3


class TestKicking:
    @pytest.mark.slow
    @pytest.mark.parametrize(("options", "code", "words"), [([], 1012, "comes back"), (["--for-good"], 1000, "stays away")])
    def test_a_connection_is_closed_by_its_number(
        self, open_server: Server, upload_id: str, options: list[str], code: int, words: str
    ) -> None:
        user = f"user-{upload_id}"
        with running("listen", upload_id, "--user", user, *open_server.at_url) as listener:
            read_until(listener.stderr, "following")
            (row,) = run("connections", "--filter", f"user={user}", "--json", *open_server.at_control).objects

            outcome = run("kick", str(row["connection"]), *options, *open_server.at_control)

            end = read_until(listener.stderr, "error: ")
        assert outcome.code == 0
        assert outcome.out == "closed 1 connection\n"
        assert f"with {code}: the browser {words}" in outcome.err
        assert str(code) in end or code == 1000

    @pytest.mark.slow
    def test_all_of_a_user_are_closed_by_name(self, open_server: Server, upload_id: str) -> None:
        user = f"user/{upload_id}"
        listen = ("listen", upload_id, "--user", user, *open_server.at_url)
        with running(*listen) as one, running(*listen) as other:
            read_until(one.stderr, "following")
            read_until(other.stderr, "following")

            outcome = run("kick", "--user", user, "--json", *open_server.at_control)

            read_until(one.stderr, "1012")
            read_until(other.stderr, "1012")
        assert outcome.objects == [{"kicked": 2, "missing": []}]

    @pytest.mark.parametrize("whom", [["4711000"], ["--user", "nobody-of-that-name"]])
    def test_one_that_is_not_there_exits_4_with_a_hint(self, open_server: Server, whom: list[str]) -> None:
        outcome = run("kick", *whom, *open_server.at_control)

        assert (outcome.code, outcome.out) == (4, "")
        assert outcome.err.startswith("error: ")
        assert "hint: " in outcome.err

    @pytest.mark.parametrize(("whom", "got"), [([], "neither"), (["1", "--user", "alice"], "both")])
    def test_it_wants_a_number_or_a_name(self, whom: list[str], got: str) -> None:
        outcome = run("kick", *whom)

        assert outcome.code == 2
        assert outcome.err.startswith(f"error: expected CONNECTION or --user, got {got}\n")
