"""Who is connected and who follows what, in the simplest words: the rules of SEMANTICS.md section 2 over again."""

import asyncio
from collections.abc import Hashable

from vuemantics_ws.errors import LimitReached


class Model:
    """``grace_s`` is None for a manager without a broker, whose follows end with the last connection."""

    def __init__(self, *, uploads_max: int, waiting_max: int, grace_s: float | None) -> None:
        self.gave_up: dict[str, dict[Hashable, set[str]]] = {}  # by user and open connection
        self.follows: dict[str, list[str]] = {}  # by user, oldest first
        self.finished: set[str] = set()
        self.waiting: list[str] = []
        self.leaving: dict[str, float] = {}
        self._uploads_max = uploads_max
        self._waiting_max = waiting_max
        self._grace_s = grace_s

    # What a manager shows.

    def connections(self) -> dict[str, set[Hashable]]:
        return {user_id: set(connections) for user_id, connections in self.gave_up.items() if connections}

    def subscriptions(self) -> dict[str, set[str]]:
        return {user_id: set(follows) for user_id, follows in self.follows.items() if follows}

    def subscribers(self) -> dict[str, set[str]]:
        uploads = {upload_id for follows in self.follows.values() for upload_id in follows}
        return {upload_id: {user for user, follows in self.follows.items() if upload_id in follows} for upload_id in uploads}

    def is_open(self, user_id: str, connection: Hashable) -> bool:
        return connection in self.gave_up.get(user_id, {})

    def holds(self, user_id: str, connection: Hashable, upload_id: str) -> bool:
        if upload_id not in self.follows.get(user_id, []) or not self.is_open(user_id, connection):
            return False
        return upload_id not in self.gave_up[user_id][connection]

    def receivers(self, upload_id: str) -> list[Hashable]:
        return [
            connection
            for user_id, connections in self.gave_up.items()
            for connection in connections
            if self.holds(user_id, connection, upload_id)
        ]

    # What happens.

    def connect(self, user_id: str, connection: Hashable) -> None:
        self.gave_up.setdefault(user_id, {}).setdefault(connection, set())
        self._no_longer_away(user_id)

    def disconnect(self, user_id: str, connection: Hashable) -> None:
        if not self.is_open(user_id, connection):
            return
        del self.gave_up[user_id][connection]
        if self.gave_up[user_id]:
            return
        if self._grace_s is None:
            self.forget(user_id)
        elif self.follows.get(user_id):
            self.leaving[user_id] = asyncio.get_running_loop().time() + self._grace_s

    def time_passed(self) -> None:
        for user_id, ends_at in list(self.leaving.items()):
            if ends_at <= asyncio.get_running_loop().time():
                self.forget(user_id)

    def subscribe(self, user_id: str, upload_id: str, connection: Hashable | None) -> None:
        """Raises LimitReached where the manager should."""
        follows = self.follows.setdefault(user_id, [])
        asks = connection if connection is not None and self.is_open(user_id, connection) else None
        if upload_id in follows:
            if connection is None or asks is not None:
                for other in [asks] if asks is not None else list(self.gave_up.get(user_id, {})):
                    self.gave_up[user_id][other].discard(upload_id)
            return
        if len(follows) >= self._uploads_max:
            finished = [followed for followed in follows if followed in self.finished]
            if not finished:
                raise LimitReached("full", limit="uploads_per_user_max")
            self._unfollow(user_id, finished[0])
        follows.append(upload_id)
        if not self.gave_up.get(user_id) and user_id not in self.leaving and user_id not in self.waiting:
            self.waiting.append(user_id)
            if len(self.waiting) > self._waiting_max:
                self.forget(self.waiting[0])

    def unsubscribe(self, user_id: str, upload_id: str, connection: Hashable | None) -> None:
        if upload_id not in self.follows.get(user_id, []) or (connection is not None and not self.is_open(user_id, connection)):
            return
        if connection is not None:
            self.gave_up[user_id][connection].add(upload_id)
        if connection is None or not any(self.holds(user_id, other, upload_id) for other in self.gave_up[user_id]):
            self._unfollow(user_id, upload_id)

    def said(self, upload_id: str, *, ends: bool) -> None:
        if ends and upload_id in self.subscribers():
            self.finished.add(upload_id)
        else:
            self.finished.discard(upload_id)

    def forget(self, user_id: str) -> None:
        for upload_id in list(self.follows.get(user_id, [])):
            self._unfollow(user_id, upload_id)
        self._no_longer_away(user_id)

    def forget_everybody(self) -> None:
        self.gave_up.clear()
        for user_id in list(self.follows):
            self.forget(user_id)

    def _unfollow(self, user_id: str, upload_id: str) -> None:
        self.follows[user_id].remove(upload_id)
        for gave_up in self.gave_up.get(user_id, {}).values():
            gave_up.discard(upload_id)
        if upload_id not in self.subscribers():
            self.finished.discard(upload_id)
        if not self.follows[user_id]:
            self._no_longer_away(user_id)

    def _no_longer_away(self, user_id: str) -> None:
        self.leaving.pop(user_id, None)
        if user_id in self.waiting:
            self.waiting.remove(user_id)
