"""Everything that this library raises, split by who is to blame.

VuemanticsError
├── PeerError                 what came over the wire
│   ├── BadMessage            a client's message that cannot be read
│   │   └── NotJSON           … because it is no JSON at all
│   ├── BadEvent              a published event that cannot be read
│   ├── BadQuery              a filter or an order of a table that cannot be read
│   └── TokenRefused          a token that proves nothing
├── LimitReached              a limit that protects everybody else
├── OperatorError             what a person configured or typed
│   ├── BadQuantity           "5 apples" where a duration should stand
│   ├── BadSetting            an option or variable out of its range
│   └── BadScenario           a scenario file with errors, all of them at once
├── EnvironmentUnfit          a port that is taken, a server that is not there
│   └── BrokerAway            … which is Redis: it is gone, hangs, or cannot take what it is told
├── NotPublished              an upload's end that could not be published in time
└── Refused                   a server that answered no

A message is in lower case without a full stop; what it quotes is never a token and never a payload. A hint, where there is
one, says what to do next.
"""

from collections.abc import Sequence


class VuemanticsError(Exception):
    """The root. ``hint`` is a sentence that says what to do next, or None."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PeerError(VuemanticsError):
    """A client or a publisher sent something that it should not have sent."""


class BadMessage(PeerError):
    """A client's message is no message of PROTOCOL.md section 2."""


class NotJSON(BadMessage):
    """A client's message is no JSON text."""


class BadEvent(PeerError):
    """A published event is no message of the protocol, or would not pass the browser's validator."""


class BadQuery(PeerError):
    """A filter or an order of a table cannot be read. The message says where, and quotes nothing."""


class TokenRefused(PeerError):
    """A token proves nothing. The message may be shown to the client; ``reason`` is for the log."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class LimitReached(VuemanticsError):
    """A limit refused something. ``limit`` is its name in :class:`vuemantics_ws.limits.Limits`."""

    def __init__(self, message: str, *, limit: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class OperatorError(VuemanticsError):
    """A person configured or typed something that cannot be."""


class BadQuantity(OperatorError):
    """A text is no quantity of the kind that was expected."""


class BadSetting(OperatorError):
    """A setting is out of its range, or two of them contradict each other. ``setting`` is the option's name."""

    def __init__(self, message: str, *, setting: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


class BadScenario(OperatorError):
    """A scenario file has errors; ``problems`` names all of them, one line each with file, line and key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class EnvironmentUnfit(VuemanticsError):
    """What is needed around us is not there: a port is taken, a server does not answer."""


class BrokerAway(EnvironmentUnfit):
    """Redis cannot be asked now. Whether what was asked has been done is not known."""


class NotPublished(VuemanticsError):
    """An upload's end could not be published until its deadline, or not at all. ``upload_id`` says whose.

    Whether Redis heard it is not known where Redis did not answer.
    """

    def __init__(self, upload_id: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"the end of upload {upload_id} was not published: {reason}", hint=hint)
        self.upload_id = upload_id
        self.reason = reason

    def __reduce__(self) -> tuple[type["NotPublished"], tuple[str, str]]:
        """A queue sends what a job raised to another process."""
        return type(self), (self.upload_id, self.reason)


class Refused(VuemanticsError):
    """A server understood and said no."""
