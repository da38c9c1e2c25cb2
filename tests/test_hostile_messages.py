"""Whatever somebody sends, each reader answers with a message or with an error of ours, and the error quotes nothing of it."""

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.browser_validator import problems
from tests.events import UPLOAD_ID
from tests.hostile import CANARY, VALID_EVENTS, VALID_FIRST, VALID_LATER, corpus, mutations
from vuemantics_ws.core.session import Input, classify, classify_first
from vuemantics_ws.core.upload import Event, Upload
from vuemantics_ws.errors import BadEvent, BadMessage, PeerError
from vuemantics_ws.messages import (
    Gist,
    gist_of,
    read_auth,
    read_client_message,
    read_server_message,
    read_upload_message,
)

READERS: dict[Callable[[bytes], Any], type[PeerError]] = {
    read_auth: BadMessage,
    read_client_message: BadMessage,
    read_server_message: BadMessage,
    read_upload_message: BadEvent,
    Event.read: BadEvent,
}


KEYS = ("type", "token", "action", "upload_id", "payload", "timestamp", "attempt", "seq", "owner", "__proto__")


def refusal(read: Callable[[bytes], Any], data: bytes) -> PeerError | None:
    """The error with which a reader refuses, None where it does not. Every other error fails the test."""
    try:
        read(data)
    except READERS[read] as error:
        return error
    return None


def shown(error: PeerError) -> str:
    """All that a log could show of an error."""
    return "".join([*traceback.format_exception(error), str(error), repr(error), str(error.hint)])


@pytest.mark.parametrize("read", READERS)
class TestEveryReader:
    def test_the_corpus_is_read_or_refused_and_never_quoted(self, read: Callable[[bytes], Any]) -> None:
        for name, data in corpus():
            error = refusal(read, data)

            assert error is None or CANARY not in shown(error), name

    def test_a_wrong_kind_in_any_field_is_read_or_refused_and_never_quoted(self, read: Callable[[bytes], Any]) -> None:
        for valid in (*VALID_EVENTS, *VALID_FIRST, *VALID_LATER):
            for data in mutations(valid):
                error = refusal(read, data)

                assert error is None or CANARY not in shown(error), data

    def test_every_byte_of_a_message_may_be_missing_or_another(self, read: Callable[[bytes], Any]) -> None:
        for valid in (*VALID_EVENTS[:3], *VALID_FIRST, *VALID_LATER[:1]):
            for place in range(len(valid)):
                refusal(read, valid[:place])
                refusal(read, valid[:place] + b"\xff" + valid[place:])
                refusal(read, valid[:place] + b'"' + valid[place + 1 :])

    @given(st.binary())
    def test_any_bytes_are_read_or_refused(self, read: Callable[[bytes], Any], data: bytes) -> None:
        refusal(read, data)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
            lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner),
        )
    )
    def test_any_json_is_read_or_refused(self, read: Callable[[bytes], Any], value: Any) -> None:
        refusal(read, json.dumps(value).encode())


class TestTheSession:
    def test_every_hostile_message_is_some_input(self) -> None:
        for _, data in corpus():
            assert classify_first(data)[0] in (Input.AUTH, Input.NO_AUTH, Input.NO_JSON)
            kind, about = classify(data)
            assert isinstance(kind, Input)
            assert kind is not Input.BAD_MESSAGE or CANARY not in about

    def test_the_gist_of_anything_is_found_without_an_error(self) -> None:
        for _, data in corpus():
            assert isinstance(gist_of(data), Gist)

    def test_an_undeclared_field_spoils_nothing(self) -> None:
        for name, data in corpus():
            if name.endswith("beside a ping") and json_is_fine(data):
                assert classify(data)[0] is Input.HEARTBEAT, name


class TestPublished:
    def test_what_the_readers_take_the_browser_takes(self) -> None:
        for valid in VALID_EVENTS:
            assert problems(valid) == []
            for data in mutations(valid):
                if refusal(Event.read, data) is None:
                    assert problems(_with_uuid(data)) == [], data

    def test_what_the_browser_takes_the_readers_take(self) -> None:
        """Less what a publisher may not say, and what stands beside the browser's own fields."""
        for valid in VALID_EVENTS:
            for data in mutations(valid):
                said = json.loads(data)
                if problems(data) == [] and "attempt" not in said and str(said["action"]).startswith("upload_"):
                    assert refusal(Event.read, data) is None or _has_integral_float(data), data

    def test_what_leaves_after_the_judge_the_browser_takes(self) -> None:
        for valid in VALID_EVENTS:
            for data in mutations(valid):
                if refusal(Event.read, data) is None:
                    upload = Upload()
                    upload.judge(Event.read(data), 0.0)
                    assert upload.head is not None
                    assert problems(_with_uuid(upload.head.frame.payload)) == []

    def test_invalid_utf_8_is_refused_even_where_nobody_looks(self) -> None:
        for name, data in corpus():
            if "UTF-8" in name and "alone" not in name and not name.endswith("key"):
                assert refusal(Event.read, data) is not None, name


def _with_uuid(data: bytes) -> bytes:
    """The server takes ids that are no UUID (SEMANTICS.md section 5), the browser does not."""
    return data.replace(b'"upload_id": "%b"' % CANARY.encode(), b'"upload_id": "%b"' % UPLOAD_ID.encode())


def json_is_fine(data: bytes) -> bool:
    try:
        json.loads(data.decode(), parse_constant=lambda _: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return False
    return b"\\ud800" not in data


def _has_integral_float(data: bytes) -> bool:
    return b": 1.0" in data
