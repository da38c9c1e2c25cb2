"""What the end of a connection means to the client that had it."""

from websockets.exceptions import ConnectionClosed

from vuemantics_ws.closing import CLOSINGS, CloseCode, reconnects
from vuemantics_ws.errors import EnvironmentUnfit, Refused

GONE_WITHOUT_A_WORD = 1006
"""What an application is told when no close frame came (RFC 6455 section 7.1.5)."""

_SERVER_IS_GONE = (1001, GONE_WITHOUT_A_WORD, CloseCode.INTERNAL_ERROR, CloseCode.SERVER_RELOADING)


class ConnectionLost(EnvironmentUnfit):
    """The server went away, or the way to it. ``code`` is the close code, 1006 where none came."""

    def __init__(self, message: str, *, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class ConnectionClosedByServer(Refused):
    """The server ended the conversation for a reason. ``code`` is the close code."""

    def __init__(self, message: str, *, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


def comes_back(error: Exception) -> bool:
    """Whether the application's browser would try again after this."""
    code = getattr(error, "code", None)
    return isinstance(error, EnvironmentUnfit) if code is None else reconnects(code)


def ending_of(closed: ConnectionClosed, *, said: str | None = None) -> ConnectionLost | ConnectionClosedByServer:
    """The error that says why, with the meaning of the code. ``said`` is the ``auth_error`` that went before, if one did."""
    if closed.rcvd is None and closed.sent is not None and closed.sent.code in CLOSINGS:
        meaning = CLOSINGS[CloseCode(closed.sent.code)].meaning
        return ConnectionLost(f"the server broke the protocol: {meaning} ({closed.sent.code})", code=closed.sent.code)
    code = closed.rcvd.code if closed.rcvd is not None else GONE_WITHOUT_A_WORD
    reason = closed.rcvd.reason if closed.rcvd is not None else ""
    if code == GONE_WITHOUT_A_WORD:
        return ConnectionLost("the connection was lost", code=code, hint="--reconnect comes back by itself")
    known = CLOSINGS.get(CloseCode(code)) if code in CLOSINGS else None
    meaning = known.meaning if known is not None else "an unknown code"
    told = said or reason
    message = f"the server closed the connection: {meaning} ({code}{', ' + told if told else ''})"
    error = ConnectionLost if code in _SERVER_IS_GONE else ConnectionClosedByServer
    return error(message, code=code, hint=known.cure if known is not None else None)
