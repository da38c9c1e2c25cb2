"""The messages of PROTOCOL.md as they are read: what is one, what is none, and how that is said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.browser_validator import problems
from tests.events import UPLOAD_ID, completed, failed, progress
from vuemantics_ws.errors import BadEvent, BadMessage, NotJSON
from vuemantics_ws.messages import (
    ClientPing,
    ClientPong,
    Reauth,
    SecondAuth,
    SubscribeUpload,
    UnsubscribeUpload,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    read_auth,
    read_client_message,
    read_server_message,
    read_upload_message,
)


class TestReadAuth:
    def test_the_token_of_a_first_message_is_read(self) -> None:
        assert read_auth(b'{"type": "auth", "token": "a.b.c"}') == "a.b.c"
        assert read_auth(bytearray(b'{"more": [1], "token": "", "type": "auth"}')) == ""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"auth",
            b'{"type":"auth","token":"t"',
            b'{"type":"auth","token":"t"}x',
            b'{"type":"auth","token":NaN}',
            b'\xef\xbb\xbf{"type":"auth","token":"t"}',
        ],
    )
    def test_what_is_no_json_is_told_from_what_is(self, data: bytes) -> None:
        with pytest.raises(NotJSON):
            read_auth(data)

    @pytest.mark.parametrize(
        "data",
        [
            b"null",
            b"[]",
            b'"auth"',
            b"{}",
            b'{"token":"t"}',
            b'{"type":"auth"}',
            b'{"type":"auth","token":null}',
            b'{"type":"auth","token":5}',
            b'{"type":"Auth","token":"t"}',
            b'{"type":["auth"],"token":"t"}',
            b'{"action":"auth","token":"t"}',
            b'{"action":"reauth","token":"t"}',
            b'{"action":"subscribe_upload","upload_id":"u","token":"t"}',
            b'{"type":"auth","token":%b}' % (b"1" * 100_000),
        ],
    )
    def test_json_that_is_no_auth_message_with_a_token_is_refused_as_that(self, data: bytes) -> None:
        with pytest.raises(BadMessage) as caught:
            read_auth(data)

        assert not isinstance(caught.value, NotJSON)


class TestReadClientMessage:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b'{"action":"subscribe_upload","upload_id":"u"}', SubscribeUpload("u")),
            (b'{"upload_id":"A.z_0-9","action":"unsubscribe_upload"}', UnsubscribeUpload("A.z_0-9")),
            (b'{"action":"ping"}', ClientPing()),
            (b' {"action":"pong","timestamp":5}\n', ClientPong()),
            (b'{"action":"reauth","token":"t"}', Reauth("t")),
        ],
    )
    def test_the_messages_of_the_protocol_are_read(self, data: bytes, message: object) -> None:
        assert read_client_message(data) == message

    @pytest.mark.parametrize("upload_id", ["a", "a" * 128, ".", "-", "_", UPLOAD_ID, UPLOAD_ID.upper()])
    def test_an_upload_id_may_be_what_a_path_may_be(self, upload_id: str) -> None:
        assert read_client_message(_subscribe(upload_id)) == SubscribeUpload(upload_id)

    @pytest.mark.parametrize(
        "upload_id",
        [
            "",
            "a" * 129,
            "a b",
            "a\n",
            "\na",
            "a\r",
            "a/b",
            "a:b",
            "a*",
            "{a}",
            "a\0",
            "é",
            "а",
            "ａ",
            "٣",
            "a\u200b",
            "\u2024",
            "ﬁ",
        ],
    )
    def test_every_other_upload_id_is_refused_with_what_was_expected(self, upload_id: str) -> None:
        with pytest.raises(BadMessage, match="expected an upload_id of 1 to 128"):
            read_client_message(_subscribe(upload_id))

    @pytest.mark.parametrize(
        "data",
        [b'{"type":"auth","token":"t"}', b'{"type":"auth"}', b'{"type":"auth","token":5}', b'{"type":"auth","action":"x"}'],
    )
    def test_a_second_auth_message_is_told_from_other_mistakes(self, data: bytes) -> None:
        with pytest.raises(SecondAuth):
            read_client_message(data)

    @pytest.mark.parametrize(
        "data", [b"{}", b'{"token":"t"}', b'{"action":"reauth"}', b'{"action":"PING"}', b'{"type":"ping"}', b"[]", b"hello"]
    )
    def test_what_is_no_message_is_no_second_auth(self, data: bytes) -> None:
        with pytest.raises(BadMessage) as caught:
            read_client_message(data)

        assert not isinstance(caught.value, SecondAuth)

    def test_an_auth_key_beside_an_action_spoils_nothing(self) -> None:
        assert read_client_message(b'{"type":"auth","token":"t","action":"ping"}') == ClientPing()


class TestDuplicateKeys:
    """SEMANTICS.md section 5: the last wins, as in the browser."""

    def test_of_two_values_the_last_is_read(self) -> None:
        assert read_auth(b'{"type":"auth","token":"a","token":"b"}') == "b"
        assert read_client_message(b'{"action":"ping","action":"pong"}') == ClientPong()
        assert read_client_message(b'{"action":"subscribe_upload","upload_id":"a","upload_id":"b"}') == SubscribeUpload("b")
        assert read_upload_message(failed(text="a").removesuffix(b"}") + b',"error_message":"b"}').error_message == "b"  # type: ignore[union-attr]

    def test_the_first_may_be_wrong(self) -> None:
        assert read_auth(b'{"type":5,"token":null,"type":"auth","token":"b"}') == "b"
        assert read_client_message(b'{"action":"auth","upload_id":5,"upload_id":"b","action":"subscribe_upload"}') == (
            SubscribeUpload("b")
        )
        message = read_upload_message(b'{"action":"upload_progress","seq":"x","attempt":0,' + failed(version=(1, 2))[1:])
        assert (message.upload_id, message.attempt, message.seq) == (UPLOAD_ID, 1, 2)

    def test_the_last_may_not(self) -> None:
        with pytest.raises(BadMessage):
            read_auth(b'{"type":"auth","token":"a","type":"x"}')
        with pytest.raises(BadMessage):
            read_client_message(b'{"action":"ping","action":"x"}')
        with pytest.raises(BadEvent):
            read_upload_message(failed(version=(1, 2)).removesuffix(b"}") + b',"seq":null}')

    @given(
        st.lists(st.tuples(st.sampled_from(["action", "upload_id"]), st.sampled_from(["ping", "subscribe_upload", 5, None])))
    )
    def test_a_message_is_read_as_the_browser_would_read_it(self, pairs: list[tuple[str, Any]]) -> None:
        data = ("{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}").encode()

        assert _read_or_none(data) == _read_or_none(json.dumps(json.loads(data)).encode())


class TestReadUploadMessage:
    def test_the_three_messages_are_read(self) -> None:
        assert isinstance(read_upload_message(progress()), UploadProgress)
        assert isinstance(read_upload_message(completed()), UploadCompleted)
        assert isinstance(read_upload_message(failed()), UploadFailed)
        assert read_upload_message(progress()).upload_id == UPLOAD_ID

    @pytest.mark.parametrize("field", ["error_message", "description_audit_score"])
    def test_a_nullable_field_must_be_present(self, field: str) -> None:
        published = json.loads(progress())
        del published["payload"][field]

        with pytest.raises(BadEvent, match=f"missing required field `{field}` at `\\$.payload`"):
            read_upload_message(json.dumps(published).encode())

    @pytest.mark.parametrize(
        "half", [b',"attempt":1}', b',"seq":1}', b',"attempt":1,"seq":null}', b',"attempt":1,"s\\u0065q2":1}']
    )
    def test_half_a_version_is_a_bad_event(self, half: bytes) -> None:
        with pytest.raises(BadEvent):
            read_upload_message(failed().removesuffix(b"}") + half)

    @pytest.mark.parametrize("number", [0, -1, 2**53, 2**64, 1.5, True, "1", None, [1]])
    def test_a_version_number_is_an_integer_that_a_browser_can_hold(self, number: object) -> None:
        with pytest.raises(BadEvent):
            read_upload_message(failed(attempt=1, seq=number))
        with pytest.raises(BadEvent):
            read_upload_message(failed(attempt=number, seq=1))

    @pytest.mark.parametrize("key", ["owner", "\\u006fwner"])
    @pytest.mark.parametrize("value", ['"alice"', "null", "{}"])
    def test_an_owner_inside_an_event_is_a_bad_event(self, key: str, value: str) -> None:
        inside = f'"{key}":{value},'.encode()

        for published in (progress(), completed(), failed()):
            with pytest.raises(BadEvent, match="no owner inside"):
                read_upload_message(published.replace(b'{"action"', b"{" + inside + b'"action"'))
        with pytest.raises(BadEvent, match="no owner inside"):
            read_upload_message(progress().replace(b'{"upload_id"', b"{" + inside + b'"upload_id"'))

    def test_unknown_fields_are_the_publisher_s_own_business(self) -> None:
        assert read_upload_message(progress(more={"owner": "alice"})).upload_id == UPLOAD_ID

    def test_a_bad_enum_value_is_answered_with_those_that_there_are(self) -> None:
        with pytest.raises(BadEvent, match=r"expected one of queued, .*, failed at `\$.payload.stage`"):
            read_upload_message(progress("done"))
        with pytest.raises(BadEvent, match=r"expected one of pending, .* at `\$.payload.status`"):
            read_upload_message(progress(status="queued"))

    def test_a_timestamp_may_be_with_or_without_an_offset(self) -> None:
        for text in ("2026-01-01T00:00:00", "2026-01-01T00:00:00.123456", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30"):
            published = failed().replace(b"2026-01-01T00:00:00.000Z", text.encode())

            assert read_upload_message(published).upload_id == UPLOAD_ID
            assert problems(published) == []


class TestReadServerMessage:
    def test_a_message_is_read_as_it_is(self) -> None:
        assert read_server_message(b'{"action":"nobody_knows_this","more":[1]}') == {"action": "nobody_knows_this", "more": [1]}
        assert read_server_message('{"action":"ping"}') == {"action": "ping"}

    @pytest.mark.parametrize("data", ["[]", "{}", '{"action":5}', "null", "", '{"action":"x"', '"\ud800"'])
    def test_what_is_no_message_is_refused(self, data: str) -> None:
        with pytest.raises(BadMessage):
            read_server_message(data)


def _subscribe(upload_id: str) -> bytes:
    return json.dumps({"action": "subscribe_upload", "upload_id": upload_id}, ensure_ascii=False).encode()


def _read_or_none(data: bytes) -> object:
    try:
        return read_client_message(data)
    except BadMessage:
        return None
