"""Who is connected, and who follows what (SEMANTICS.md section 2).

A follow belongs to the user. A connection receives all that its user follows, less what it gave up itself; a connection
that is open and has not given an upload up *holds* it. All containers are ordered, so equal histories give equal orders.
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Generic, TypeVar

from vuemantics_ws.core.upload import Head

C = TypeVar("C")
"""A connection: any hashable object, told from others by equality."""


class Followed(Enum):
    """What a subscribe did."""

    FIRST = auto()
    REPEATED = auto()
    REFUSED = auto()


class Upload(Generic[C]):
    """An upload that somebody follows, with what this process knows of it: its head, and whether its newest state is an end."""

    __slots__ = ("finished", "followers", "head", "upload_id")

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        self.followers: dict[str, User[C]] = {}
        self.head: Head | None = None
        self.finished = False

    def receivers(self) -> Iterator[C]:
        """Every open connection that receives this upload."""
        upload_id = self.upload_id
        for user in self.followers.values():
            for connection, given_up in user.connections.items():
                if given_up is None or upload_id not in given_up:
                    yield connection


class User(Generic[C]):
    """A user with at least one open connection or one follow. Connections map to what each gave up, None for nothing."""

    __slots__ = ("connections", "follows", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.connections: dict[C, dict[str, None] | None] = {}
        self.follows: dict[str, Upload[C]] = {}  # oldest first

    def holds(self, connection: C, upload_id: str) -> bool:
        """Whether the connection is open, the user follows the upload, and the connection has not given it up."""
        if connection not in self.connections or upload_id not in self.follows:
            return False
        given_up = self.connections[connection]
        return given_up is None or upload_id not in given_up

    def given_up(self) -> list[str]:
        """What every open connection has given up, in which there may be what the user does not follow."""
        if not self.connections or None in self.connections.values():
            return []
        first, *others = [given_up or {} for given_up in self.connections.values()]
        return [upload_id for upload_id in first if all(upload_id in other for other in others)]


class Registry(Generic[C]):
    """The tables. ``released`` is called with each upload that lost its last follower.

    Connections are any hashable objects; a user's connection joins once, and joining again changes nothing.
    """

    def __init__(self, *, uploads_per_user_max: int, released: Callable[[Upload[C]], None]) -> None:
        self.users: dict[str, User[C]] = {}
        self.uploads: dict[str, Upload[C]] = {}
        self.follows = 0
        """How many pairs of user and upload there are."""
        self._uploads_per_user_max = uploads_per_user_max
        self._released = released

    def join(self, user_id: str, connection: C) -> User[C]:
        """A connection opened. It receives all that its user follows."""
        user = self._user(user_id)
        user.connections.setdefault(connection, None)
        return user

    def leave(self, user_id: str, connection: C) -> bool:
        """A connection closed: its hold ends, and no follow. Whether it was the user's last."""
        user = self.users.get(user_id)
        if user is None or connection not in user.connections:
            return False
        del user.connections[connection]
        if not user.connections and not user.follows:
            del self.users[user_id]
        return not user.connections

    def follow(
        self, user_id: str, upload_id: str, connection: C | None, makes_room: Callable[[Upload[C]], bool]
    ) -> tuple[Followed, Upload[C] | None]:
        """A user follows an upload. ``connection`` is the one that asks, None for the user as a whole.

        Where the user follows the maximum already, the oldest upload for which ``makes_room`` is true is given up for it.
        Asking takes back what the asking connection, or with None and at the first time every connection, gave up.
        """
        user = self._user(user_id)
        upload = user.follows.get(upload_id)
        if upload is not None:
            for asker in [connection] if connection is not None else list(user.connections):
                _take_back(user, asker, upload_id)
            return Followed.REPEATED, upload
        if len(user.follows) >= self._uploads_per_user_max:
            oldest = next((upload for upload in user.follows.values() if makes_room(upload)), None)
            if oldest is None:
                return Followed.REFUSED, None
            self._unfollow(user, oldest.upload_id)
        for other in user.connections:
            _take_back(user, other, upload_id)
        return Followed.FIRST, self._begin(user, upload_id)

    def learn(self, user_id: str, upload_id: str) -> Upload[C] | None:
        """A user follows an upload on another node, so here as well. What a connection has given up it has given up.

        Returns:
            The upload, None where the user follows it here already.
        """
        user = self._user(user_id)
        return None if upload_id in user.follows else self._begin(user, upload_id)

    def renounce(self, user_id: str, upload_id: str, connection: C) -> bool:
        """A connection gives up what the user may follow on other nodes too, or will be known to. No follow ends here.

        Returns:
            Whether no open connection here is left that would take the upload.
        """
        user = self.users.get(user_id)
        if user is None or connection not in user.connections:
            return False
        if upload_id in user.follows or len(user.connections[connection] or ()) < self._uploads_per_user_max:
            _give_up(user, connection, upload_id)
        return all(other is not None and upload_id in other for other in user.connections.values())

    def settle(self, user_id: str) -> None:
        """All that the user follows is known: what a connection gave up beside it was nothing."""
        user = self.users.get(user_id)
        if user is None:
            return
        for connection, given_up in user.connections.items():
            for upload_id in [*(given_up or ())]:
                if upload_id not in user.follows:
                    _take_back(user, connection, upload_id)

    def give_up(self, user_id: str, upload_id: str, connection: C | None) -> None:
        """A connection gives an upload up; the follow ends when no open connection holds it any more.

        With ``connection`` None it is the user who gives up, on every connection. One that is not open has nothing to give up.
        """
        user = self.users.get(user_id)
        if user is None or upload_id not in user.follows:
            return
        if connection is not None:
            if connection not in user.connections:
                return
            _give_up(user, connection, upload_id)
        if connection is None or not any(user.holds(other, upload_id) for other in user.connections):
            self._unfollow(user, upload_id)
            if not user.connections and not user.follows:
                del self.users[user_id]

    def forget(self, user_id: str) -> None:
        """A user without connections is gone for good: every follow ends."""
        user = self.users.get(user_id)
        if user is None or user.connections:
            return
        for upload_id in list(user.follows):
            self._unfollow(user, upload_id)
        del self.users[user_id]

    def _user(self, user_id: str) -> User[C]:
        user = self.users.get(user_id)
        if user is None:
            user = self.users[user_id] = User(user_id)
        return user

    def _begin(self, user: User[C], upload_id: str) -> Upload[C]:
        upload = self.uploads.get(upload_id)
        if upload is None:
            upload = self.uploads[upload_id] = Upload(upload_id)
        user.follows[upload_id] = upload
        upload.followers[user.user_id] = user
        self.follows += 1
        return upload

    def _unfollow(self, user: User[C], upload_id: str) -> None:
        upload = user.follows.pop(upload_id)
        for connection in user.connections:
            _take_back(user, connection, upload_id)
        del upload.followers[user.user_id]
        self.follows -= 1
        if not upload.followers:
            del self.uploads[upload_id]
            self._released(upload)


def _give_up(user: User[C], connection: C, upload_id: str) -> None:
    given_up = user.connections[connection]
    if given_up is None:
        given_up = user.connections[connection] = {}
    given_up[upload_id] = None


def _take_back(user: User[C], connection: C, upload_id: str) -> None:
    """What a connection gave up is remembered only while the user follows it and it has not asked again."""
    given_up = user.connections.get(connection)
    if given_up is not None:
        given_up.pop(upload_id, None)
        if not given_up:
            user.connections[connection] = None
