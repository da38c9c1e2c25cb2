"""``publish``: one event or a whole run, and the server's verdict."""

import signal
import uuid
from pathlib import Path

import pytest

from tests.cli.program import Outcome, Server, ended, run, running, server


def publish(to: Server, *arguments: str) -> Outcome:
    return run("publish", *arguments, *to.at_control)


def heard(at: Server, upload_id: str, count: int = 1, user: str = "alice") -> list[dict[str, object]]:
    """What a listener gets of an upload."""
    return run("listen", upload_id, "--user", user, "--count", str(count), "--json", *at.at_url).objects


class TestOneEvent:
    def test_the_verdict_is_printed(self, open_server: Server, upload_id: str) -> None:
        outcome = publish(open_server, upload_id, "50")

        assert outcome == (0, f"accepted  {upload_id}  attempt 1 seq 1  nobody follows it\n", "")

    @pytest.mark.parametrize(
        ("percent", "stage", "status", "score"),
        [
            ("0", "queued", "analyzing", None),
            ("19", "queued", "analyzing", None),
            ("20", "vision_analysis", "analyzing", None),
            ("50%", "description_audit", "analyzing", None),
            ("60", "embedding_generation", "embedding", 87),
            ("100", "indexing", "embedding", 87),
        ],
    )
    def test_the_rest_follows_from_the_percent(
        self, open_server: Server, upload_id: str, percent: str, stage: str, status: str, score: int | None
    ) -> None:
        publish(open_server, upload_id, percent)

        (message,) = heard(open_server, upload_id)

        payload = message["payload"]
        assert isinstance(payload, dict)
        assert payload["message"]
        assert payload | {"message": "…"} == {
            "upload_id": upload_id,
            "status": status,
            "stage": stage,
            "progress_percent": int(percent.rstrip("%")),
            "message": "…",
            "error_message": None,
            "description_audit_score": score,
        }

    def test_what_is_given_wins(self, open_server: Server, upload_id: str) -> None:
        said = ("--stage", "indexing", "--message", "almost", "--error", "slow", "--audit-score", "7")
        publish(open_server, upload_id, "30", *said, "--attempt", "3", "--seq", "9")

        (message,) = heard(open_server, upload_id)

        assert (message["attempt"], message["seq"]) == (3, 9)
        payload = message["payload"]
        assert isinstance(payload, dict)
        assert (payload["stage"], payload["status"]) == ("indexing", "embedding")
        assert (payload["message"], payload["error_message"], payload["description_audit_score"]) == ("almost", "slow", 7)

    def test_an_end_says_what_was_found(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "completed", "--description", "a beach", "--audit-score", "91")

        (message,) = heard(open_server, upload_id)

        assert (message["action"], message["description"], message["audit_score"]) == ("upload_completed", "a beach", 91)

    def test_a_failure_says_why(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "failed", "--error", "the file is damaged")

        (message,) = heard(open_server, upload_id)

        assert (message["action"], message["error_message"]) == ("upload_failed", "the file is damaged")

    def test_a_stale_event_exits_7_and_says_what_stands(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "50", "--attempt", "2", "--seq", "4")

        outcome = publish(open_server, upload_id, "20", "--attempt", "2", "--seq", "3")

        assert outcome.code == 7
        assert outcome.out == f"stale  {upload_id}  attempt 2 seq 4\n"
        assert outcome.err.startswith(f"error: {upload_id} stands at attempt 2 seq 4 already, so the event was dropped\nhint: ")

    def test_an_event_after_the_end_exits_7_and_says_how_to_begin_again(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "completed")

        outcome = publish(open_server, upload_id, "60")

        assert outcome.code == 7
        assert outcome.out.startswith("after_terminal")
        assert f"hint: a new attempt begins with: vuemantics-ws publish {upload_id} 0" in outcome.err
        assert publish(open_server, upload_id, "0").code == 0

    def test_json_is_one_object(self, open_server: Server, upload_id: str) -> None:
        outcome = publish(open_server, upload_id, "50", "--json")

        assert outcome.objects == [
            {
                "upload_id": upload_id,
                "verdict": "accepted",
                "attempt": 1,
                "seq": 1,
                "receivers": 0,
                "stage": "description_audit",
                "progress_percent": 50,
            }
        ]

    def test_new_makes_a_uuid_and_prints_it_first(self, open_server: Server) -> None:
        outcome = publish(open_server, "new", "0")

        first, second = outcome.lines
        assert str(uuid.UUID(first)) == first
        assert first in second
        assert outcome.err == ""

    def test_an_id_that_is_no_uuid_is_published_with_a_warning(self, open_server: Server) -> None:
        outcome = publish(open_server, "holiday", "50")

        assert outcome.code == 0
        assert (
            outcome.err
            == "warning: holiday is no UUID: the server takes it, but the application's page drops what is about it\n"
        )


class TestOwners:
    @pytest.mark.slow
    def test_an_upload_reaches_its_owner_and_nobody_else(self, tmp_path: Path, upload_id: str) -> None:
        with server(tmp_path, "--access", "owner") as ready:
            publish(ready, upload_id, "50", "--owner", "alice")

            mine = heard(ready, upload_id)
            unowned = publish(ready, upload_id.replace("4000", "4001"), "50")
            inherited = publish(ready, upload_id, "60")
            others = run("listen", upload_id, "--user", "bob", "--timeout", "200ms", *ready.at_url)

        assert len(mine) == 1
        assert (others.code, others.out) == (6, "")
        assert unowned.code == 0
        assert unowned.err.startswith("warning: nobody owns this upload, so the server shows it to nobody\nhint: --owner")
        assert inherited.err == ""


class TestRuns:
    @pytest.mark.parametrize("name", ["image", "video"])
    def test_a_run_passes_every_stage_of_its_pipeline(self, open_server: Server, upload_id: str, name: str) -> None:
        outcome = publish(open_server, upload_id, "--run", name, "--speed", "400x", "--json")

        stages = list(dict.fromkeys(line["stage"] for line in outcome.objects))
        first, *rest = ["vision_analysis", "description_audit", "embedding_generation", "indexing", "completed"]
        assert stages == ["queued", *(["extracting_frames"] if name == "video" else []), first, *rest]
        percents = [line["progress_percent"] for line in outcome.objects]
        assert percents == sorted(percents)
        assert percents[-1] == 100
        assert {line["verdict"] for line in outcome.objects} == {"accepted"}
        assert outcome.code == 0

    def test_a_run_in_a_pipe_prints_its_last_verdict(self, open_server: Server, upload_id: str) -> None:
        outcome = publish(open_server, upload_id, "--run", "image", "--speed", "400x")

        assert outcome.lines == [f"accepted  {upload_id}  attempt 1 seq 10  nobody follows it"]
        assert outcome.err == ""

    def test_a_run_with_a_version_counts_up_from_it(self, open_server: Server, upload_id: str) -> None:
        outcome = publish(open_server, upload_id, "--run", "image", "--speed", "400x", "--attempt", "2", "--seq", "5", "--json")

        versions = [(line["attempt"], line["seq"]) for line in outcome.objects]
        assert versions == [(2, seq) for seq in range(5, 5 + len(versions))]

    def test_a_run_stops_at_the_first_event_that_is_dropped(self, open_server: Server, upload_id: str) -> None:
        publish(open_server, upload_id, "50", "--attempt", "2", "--seq", "3")

        outcome = publish(open_server, upload_id, "--run", "image", "--speed", "400x", "--attempt", "1", "--seq", "1", "--json")

        assert [line["verdict"] for line in outcome.objects] == ["stale"]
        assert outcome.code == 7

    def test_a_run_that_is_cut_short_exits_130(self, open_server: Server, upload_id: str) -> None:
        with running("publish", upload_id, "--run", "video", "--json", *open_server.at_control) as process:
            assert process.stdout is not None
            process.stdout.readline()

            process.send_signal(signal.SIGINT)

            assert ended(process).code == 130


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (["x"], "expected PROGRESS, or --run"),
            (["x", "101"], "PROGRESS: expected 0 to 100, completed or failed, got '101'"),
            (["x", "complete"], "PROGRESS: expected 0 to 100, completed or failed, got 'complete'"),
            (["x", "50", "--stage", "audit"], "--stage: expected queued, extracting_frames,"),
            (["x", "50", "--description", "d"], "--description: it means nothing beside 50"),
            (["x", "completed", "--stage", "queued"], "--stage: it means nothing beside completed"),
            (["x", "failed", "--audit-score", "7"], "--audit-score: it means nothing beside failed"),
            (["x", "50", "--attempt", "1"], "--attempt: expected --seq beside it"),
            (["x", "50", "--seq", "1"], "--seq: expected --attempt beside it"),
            (["x", "50", "--attempt", "1", "--seq", str(2**53)], "--attempt, --seq: expected at most 9007199254740991"),
            (["x", "50", "--run", "image"], "expected --run without 50"),
            (["x", "--run", "image", "--message", "m"], "expected --run without --message"),
            (["x", "--run", "image", "--speed", "fast"], "--speed: expected a speed such as 20x, got 'fast'"),
            (["a b", "50"], "UPLOAD_ID: expected 1 to 128 letters, digits, dots, underscores and hyphens, got 'a b'"),
            (["x", "50", "--control", "ws://127.0.0.1:1"], "--control: expected a URL that begins with http:// or https://"),
        ],
    )
    def test_what_cannot_be_said_exits_2(self, arguments: list[str], error: str) -> None:
        outcome = run("publish", *arguments)

        assert outcome.code == 2
        assert f"error: {error}" in outcome.err
        assert outcome.out == ""
