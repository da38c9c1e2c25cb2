"""The close codes of PROTOCOL.md sections 4 and 5, with what the application's browser does about each."""

import pytest

from vuemantics_ws.closing import CLOSINGS, RELOADING_REASON, CloseCode, reconnects

CODES = {
    "NORMAL": 1000,
    "PROTOCOL_ERROR": 1002,
    "UNSUPPORTED_DATA": 1003,
    "INVALID_TEXT": 1007,
    "MESSAGE_TOO_BIG": 1009,
    "INTERNAL_ERROR": 1011,
    "SERVER_RELOADING": 1012,
    "SERVER_FULL": 1013,
    "AUTH_TIMEOUT": 4001,
    "AUTH_REQUIRED": 4002,
    "TOKEN_REFUSED": 4003,
    "NOT_JSON": 4004,
    "TOKEN_EXPIRED": 4005,
    "SECOND_AUTH": 4006,
    "STALLED": 4008,
    "SILENT": 4009,
    "TOO_MANY_MESSAGES": 4029,
}
STAYS_AWAY = {1000, 4001, 4002, 4003, 4004}


def test_the_codes_are_those_of_the_protocol() -> None:
    assert {code.name: int(code) for code in CloseCode} == CODES


def test_every_code_has_its_meaning_and_its_cure() -> None:
    assert set(CLOSINGS) == set(CloseCode)
    assert all(closing.meaning and closing.cure for closing in CLOSINGS.values())
    assert len({closing.meaning for closing in CLOSINGS.values()}) == len(CLOSINGS)


@pytest.mark.parametrize("code", CloseCode)
def test_the_browser_stays_away_after_five_codes_and_comes_back_after_the_others(code: CloseCode) -> None:
    assert reconnects(code) is CLOSINGS[code].reconnects is (code not in STAYS_AWAY)


@pytest.mark.parametrize("code", [None, 1001, 1005, 1006, 1015, 3000, 4000, 4007, 4999])
def test_the_browser_comes_back_after_a_code_that_it_does_not_know(code: int | None) -> None:
    assert reconnects(code)


def test_a_plain_number_does_as_well_as_its_name() -> None:
    assert not reconnects(4003)
    assert reconnects(4005)


def test_no_code_is_one_that_must_not_be_sent() -> None:
    assert not {1004, 1005, 1006, 1015} & set(map(int, CloseCode))


def test_a_shutdown_gives_the_reason_that_the_application_knows() -> None:
    assert RELOADING_REASON == "Server reloading"
