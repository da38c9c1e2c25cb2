"""Users with follows and without a connection: who left a moment ago, and who has not come yet."""

import asyncio
from collections.abc import Callable


class Absences:
    """How long the follows of an absent user last.

    Args:
        grace_s: for how long, of a user who left.
        waiting_max: how many users may have follows before their first connection. The oldest makes room.
        waiting_ends: whether they too have no longer than the grace time, because somebody else remembers.
        grace_ended: called with a user whose grace time is over.
        made_room: called with a user who waited longest, where too many wait.
    """

    def __init__(
        self,
        *,
        grace_s: float,
        waiting_max: int,
        waiting_ends: bool,
        grace_ended: Callable[[str], None],
        made_room: Callable[[str], None],
    ) -> None:
        self._grace_s = grace_s
        self._waiting_max = waiting_max
        self._waiting_ends = waiting_ends and grace_s > 0
        self._grace_ended = grace_ended
        self._made_room = made_room
        self._waiting: dict[str, None] = {}  # oldest first
        self._leaving: dict[str, float] = {}  # with the end of the grace time, the next to end first
        self._timer: asyncio.TimerHandle | None = None

    def left(self, user_id: str) -> None:
        """The user's last connection closed: the grace time begins."""
        loop = asyncio.get_running_loop()
        self._leaving[user_id] = loop.time() + self._grace_s
        if self._timer is None:
            self._timer = loop.call_at(self._leaving[user_id], self._end_grace)

    def waits(self, user_id: str) -> None:
        """The user follows something and has no connection."""
        if user_id in self._leaving:
            return
        self._waiting[user_id] = None
        if self._waiting_ends:
            self.left(user_id)
        if len(self._waiting) > self._waiting_max:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self._made_room(oldest)

    def end(self, user_id: str) -> None:
        """The user is here, or nothing of the user is left."""
        self._waiting.pop(user_id, None)
        self._leaving.pop(user_id, None)

    def clear(self) -> None:
        self._waiting.clear()
        self._leaving.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leaves_in_s(self, user_id: str) -> float | None:
        """How long the follows of a user who left still last; None where no grace time runs."""
        ends_at = self._leaving.get(user_id)
        return None if ends_at is None else max(0.0, ends_at - asyncio.get_running_loop().time())

    def _end_grace(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._leaving:
            user_id, ends_at = next(iter(self._leaving.items()))
            if ends_at > loop.time():
                self._timer = loop.call_at(ends_at, self._end_grace)
                return
            self.end(user_id)
            self._grace_ended(user_id)
