"""What is written: messages that the browser takes, versions spliced in, and the frames that carry them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from tests.browser_validator import problems
from tests.events import UPLOAD_ID, completed, failed, progress
from vuemantics_ws.frame import Frame
from vuemantics_ws.messages import (
    Auth,
    AuthError,
    AuthSuccess,
    ErrorMessage,
    Gist,
    Message,
    Ping,
    ProgressPayload,
    Stage,
    Status,
    Subscribed,
    SubscribeUpload,
    Unsubscribed,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    encode,
    gist_of,
    outcome_of,
    read_server_message,
    read_upload_message,
    with_version,
)

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_percents = st.integers(0, 100)
_moments = st.datetimes(timezones=st.none() | st.just(UTC))
_versions: st.SearchStrategy[dict[str, int]] = st.just({}) | st.fixed_dictionaries(
    {"attempt": st.integers(1, 2**53 - 1), "seq": st.integers(1, 2**53 - 1)}
)
_payloads = st.builds(
    ProgressPayload,
    upload_id=st.uuids().map(str),
    status=st.sampled_from(Status),
    stage=st.sampled_from(Stage),
    progress_percent=_percents,
    message=_texts,
    error_message=st.none() | _texts,
    description_audit_score=st.none() | _percents,
)
_ids = st.uuids().map(str)
SERVER_MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(AuthSuccess, _texts),
    st.builds(AuthError, _texts),
    st.just(Ping()),
    st.builds(Subscribed, _ids, st.booleans()),
    st.builds(Unsubscribed, _ids),
    st.builds(ErrorMessage, st.sampled_from(["bad_message", "upload_limit"]), _texts),
    st.builds(ErrorMessage, st.just("forbidden"), _texts, _ids),
    st.builds(lambda v, **k: UploadProgress(**k, **v), _versions, payload=_payloads, timestamp=_moments),
    st.builds(
        lambda v, **k: UploadCompleted(**k, **v),
        _versions, upload_id=_ids, description=_texts, audit_score=_percents, timestamp=_moments,
    ),
    st.builds(lambda v, **k: UploadFailed(**k, **v), _versions, upload_id=_ids, error_message=_texts, timestamp=_moments),
)  # fmt: skip


class TestEncode:
    @given(SERVER_MESSAGES)
    def test_whatever_is_encoded_for_a_browser_its_validator_takes(self, message: Message) -> None:
        assert problems(encode(message)) == []

    @given(SERVER_MESSAGES)
    def test_what_is_encoded_is_read_back(self, message: Message) -> None:
        said = read_server_message(encode(message))

        assert said["action"] == json.loads(encode(message))["action"]
        if isinstance(message, UploadProgress | UploadCompleted | UploadFailed):
            assert read_upload_message(encode(message)) == message

    def test_the_messages_have_the_names_of_the_protocol(self) -> None:
        payload = ProgressPayload(
            upload_id=UPLOAD_ID, status=Status.ANALYZING, stage=Stage.VISION_ANALYSIS, progress_percent=20, message="",
            error_message=None, description_audit_score=None,
        )  # fmt: skip
        when = datetime(2026, 1, 1, tzinfo=UTC)

        assert json.loads(encode(UploadProgress(payload=payload, timestamp=when))) == {
            **json.loads(progress()),
            "timestamp": "2026-01-01T00:00:00Z",
        }
        assert encode(Ping()) == b'{"action":"ping"}'
        assert encode(AuthSuccess("alice")) == b'{"action":"auth_success","user_id":"alice"}'
        assert encode(Subscribed("u", True)) == b'{"action":"subscribed","upload_id":"u","known":true}'
        assert encode(Unsubscribed("u")) == b'{"action":"unsubscribed","upload_id":"u"}'
        assert encode(ErrorMessage("try_again", "later")) == b'{"action":"error","code":"try_again","message":"later"}'
        assert encode(Auth("t")) == b'{"type":"auth","token":"t"}'
        assert encode(SubscribeUpload("u")) == b'{"action":"subscribe_upload","upload_id":"u"}'

    def test_a_model_and_any_mapping_are_encoded_as_a_dict_is(self) -> None:
        class Model(pydantic.BaseModel):
            action: str = "é"

        same: list[Message] = [{"action": "é"}, MappingProxyType({"action": "é"}), Model()]

        assert {encode(message) for message in same} == {'{"action":"é"}'.encode()}

    @pytest.mark.parametrize("message", [{"action": object()}, {"action": "\ud800"}])
    def test_what_json_cannot_hold_is_the_caller_s_error(self, message: Mapping[str, Any]) -> None:
        with pytest.raises((TypeError, ValueError)):
            encode(message)


class TestWithVersion:
    @given(
        st.dictionaries(
            _texts.filter(lambda key: key not in ("attempt", "seq")), st.none() | _texts | st.integers(), min_size=1
        ),
        st.text(" \t\r\n"),
        st.none() | st.integers(0, 3),
        st.booleans(),
        st.integers(1, 2**53 - 1),
        st.integers(1, 2**53 - 1),
    )
    def test_a_version_is_added_and_no_other_byte_touched(
        self, said: dict[str, Any], before: str, indent: int | None, ascii_only: bool, attempt: int, seq: int
    ) -> None:
        published = (before + json.dumps(said, indent=indent, ensure_ascii=ascii_only) + before).encode()

        leaves = with_version(published, attempt, seq)

        assert json.loads(leaves) == {"attempt": attempt, "seq": seq, **said}
        assert leaves.replace(b'"attempt":%d,"seq":%d,' % (attempt, seq), b"", 1) == published

    def test_every_kind_of_event_stays_one(self) -> None:
        for published in (progress(), completed(), failed()):
            for spaced in (published, b" \r\n" + published, json.dumps(json.loads(published), indent=2).encode()):
                leaves = with_version(spaced, 2**53 - 1, 7)

                message = read_upload_message(leaves)
                assert (message.attempt, message.seq) == (2**53 - 1, 7)
                assert problems(leaves) == []

    def test_an_end_says_the_same_with_a_version_as_without(self) -> None:
        assert outcome_of(with_version(completed(), 3, 4)) == outcome_of(completed(number=9))


class TestGist:
    def test_a_message_is_some_upload_s_progress_or_end_or_neither(self) -> None:
        assert gist_of(progress(upload_id="u")) == Gist("u", None)
        assert gist_of(completed(upload_id="u")) == Gist(None, "u")
        assert gist_of(failed(upload_id="u")) == Gist(None, "u")
        for other in (b'{"action":"ping"}', b'{"action":"subscribed","upload_id":"u"}', b"[]", b"", b'{"upload_id":"u"}'):
            assert gist_of(other) == Gist(None, None)

    def test_progress_with_fields_of_the_application_s_own_is_progress(self) -> None:
        assert gist_of(b'{"action":"upload_progress","payload":{"upload_id":"u","eta":5}}') == Gist("u", None)


class TestFrame:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1_000_000])
    def test_the_library_s_own_parser_reads_our_frame(self, size: int) -> None:
        payload = b"x" * size
        parser = ClientProtocol(parse_uri("ws://127.0.0.1/"), state=OPEN, max_size=None)

        parser.receive_data(Frame(payload).data)

        [frame] = parser.events_received()
        assert isinstance(frame, WebSocketFrame)
        assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, payload)
        assert Frame(payload).data == WebSocketFrame(Opcode.TEXT, payload).serialize(mask=False)

    @pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
    def test_the_payload_is_found_behind_a_header_of_any_length(self, size: int) -> None:
        payload = b"y" * size

        frame = Frame(payload)

        assert frame.payload == payload
        assert len(frame) == len(frame.data)

    def test_the_text_is_the_payload_decoded_once(self) -> None:
        frame = Frame.of({"é": "𝄞"})

        assert frame.text == '{"é":"𝄞"}'
        assert frame.text is frame.text


class TestTheValidator:
    """It must be able to refuse, or what passes it has shown nothing."""

    @pytest.mark.parametrize(
        "change",
        [
            {"upload_id": "u"}, {"status": "done"}, {"stage": ""}, {"progress_percent": 101}, {"progress_percent": 0.5},
            {"progress_percent": True}, {"message": None}, {"error_message": 5}, {"description_audit_score": -1},
        ],
    )  # fmt: skip
    def test_it_refuses_progress_with_one_wrong_field(self, change: dict[str, Any]) -> None:
        published = json.loads(progress())
        published["payload"].update(change)

        assert problems(json.dumps(published).encode()) == list(change)

    @pytest.mark.parametrize(
        ("data", "problem"),
        [
            (b"{", "no JSON"), (b"\xff", "no JSON"), (b'{"action":NaN}', "no JSON"), (b"[]", "no object"), (b"{}", "no action"),
            (failed(attempt=1), "half a version"), (failed(attempt=0, seq=1), "attempt"), (completed(score=101), "audit_score"),
            (failed().replace(b"T", b" "), "timestamp"), (b'{"action":"auth_success"}', "user_id"),
        ],
    )  # fmt: skip
    def test_it_refuses_what_else_is_wrong(self, data: bytes, problem: str) -> None:
        assert problems(data) == [problem]
