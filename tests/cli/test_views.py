"""What people read: at any width, without colour, and whatever a server sent."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from vuemantics_ws.client.control import Receipt
from vuemantics_ws.client.locations import CONTROL_URL, PUBLIC_URL
from vuemantics_ws_cli.views.messages import bar, message_line, short_names
from vuemantics_ws_cli.views.publishing import receipt_line, rejection
from vuemantics_ws_cli.views.serving import banner

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UPLOAD_ID = "0b6ee7a4-3f5c-4d1e-9a54-2f6f3e8f5a10"
NAMES = {UPLOAD_ID: "0b6ee7a4"}


def progress(**payload: Any) -> dict[str, Any]:
    said = {"upload_id": UPLOAD_ID, "status": "embedding", "stage": "embedding_generation", "progress_percent": 60}
    return {"action": "upload_progress", "payload": {**said, "message": "Generating", **payload}, "attempt": 2, "seq": 7}


def drawn(text: Text, *, width: int = 200, colour: bool = False) -> str:
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False)
    with console.capture() as captured:
        console.print(text, soft_wrap=True)
    return captured.get().rstrip("\n")


class TestMessages:
    def test_a_line_says_when_what_how_far_and_which_version(self) -> None:
        line = message_line(progress(), at=AT, names=NAMES)

        assert drawn(line) == "03:04:05  0b6ee7a4  ███████░░░░░  60 %  embedding_generation  2.7    Generating"

    def test_a_narrow_terminal_cuts_the_words_and_nothing_else(self) -> None:
        line = message_line(progress(message="a long story " * 20), at=AT, names=NAMES, width=80)

        text = drawn(line, width=80)
        assert len(text) == 80
        assert text.startswith("03:04:05  0b6ee7a4  ███████░░░░░  60 %  embedding_generation  2.7    a long")
        assert text.endswith("…")

    def test_a_wide_terminal_has_a_wider_bar(self) -> None:
        line = message_line(progress(), at=AT, names=NAMES, width=160)

        assert "██████████████░░░░░░░░░░  60 %" in drawn(line, width=160)

    def test_a_pipe_gets_all_the_words(self) -> None:
        line = message_line(progress(message="a long story " * 20), at=AT, names=NAMES, width=None)

        assert drawn(line).count("a long story") == 20

    def test_the_ends_can_be_told_apart_without_colour(self) -> None:
        completed = {"action": "upload_completed", "upload_id": UPLOAD_ID, "description": "a cat", "audit_score": 90}
        failed = {"action": "upload_failed", "upload_id": UPLOAD_ID, "error_message": "no model answered"}

        assert drawn(message_line(completed, at=AT, names=NAMES)).endswith(
            "████████████ 100 %  completed                    audit 90: a cat"
        )
        assert drawn(message_line(failed, at=AT, names=NAMES)).endswith(
            "░░░░░░░░░░░░        failed                       no model answered"
        )

    def test_a_message_nobody_knows_is_shown_as_it_is(self) -> None:
        line = message_line({"action": "token_expiring", "in_s": 60}, at=AT, names=NAMES)

        assert drawn(line) == '03:04:05  token_expiring  {"in_s": 60}'

    def test_an_error_of_the_server_reads_as_one(self) -> None:
        line = message_line({"action": "error", "code": "upload_limit", "message": "follow fewer"}, at=AT, names=NAMES)

        assert drawn(line) == "03:04:05  error  upload_limit: follow fewer"

    def test_ascii_has_a_bar_too(self) -> None:
        assert bar(50, 4, ascii_only=True).plain == "##--"

    def test_colour_comes_from_the_terminal_s_own_palette(self) -> None:
        shown = drawn(message_line(progress(), at=AT, names=NAMES), colour=True)

        assert "\x1b[35m" in shown
        assert "38;2" not in shown

    @given(
        st.dictionaries(st.text(max_size=9), st.none() | st.integers() | st.text(max_size=20), max_size=3), st.integers(20, 200)
    )
    def test_whatever_a_server_sends_is_one_line_that_fits(self, payload: dict[str, Any], width: int) -> None:
        for message in (progress(**payload), {"action": "upload_failed", **payload}, {**payload, "action": "x"}):
            text = message_line(message, at=AT, names=NAMES, width=width).plain

            assert len(text.splitlines()) <= 1
            assert cell_len(text) <= width

    @pytest.mark.parametrize(
        ("upload_ids", "names"),
        [
            ([UPLOAD_ID], ["0b6ee7a4"]),
            (["holiday", "holiday-2"], ["holiday", "holiday-"]),
            (["upload-10", "upload-11"], ["upload-10", "upload-11"]),
            ([UPLOAD_ID, UPLOAD_ID], ["0b6ee7a4"]),
        ],
    )
    def test_names_are_as_short_as_they_can_be_told_apart(self, upload_ids: list[str], names: list[str]) -> None:
        assert list(short_names(upload_ids).values()) == names


class TestReceipts:
    @pytest.mark.parametrize(
        ("receipt", "line"),
        [
            (Receipt("u1", "accepted", 1, 2, 0), "accepted  u1  attempt 1 seq 2  nobody follows it"),
            (Receipt("u1", "accepted", 1, 2, 1), "accepted  u1  attempt 1 seq 2  told to 1 node"),
            (Receipt("u1", "accepted", 1, 2, 3), "accepted  u1  attempt 1 seq 2  told to 3 nodes"),
            (Receipt("u1", "accepted", 1, 2, None), "accepted  u1  attempt 1 seq 2"),
            (Receipt("u1", "stale", 4, 2, 1), "stale  u1  attempt 4 seq 2"),
            (Receipt("u1", "duplicate", None, None, None), "duplicate  u1"),
        ],
    )
    def test_a_verdict_is_one_line(self, receipt: Receipt, line: str) -> None:
        assert receipt_line(receipt).plain == line

    def test_a_rejection_says_what_to_do(self) -> None:
        assert "higher --seq" in rejection(Receipt("u1", "stale", 4, 2, None))[1]
        assert "publish u1 0" in rejection(Receipt("u1", "after_terminal", 4, 2, None))[1]


class TestBanner:
    def test_it_fits_a_narrow_terminal_at_the_usual_ports(self) -> None:
        text = banner(version="1.2.3", url=PUBLIC_URL, control=CONTROL_URL, access="open", development=True).plain

        assert max(len(line) for line in text.splitlines()) <= 80
        assert "vuemantics-ws listen holiday --user alice\n" in text
        assert "DEVELOPMENT MODE" in text

    def test_at_other_ports_what_to_try_says_where(self) -> None:
        url, control = "ws://127.0.0.1:9000/ws/uploads", "http://127.0.0.1:9001"

        text = banner(version="1.2.3", url=url, control=control, access="owner", development=False).plain

        assert f"vuemantics-ws listen holiday --user alice --url {url}\n" in text
        assert f"vuemantics-ws publish holiday 50 --owner alice --control {control}\n" in text
        assert "DEVELOPMENT MODE" not in text
