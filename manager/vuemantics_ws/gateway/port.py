"""What stands around a connection: the port that it belongs to, and the conversation that goes on over it."""

from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request, Response

from vuemantics_ws.gateway.timers import Timers
from vuemantics_ws.limits import Limits

if TYPE_CHECKING:
    from vuemantics_ws.gateway.connection import Connection


class Conversation(Protocol):
    """What is said on a connection. ``deadline`` is when ``on_deadline`` is wanted, in the loop's time; NEVER for never.

    ``user_id`` is who the peer has shown to be, None before.
    """

    deadline: float
    user_id: str | None

    def on_text(self, data: bytes) -> None: ...
    def on_binary(self, data: bytes) -> None: ...
    def on_deadline(self, now: float) -> None: ...
    def on_liveness_due(self) -> None:
        """The time for a ping has come."""
        ...

    def on_closed(self) -> None:
        """Nothing can be said any more. Called once."""
        ...


class Port(Protocol):
    """What the connections of a port share."""

    limits: Limits
    timers: Timers
    write_buffer_bytes_max: int
    unsent_bytes_max: int

    def opened(self, connection: "Connection") -> None: ...
    def answer(self, connection: "Connection", request: Request) -> Response | None:
        """What to say to a request other than yes; None for yes."""
        ...

    def converse(self, connection: "Connection") -> Conversation: ...
    def touch(self, connection: "Connection") -> None:
        """Flush it at the end of this iteration of the loop."""
        ...

    def waiting(self, count: int) -> None:
        """So many states were put for peers that do not keep up, or are left over of a flush."""
        ...

    def waited(self, waited_s: float) -> None:
        """One of them has left after so long."""
        ...

    def first_ping_after(self) -> float:
        """Seconds until a new connection's first ping: spread, so that not all are sent at once."""
        ...

    def ended(self, connection: "Connection", code: int | None) -> None:
        """The socket is gone. ``code`` is None where it never was a WebSocket."""
        ...


class Phase(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    CLOSING = auto()
    """A close frame has been sent, or the socket is being shut: nothing more is said."""
    CLOSED = auto()
