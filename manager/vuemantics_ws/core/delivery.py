"""Who gets what: registry, heads and access rule, joined (SEMANTICS.md sections 2 and 4).

A subscribe watches first and reads the head then, so between a snapshot and what follows it nothing is missing; all
connections of a process share one head an upload, so none is sent twice.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from vuemantics_ws.core.access import Access
from vuemantics_ws.core.counters import Counters
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Followed, Registry, Upload, User
from vuemantics_ws.core.upload import Head
from vuemantics_ws.errors import LimitReached
from vuemantics_ws.limits import Limits

Answer = Callable[[bool], None]
"""Called once a subscribe is done, with whether the upload's state is known to the user and follows."""

Watch = Callable[[str, Callable[[Head | None], None]], None]
Unwatch = Callable[[str], None]


OUTBOXES_LOOKED_INTO_MAX = 32
"""How many finished uploads a subscribe over the maximum looks at, whether their ends have left: it must not cost everybody's
time that somebody's tabs read nothing."""


class Asked(NamedTuple):
    """A subscribe that waits for the head."""

    user: User[Receiver]
    receiver: Receiver | None
    first: bool
    answer: Answer


class Delivery:
    """The synchronous heart of a process: every call is done when it returns, but for a head that is still being read."""

    def __init__(self, *, access: Access, limits: Limits, counters: Counters, watch: Watch, unwatch: Unwatch) -> None:
        self.registry: Registry[Receiver] = Registry(uploads_per_user_max=limits.uploads_per_user_max, released=self._released)
        self._access = access
        self._limits = limits
        self._counters = counters
        self._watch = watch
        self._unwatch = unwatch
        self._asked: dict[str, list[Asked]] = {}  # by the upload whose head is being read

    def join(self, user_id: str, receiver: Receiver) -> None:
        """A connection opens, and gets the newest state of all that its user follows.

        Raises:
            LimitReached: the user has all the connections that a user may have.
        """
        user = self.registry.users.get(user_id)
        if user is not None and len(user.connections) >= self._limits.connections_per_user_max:
            raise LimitReached("the user has too many connections", limit="connections_per_user_max")
        user = self.registry.join(user_id, receiver)
        for upload in user.follows.values():
            if upload.upload_id not in self._asked:
                self._send_head(user, upload, receiver)

    def leave(self, user_id: str, receiver: Receiver) -> bool:
        """A connection closed. Whether it was the user's last."""
        return self.registry.leave(user_id, receiver)

    def forget(self, user_id: str) -> None:
        """A user without connections is gone for good."""
        self.registry.forget(user_id)

    def follow(self, user_id: str, upload_id: str, receiver: Receiver | None, answer: Answer) -> str | None:
        """A user subscribes. The user's first subscribe sends the head to all connections, a repeated one to who asks.

        Returns:
            The upload that made room for it, None where there was room.

        Raises:
            LimitReached: the user follows all that a user may follow, and none of it is finished and delivered.
        """
        looks = iter(range(OUTBOXES_LOOKED_INTO_MAX))
        made_room: list[str] = []

        def makes_room(upload: Upload[Receiver]) -> bool:
            if self._is_done_with(user_id, looks, upload):
                made_room.append(upload.upload_id)
            return bool(made_room)

        followed, upload = self.registry.follow(user_id, upload_id, receiver, makes_room)
        if upload is None:
            raise LimitReached(
                f"expected at most {self._limits.uploads_per_user_max} unfinished uploads",
                limit="uploads_per_user_max",
                hint="unsubscribe from some",
            )
        self._ask(upload, Asked(self.registry.users[user_id], receiver, followed is Followed.FIRST, answer))
        return next(iter(made_room), None)

    def learn(self, user_id: str, upload_id: str) -> bool:
        """A user follows an upload on another node: all connections here get the head. Whether that was news."""
        upload = self.registry.learn(user_id, upload_id)
        if upload is not None:
            self._ask(upload, Asked(self.registry.users[user_id], None, True, _nobody_asks))
        return upload is not None

    def give_up(self, user_id: str, upload_id: str, receiver: Receiver | None) -> None:
        """A connection, or with None the whole user, unsubscribes. Nothing of the upload leaves after this returns."""
        self._give_up(user_id, upload_id, receiver, partial(self.registry.give_up, user_id, upload_id, receiver))

    def renounce(self, user_id: str, upload_id: str, receiver: Receiver) -> bool:
        """A connection gives up what other nodes may hold, so no follow ends yet. Nothing leaves on it after this returns.

        Returns:
            Whether no open connection here is left that would take the upload.
        """
        taken: list[bool] = []
        self._give_up(user_id, upload_id, receiver, lambda: taken.append(self.registry.renounce(user_id, upload_id, receiver)))
        return taken == [True]

    def receivers(self, upload_id: str) -> list[Receiver]:
        """Every connection that may get what is said of an upload."""
        upload = self.registry.uploads.get(upload_id)
        if upload is None:
            return []
        owner = upload.head.owner if upload.head is not None else None
        users = [user for user in upload.followers.values() if self._access(user.user_id, owner)]
        return [connection for user in users for connection in user.connections if user.holds(connection, upload_id)]

    def deliver(self, upload_id: str, head: Head) -> None:
        """An event was accepted: every connection that receives the upload gets it, if it is news.

        Where only the owner of what is known is news, whoever may have it already does not get it again.
        """
        upload = self.registry.uploads.get(upload_id)
        if upload is None:
            return
        former = upload.head
        if former is not None and head.version <= former.version:
            if head.version == former.version and head.owner != former.owner:
                self._hand_over(upload, former, former._replace(owner=head.owner))
            return
        upload.head, upload.finished = head, head.terminal
        if upload_id in self._asked:
            return  # nobody has had a snapshot yet, and this is part of it
        access, owner, frame = self._access, head.owner, head.frame
        deliveries = 0
        for user in upload.followers.values():
            if access(user.user_id, owner):
                for connection, given_up in user.connections.items():
                    if given_up is None or upload_id not in given_up:
                        connection.put_state(upload_id, frame)
                        deliveries += 1
            elif former is not None and former.owner != owner:
                for connection in user.connections:
                    connection.discard(upload_id)
        self._counters.deliveries += deliveries

    def _hand_over(self, upload: Upload[Receiver], former: Head, head: Head) -> None:
        """The same state has another owner: who might not have it gets it, and for who may have it no more it waits no more."""
        upload.head = head
        if upload.upload_id in self._asked:
            return
        for user in upload.followers.values():
            had, has = (self._access(user.user_id, owner) for owner in (former.owner, head.owner))
            for connection in user.connections if had != has else ():
                if has:
                    self._send_head(user, upload, connection)
                else:
                    connection.discard(upload.upload_id)

    def _ask(self, upload: Upload[Receiver], asked: Asked) -> None:
        upload_id = upload.upload_id
        if upload_id in self._asked:
            self._asked[upload_id].append(asked)
        elif asked.first and len(upload.followers) == 1:
            self._asked[upload_id] = [asked]
            self._watch(upload_id, partial(self._found, upload))
        else:
            self._answer(upload, asked)

    def _give_up(self, user_id: str, upload_id: str, receiver: Receiver | None, give_up: Callable[[], None]) -> None:
        user = self.registry.users.get(user_id)
        if user is None:
            return
        pending = self._asked.get(upload_id, [])
        withdrawn = [asked for asked in pending if asked.user is user and receiver in (None, asked.receiver)]
        for asked in withdrawn:  # answers come in the order of the questions
            pending.remove(asked)
            asked.answer(False)
        for other in user.connections if receiver is None else [receiver]:
            other.discard(upload_id)
        give_up()
        if upload_id in user.follows and any(asked.first for asked in withdrawn):
            pending.append(Asked(user, None, True, _nobody_asks))  # the user's other connections still wait for the head

    def _found(self, upload: Upload[Receiver], head: Head | None) -> None:
        if head is not None and (upload.head is None or head.version > upload.head.version):
            upload.head, upload.finished = head, head.terminal
        for asked in self._asked.pop(upload.upload_id):
            self._answer(upload, asked)

    def _answer(self, upload: Upload[Receiver], asked: Asked) -> None:
        known = upload.head is not None and self._access(asked.user.user_id, upload.head.owner)
        asked.answer(known)
        if asked.first or asked.receiver is None:
            for connection in asked.user.connections:
                self._send_head(asked.user, upload, connection)
        else:
            self._send_head(asked.user, upload, asked.receiver)

    def _send_head(self, user: User[Receiver], upload: Upload[Receiver], receiver: Receiver) -> None:
        head = upload.head
        if head is None or not self._access(user.user_id, head.owner) or not user.holds(receiver, upload.upload_id):
            return
        receiver.put_state(upload.upload_id, head.frame)
        self._counters.deliveries += 1

    def _is_done_with(self, user_id: str, looks: Iterator[int], upload: Upload[Receiver]) -> bool:
        """Whether an upload may make room: it is known to have ended, and every connection of the user has had its end."""
        if upload.head is None or not upload.finished or not self._access(user_id, upload.head.owner):
            return False
        if upload.upload_id in self._asked or next(looks, None) is None:
            return False
        return not any(connection.holds(upload.upload_id) for connection in self.registry.users[user_id].connections)

    def _released(self, upload: Upload[Receiver]) -> None:
        for asked in self._asked.pop(upload.upload_id, ()):
            asked.answer(False)
        self._unwatch(upload.upload_id)


def _nobody_asks(known: bool) -> None:
    """Whoever asked has been answered already."""
