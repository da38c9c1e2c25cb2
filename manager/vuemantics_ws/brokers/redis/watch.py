"""A node's interest in one upload."""

from collections.abc import Callable

from vuemantics_ws.brokers.base import Found
from vuemantics_ws.brokers.redis.heads import Stored, read_state

DIRECT = ord("!")
"""With this begins what is said to an upload's followers and is no state of it."""


HEADER_BYTES = 128
"""Within so many the incarnation stands."""

MESSAGES_MAX = 16
"""So many wait to be read. Then only the newest of each incarnation stay."""


class Watch:
    """Hears an upload's channel, and knows the newest state of which it has been told.

    Args:
        found: what is still owed to whoever watches, None once it has been called.
        heard: called with the first message after each :meth:`read`.
        subscribed: called when a gap has ended, and at the first subscription.
        said: called with each message that is no state.
    """

    __slots__ = ("_heard", "_messages", "_said", "_subscribed", "ended", "found", "stored", "upload_id")

    def __init__(
        self,
        upload_id: str,
        found: Found,
        *,
        heard: "Callable[[Watch], None]",
        subscribed: "Callable[[Watch], None]",
        said: Callable[[str, bytes], None],
    ) -> None:
        self.upload_id = upload_id
        self.found: Found | None = found
        self.stored: Stored | None = None
        self.ended = False
        self._messages: list[bytes] = []
        self._heard = heard
        self._subscribed = subscribed
        self._said = said

    def on_message(self, payload: bytes) -> None:
        if payload[0] == DIRECT:
            self._said(self.upload_id, payload)
            return
        messages = self._messages
        if not messages:
            self._heard(self)
        elif len(messages) >= MESSAGES_MAX:
            messages[:] = newest_by_incarnation(messages)
        messages.append(payload)

    def on_subscribed(self) -> None:
        self._subscribed(self)

    def read(self, now: float) -> bool:
        """Take the newest of what was heard, and read no more than that needs. Returns whether Redis should be asked.

        Versions grow under one incarnation, so the last message is the newest, and all that was heard before it may stay
        unread. A head that Redis has lost and begun anew shows by another incarnation: then everything is looked at in its
        order, and Redis is asked where what it has now is not what would be kept there by a judge that knew what is known here.
        """
        messages, self._messages = self._messages, []
        if not messages:
            return False
        last = read_state(messages.pop(), now)
        known = self.stored
        if messages and (known is None or last.incarnation != known.incarnation):
            for message in messages:
                self.take(read_state(message, now))
        self.take(last)
        return self._doubts(last)

    def take(self, stored: Stored) -> None:
        """Know a state, if the judge would let it follow what is known.

        The same state under another incarnation is what Redis was given back: its incarnation is the one to go by, and its
        owner, whom another process may have known.
        """
        if self.stored is None:
            self.stored = stored
            return
        known, head = self.stored.head, stored.head
        owner = head.owner if head.owner is not None else known.owner
        if head.version == known.version and head.digest == known.digest:
            head = known
        elif head.version <= known.version or (known.terminal and head.version.attempt == known.version.attempt):
            return
        self.stored = Stored(head if head.owner == owner else head._replace(owner=owner), stored.incarnation)

    def _doubts(self, last: Stored) -> bool:
        """Whether Redis, which told this last, lacks something that is known here."""
        known = self.stored
        assert known is not None
        return last.incarnation != known.incarnation or (last.head.owner is None and known.head.owner is not None)


def newest_by_incarnation(messages: list[bytes]) -> list[bytes]:
    """The last message of each of the last few incarnations, in their order. Nothing else of them can matter."""
    newest: dict[bytes, bytes] = {}
    for message in reversed(messages):
        incarnation = message[:HEADER_BYTES].split(b" ", 4)[3:4]
        newest.setdefault(incarnation[0] if incarnation else b"", message)
    return list(newest.values())[: MESSAGES_MAX // 2][::-1]
