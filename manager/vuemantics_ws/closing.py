"""Why a connection ends: the close codes of PROTOCOL.md sections 4 and 5, with what the browser does about each."""

from enum import IntEnum
from typing import NamedTuple


class CloseCode(IntEnum):
    """The codes that this server sends. 1005 and 1006 are never sent: they tell that no close frame came."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVER_RELOADING = 1012
    SERVER_FULL = 1013
    AUTH_TIMEOUT = 4001
    AUTH_REQUIRED = 4002
    TOKEN_REFUSED = 4003
    NOT_JSON = 4004
    TOKEN_EXPIRED = 4005
    SECOND_AUTH = 4006
    STALLED = 4008
    SILENT = 4009
    TOO_MANY_MESSAGES = 4029


class Closing(NamedTuple):
    """What a close code tells. ``reconnects`` says whether the application's browser comes back by itself."""

    meaning: str
    cure: str
    reconnects: bool


CLOSINGS: dict[CloseCode, Closing] = {
    CloseCode.NORMAL: Closing("normal", "nothing to do", False),
    CloseCode.PROTOCOL_ERROR: Closing("the WebSocket protocol was broken", "fix the client (RFC 6455)", True),
    CloseCode.UNSUPPORTED_DATA: Closing("a binary frame came", "send text frames", True),
    CloseCode.INVALID_TEXT: Closing("a text frame was no UTF-8", "send UTF-8", True),
    CloseCode.MESSAGE_TOO_BIG: Closing("a message or its number of fragments was too big", "send less", True),
    CloseCode.INTERNAL_ERROR: Closing("a fault of ours", "come back; the log has the cause", True),
    CloseCode.SERVER_RELOADING: Closing("the server shuts down, or was told to close it", "come back", True),
    CloseCode.SERVER_FULL: Closing("the server or the user is full", "come back after a pause", True),
    CloseCode.AUTH_TIMEOUT: Closing("no auth message in time", "send it first", False),
    CloseCode.AUTH_REQUIRED: Closing("the first message was no auth message with a token", "send it first", False),
    CloseCode.TOKEN_REFUSED: Closing("the token was refused", "get a new token", False),
    CloseCode.NOT_JSON: Closing("the first message was no JSON", "send JSON", False),
    CloseCode.TOKEN_EXPIRED: Closing("the token expired while connected", "come back with a new token", True),
    CloseCode.SECOND_AUTH: Closing("a second auth message came", "send one", True),
    CloseCode.STALLED: Closing("nothing was taken for too long", "come back; the newest state follows", True),
    CloseCode.SILENT: Closing("no sign of life", "come back", True),
    CloseCode.TOO_MANY_MESSAGES: Closing("too many messages came", "come back after a pause", True),
}

RELOADING_REASON = "Server reloading"
"""The reason that goes with 1012, as the application knows it."""


_STAYS_AWAY = frozenset(int(code) for code, closing in CLOSINGS.items() if not closing.reconnects)


def reconnects(code: int | None) -> bool:
    """Whether the application's browser comes back after this code: after every one that it does not know, too."""
    return code not in _STAYS_AWAY
