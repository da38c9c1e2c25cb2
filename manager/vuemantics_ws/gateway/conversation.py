"""What the application's clients and the gateway say to each other: the session table, done.

Replies are encoded here and leave before states; a snapshot follows its ``subscribed``.
"""

import logging
from functools import partial
from typing import Protocol, assert_never

from vuemantics_ws.ambient import Clock
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.session import TABLE, Do, Input, State, Step, classify, classify_first
from vuemantics_ws.errors import LimitReached, TokenRefused
from vuemantics_ws.frame import Frame
from vuemantics_ws.gateway.auth import Authenticator, Identity
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.timers import NEVER, Timers
from vuemantics_ws.messages import AuthError, AuthSuccess, ErrorMessage, Message, Ping, Subscribed, Unsubscribed

logger = logging.getLogger(__name__)

_PING = Frame.of(Ping()).data


class Office(Protocol):
    """What all conversations of a gateway share, and where they report."""

    manager: ConnectionManager
    authenticator: Authenticator
    clock: Clock
    timers: Timers

    def authenticated(self, connection: Connection) -> None:
        """The connection has shown who it is, and no longer takes one of the places for those who have not."""
        ...


class UploadConversation:
    """One client's conversation with the gateway."""

    __slots__ = ("_connection", "_expires_at", "_office", "_state", "deadline", "user_id")

    def __init__(self, office: Office, connection: Connection, now: float) -> None:
        self._office = office
        self._connection = connection
        self._state = State.AUTHENTICATING
        self._expires_at = NEVER
        self.user_id: str | None = None
        self.deadline = now + office.manager.limits.auth_timeout_s

    def on_text(self, data: bytes) -> None:
        kind, about = classify_first(data) if self._state is State.AUTHENTICATING else classify(data)
        self._take(kind, about)

    def on_binary(self, data: bytes) -> None:
        self._take(Input.BINARY)

    def on_liveness_due(self) -> None:
        if self._state is State.AUTHENTICATED:  # a pong in the place of the auth message would end the connection
            self._connection.reply(_PING)

    def on_deadline(self, now: float) -> None:
        if self._state is State.AUTHENTICATING:
            self._take(Input.AUTH_DEADLINE)
            return
        left_s = self._expires_at - self._office.clock.wall()
        if left_s <= 0:
            self._take(Input.TOKEN_EXPIRED)
        else:  # somebody has set the clock back
            self.deadline = now + left_s

    def on_closed(self) -> None:
        self._state = State.ENDED
        if self.user_id is not None:
            self._office.manager.leave(self.user_id, self._connection)

    def _take(self, kind: Input, about: str = "") -> None:
        if self._state is State.ENDED:
            return
        step = TABLE[self._state, kind]
        self._state = step.state
        match step.do:
            case Do.NOTHING:
                pass
            case Do.CHECK_TOKEN:
                self._check(about)
            case Do.WELCOME:
                assert self.user_id is not None
                self._reply(AuthSuccess(self.user_id))
            case Do.FOLLOW:
                self._follow(about)
            case Do.GIVE_UP:
                assert self.user_id is not None
                self._office.manager.give_up(self.user_id, about, self._connection)
                self._reply(Unsubscribed(about))
            case Do.COMPLAIN:
                self._reply(ErrorMessage("bad_message", about))
            case Do.EXCUSE:
                self._reply(ErrorMessage("not_supported", "reauth is not built yet: connect again with a new token"))
            case Do.CLOSE:
                self._close(step, about)
            case _:
                assert_never(step.do)

    def _check(self, token: str) -> None:
        office = self._office
        try:
            identity = office.authenticator.verify(token)
            office.manager.join(identity.user_id, self._connection)
        except TokenRefused as refusal:
            logger.info("connection %d: a token was refused: %s", self._connection.number, refusal.reason)
            self._take(Input.TOKEN_REFUSED, refusal.message)
        except LimitReached:
            self._take(Input.USER_FULL)
        else:
            self._admit(identity)

    def _admit(self, identity: Identity) -> None:
        office = self._office
        self.user_id = identity.user_id
        self._expires_at = identity.expires_at
        self.deadline = office.timers.now() + max(0.0, identity.expires_at - office.clock.wall())
        self._take(Input.TOKEN_ACCEPTED)
        office.authenticated(self._connection)
        self._connection.authenticated()

    def _follow(self, upload_id: str) -> None:
        assert self.user_id is not None
        try:
            self._office.manager.follow(self.user_id, upload_id, self._connection, partial(self._followed, upload_id))
        except LimitReached as error:
            said = f"{error.message}: {error.hint}" if error.hint else error.message
            self._reply(ErrorMessage("upload_limit", said, upload_id))

    def _followed(self, upload_id: str, known: bool) -> None:
        self._reply(Subscribed(upload_id, known))

    def _close(self, step: Step, about: str) -> None:
        assert step.code is not None
        if step.auth_error is not None:
            self._reply(AuthError(step.auth_error or about))
        self._connection.close(step.code, step.reason)

    def _reply(self, message: Message) -> None:
        self._connection.reply(Frame.of(message).data)
