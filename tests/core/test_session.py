"""The conversation as a table: every input that a state can meet has a row, and each ending is the protocol's own."""

import pytest

from tests.events import UPLOAD_ID
from vuemantics_ws.closing import CloseCode
from vuemantics_ws.core.session import ERROR_CODES, TABLE, Do, Input, State, Step, classify, classify_first

FIRST_MESSAGES = {
    b'{"type":"auth","token":"t"}': Input.AUTH,
    b'{"type":"auth"}': Input.NO_AUTH,
    b'{"token":"t"}': Input.NO_AUTH,
    b'{"action":"ping"}': Input.NO_AUTH,
    b'{"action":"subscribe_upload","upload_id":"u"}': Input.NO_AUTH,
    b"[]": Input.NO_AUTH,
    b"": Input.NO_JSON,
    b"hello": Input.NO_JSON,
}
LATER_MESSAGES = {
    b'{"action":"subscribe_upload","upload_id":"u"}': Input.SUBSCRIBE,
    b'{"action":"unsubscribe_upload","upload_id":"u"}': Input.UNSUBSCRIBE,
    b'{"action":"ping"}': Input.HEARTBEAT,
    b'{"action":"pong"}': Input.HEARTBEAT,
    b'{"action":"reauth","token":"t"}': Input.REAUTH,
    b'{"type":"auth","token":"t"}': Input.SECOND_AUTH,
    b'{"type":"auth"}': Input.SECOND_AUTH,
    b'{"action":"subscribe_upload","upload_id":"not one"}': Input.BAD_MESSAGE,
    b'{"action":"dance"}': Input.BAD_MESSAGE,
    b"[]": Input.BAD_MESSAGE,
    b"hello": Input.BAD_MESSAGE,
    b"": Input.BAD_MESSAGE,
}
TOKEN_ANSWERS = (Input.TOKEN_ACCEPTED, Input.TOKEN_REFUSED, Input.USER_FULL)
"""What checking a token can say: asked only while authenticating."""

POSSIBLE = {
    State.AUTHENTICATING: {*FIRST_MESSAGES.values(), *TOKEN_ANSWERS, Input.AUTH_DEADLINE, Input.BINARY},
    State.AUTHENTICATED: {*LATER_MESSAGES.values(), Input.TOKEN_EXPIRED, Input.BINARY},
    State.ENDED: set(),
}

ENDINGS = {
    (State.AUTHENTICATING, Input.AUTH_DEADLINE): (4001, "Authentication timeout"),
    (State.AUTHENTICATING, Input.NO_AUTH): (4002, "Authentication required"),
    (State.AUTHENTICATING, Input.TOKEN_REFUSED): (4003, ""),  # the reason, which the shell knows
    (State.AUTHENTICATING, Input.NO_JSON): (4004, None),
    (State.AUTHENTICATING, Input.USER_FULL): (1013, None),
    (State.AUTHENTICATING, Input.BINARY): (1003, None),
    (State.AUTHENTICATED, Input.BINARY): (1003, None),
    (State.AUTHENTICATED, Input.SECOND_AUTH): (4006, None),
    (State.AUTHENTICATED, Input.TOKEN_EXPIRED): (4005, None),
}
"""PROTOCOL.md sections 4 and 5 with SEMANTICS.md section 5: the close code, and the auth_error before it."""


class TestTable:
    @pytest.mark.parametrize("state", State)
    def test_it_has_a_row_for_everything_that_can_happen_and_for_nothing_else(self, state: State) -> None:
        assert {happens for known, happens in TABLE if known is state} == POSSIBLE[state]

    def test_every_input_can_happen_somewhere(self) -> None:
        assert set.union(*POSSIBLE.values()) == set(Input)

    def test_nothing_leaves_the_end(self) -> None:
        assert not [row for row in TABLE if row[0] is State.ENDED]

    def test_it_ends_where_the_protocol_says_and_with_its_codes(self) -> None:
        endings = {row: (step.code, step.auth_error) for row, step in TABLE.items() if step.do is Do.CLOSE}

        assert endings == ENDINGS

    @pytest.mark.parametrize("step", TABLE.values())
    def test_a_step_ends_the_conversation_exactly_where_it_closes_with_a_code(self, step: Step) -> None:
        assert (step.do is Do.CLOSE) is (step.state is State.ENDED) is (step.code is not None)

    def test_only_an_accepted_token_opens_the_conversation(self) -> None:
        opening = [row for row, step in TABLE.items() if row[0] is State.AUTHENTICATING and step.state is State.AUTHENTICATED]

        assert opening == [(State.AUTHENTICATING, Input.TOKEN_ACCEPTED)]
        assert TABLE[State.AUTHENTICATING, Input.TOKEN_ACCEPTED].do is Do.WELCOME

    def test_before_the_token_nothing_is_done_but_checking_it(self) -> None:
        done = {step.do for row, step in TABLE.items() if row[0] is State.AUTHENTICATING and step.do is not Do.CLOSE}

        assert done == {Do.CHECK_TOKEN, Do.WELCOME}

    def test_a_full_user_is_told_which_limit_it_was(self) -> None:
        assert TABLE[State.AUTHENTICATING, Input.USER_FULL].reason == "user_connections"

    def test_a_bad_message_is_answered_and_the_connection_stays(self) -> None:
        assert TABLE[State.AUTHENTICATED, Input.BAD_MESSAGE] == Step(State.AUTHENTICATED, Do.COMPLAIN)

    def test_a_reason_fits_into_a_close_frame(self) -> None:
        assert all(len(step.reason.encode()) <= 123 for step in TABLE.values())

    @pytest.mark.parametrize("do", Do)
    def test_everything_that_the_shell_can_do_is_asked_of_it(self, do: Do) -> None:
        assert do in {step.do for step in TABLE.values()}


class TestClassify:
    @pytest.mark.parametrize(("data", "kind"), FIRST_MESSAGES.items())
    def test_a_first_message_is(self, data: bytes, kind: Input) -> None:
        assert classify_first(data)[0] is kind

    @pytest.mark.parametrize(("data", "kind"), LATER_MESSAGES.items())
    def test_a_later_message_is(self, data: bytes, kind: Input) -> None:
        assert classify(data)[0] is kind

    def test_a_token_comes_with_an_auth_message_alone(self) -> None:
        assert classify_first(b'{"type":"auth","token":"a.b.c"}') == (Input.AUTH, "a.b.c")
        assert classify_first(b'{"type":"no","token":"a.b.c"}') == (Input.NO_AUTH, "")

    def test_an_upload_id_comes_with_what_is_about_an_upload(self) -> None:
        said = f'"upload_id":"{UPLOAD_ID}"'.encode()

        assert classify(b'{"action":"subscribe_upload",%b}' % said) == (Input.SUBSCRIBE, UPLOAD_ID)
        assert classify(b'{"action":"unsubscribe_upload",%b}' % said) == (Input.UNSUBSCRIBE, UPLOAD_ID)
        assert classify(b'{"action":"ping",%b}' % said) == (Input.HEARTBEAT, "")

    def test_a_token_goes_no_further_than_it_must(self) -> None:
        assert classify(b'{"action":"reauth","token":"a.b.c"}') == (Input.REAUTH, "")
        assert classify(b'{"type":"auth","token":"a.b.c"}') == (Input.SECOND_AUTH, "")

    def test_a_bad_message_comes_with_what_was_expected(self) -> None:
        kind, sentence = classify(b'{"action":"dance"}')

        assert kind is Input.BAD_MESSAGE
        assert sentence.startswith("expected an object whose action is subscribe_upload")


def test_the_codes_of_the_table_are_the_server_s_own() -> None:
    assert {step.code for step in TABLE.values() if step.code is not None} <= set(CloseCode)


def test_an_error_is_one_of_the_protocol_s_and_has_its_cause_and_cure() -> None:
    assert set(ERROR_CODES) == {"bad_message", "upload_limit", "not_supported"}
    assert all(cause and cure for cause, cure in ERROR_CODES.values())
