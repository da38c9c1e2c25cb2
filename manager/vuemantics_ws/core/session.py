"""One client's conversation, as a table of what may happen in each state (PROTOCOL.md sections 1, 4 and 5).

The shell turns what it reads and what its timers say into an :class:`Input`, looks up the transition, and does what its
:class:`Step` says. The table is the whole rule: an input that a state has no row for is a fault of the shell. What ends a
connection whatever is said on it (a flood, a stall, silence, a server that goes away) is the shell's own.

    a socket is upgraded ──▶ AUTHENTICATING ──token accepted──▶ AUTHENTICATED ──▶ ENDED
                                   └───────────── anything else ────────────────────▲
"""

from enum import Enum, auto
from typing import NamedTuple

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.errors import BadMessage, NotJSON
from vuemantics_ws.messages import (
    ClientMessage,
    ClientPing,
    ClientPong,
    Reauth,
    SecondAuth,
    SubscribeUpload,
    UnsubscribeUpload,
    read_auth,
    read_client_message,
)


class State(Enum):
    AUTHENTICATING = auto()
    AUTHENTICATED = auto()
    ENDED = auto()


class Input(Enum):
    """What can happen to a conversation."""

    AUTH = auto()
    """An auth message with a token."""
    NO_AUTH = auto()
    """A first message that is JSON but no auth message."""
    NO_JSON = auto()
    """A first message that is no JSON."""
    TOKEN_ACCEPTED = auto()
    TOKEN_REFUSED = auto()
    USER_FULL = auto()
    """The token is good, and its user has all the connections that a user may have."""
    AUTH_DEADLINE = auto()
    SECOND_AUTH = auto()
    SUBSCRIBE = auto()
    UNSUBSCRIBE = auto()
    HEARTBEAT = auto()
    """A ping or a pong: a sign of life that needs no answer."""
    REAUTH = auto()
    BAD_MESSAGE = auto()
    TOKEN_EXPIRED = auto()
    BINARY = auto()


class Do(Enum):
    """What the shell does."""

    NOTHING = auto()
    CHECK_TOKEN = auto()
    WELCOME = auto()
    FOLLOW = auto()
    GIVE_UP = auto()
    COMPLAIN = auto()
    EXCUSE = auto()
    """Say that this is known but not built."""
    CLOSE = auto()


class Step(NamedTuple):
    """The next state and what to do. A close has a code, a reason, and the ``auth_error`` that goes before it, if any.

    ``auth_error`` "" means that the shell knows the text: the reason for which the token was refused.
    """

    state: State
    do: Do
    code: CloseCode | None = None
    reason: str = ""
    auth_error: str | None = None


def _close(code: CloseCode, reason: str = "", auth_error: str | None = None) -> Step:
    return Step(State.ENDED, Do.CLOSE, code, reason, auth_error)


_AUTHENTICATING, _AUTHENTICATED = State.AUTHENTICATING, State.AUTHENTICATED

TABLE: dict[tuple[State, Input], Step] = {
    (_AUTHENTICATING, Input.AUTH): Step(_AUTHENTICATING, Do.CHECK_TOKEN),
    (_AUTHENTICATING, Input.TOKEN_ACCEPTED): Step(_AUTHENTICATED, Do.WELCOME),
    (_AUTHENTICATING, Input.TOKEN_REFUSED): _close(CloseCode.TOKEN_REFUSED, "token refused", ""),
    (_AUTHENTICATING, Input.USER_FULL): _close(CloseCode.SERVER_FULL, "user_connections"),
    (_AUTHENTICATING, Input.NO_AUTH): _close(CloseCode.AUTH_REQUIRED, "authentication required", "Authentication required"),
    (_AUTHENTICATING, Input.NO_JSON): _close(CloseCode.NOT_JSON, "not JSON"),
    (_AUTHENTICATING, Input.AUTH_DEADLINE): _close(CloseCode.AUTH_TIMEOUT, "authentication timeout", "Authentication timeout"),
    (_AUTHENTICATED, Input.SUBSCRIBE): Step(_AUTHENTICATED, Do.FOLLOW),
    (_AUTHENTICATED, Input.UNSUBSCRIBE): Step(_AUTHENTICATED, Do.GIVE_UP),
    (_AUTHENTICATED, Input.HEARTBEAT): Step(_AUTHENTICATED, Do.NOTHING),
    (_AUTHENTICATED, Input.BAD_MESSAGE): Step(_AUTHENTICATED, Do.COMPLAIN),
    (_AUTHENTICATED, Input.REAUTH): Step(_AUTHENTICATED, Do.EXCUSE),
    (_AUTHENTICATED, Input.SECOND_AUTH): _close(CloseCode.SECOND_AUTH, "second auth message"),
    (_AUTHENTICATED, Input.TOKEN_EXPIRED): _close(CloseCode.TOKEN_EXPIRED, "token expired"),
}
for _state in (_AUTHENTICATING, _AUTHENTICATED):
    TABLE[_state, Input.BINARY] = _close(CloseCode.UNSUPPORTED_DATA, "text frames only")


def classify_first(data: bytes | bytearray) -> tuple[Input, str]:
    """What a first message is, with its token ("" where it has none)."""
    try:
        return Input.AUTH, read_auth(data)
    except NotJSON:
        return Input.NO_JSON, ""
    except BadMessage:
        return Input.NO_AUTH, ""


_INPUTS: dict[type[ClientMessage], Input] = {
    SubscribeUpload: Input.SUBSCRIBE,
    UnsubscribeUpload: Input.UNSUBSCRIBE,
    ClientPing: Input.HEARTBEAT,
    ClientPong: Input.HEARTBEAT,
    Reauth: Input.REAUTH,
}


def classify(data: bytes | bytearray) -> tuple[Input, str]:
    """What a later message is, with its upload id, or with the sentence that says what is wrong with it."""
    try:
        message = read_client_message(data)
    except SecondAuth:
        return Input.SECOND_AUTH, ""
    except BadMessage as error:
        return Input.BAD_MESSAGE, error.message
    return _INPUTS[type(message)], getattr(message, "upload_id", "")


ERROR_CODES: dict[str, tuple[str, str]] = {
    "bad_message": ("the message cannot be read", "send what the text of the error says"),
    "upload_limit": ("the user follows as many unfinished uploads as a user may", "unsubscribe from some"),
    "not_supported": ("the message is known, but not built yet", "connect again with a new token instead"),
}
"""What an ``error`` message may say, with its cause and its cure. The connection stays open."""
