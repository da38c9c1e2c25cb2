"""What the nodes around the simulated middle share about users."""

import asyncio
import logging
from collections.abc import Sequence

from vuemantics_ws.brokers.users import Here, Stand
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.hub.asking import Asking
from vuemantics_ws.simulation.hub.follows import END, FOLLOW, GIVE_UP, Change
from vuemantics_ws.simulation.hub.hearing import Hearing
from vuemantics_ws.simulation.hub.line import SMALL_BYTES
from vuemantics_ws.simulation.hub.middle import Middle, Peer

logger = logging.getLogger(__name__)

RETRY_S = 0.5
LEAVE_TIMEOUT_S = 2.0

_NOBODY = Stand((), is_connected=False, given_up=())


class _User:
    """One user as this node shares it."""

    __slots__ = ("again", "born", "is_heard", "is_here", "is_told", "revision", "sent", "unsaid", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.is_here = False
        self.is_heard = False
        """Whether changes by others are told. Before that a look could miss what comes after it."""
        self.is_told = False
        """Whether the middle may know this node for one of the user's."""
        self.unsaid: dict[str, Change] = {}  # by upload, the last of each
        self.sent: dict[str, Change] | None = None  # with the look that is under way, None where none is
        self.again = False  # another look is to follow it
        self.revision = 0  # how often that had changed
        self.born: int | None = None  # the number of what the user follows, None before the first look


class SimulatedUsers:
    """A :class:`~vuemantics_ws.brokers.users.Users`.

    A *look* does in the middle what this node has to tell of a user, takes over how the user stands here, and answers with
    all that the user follows. A user has one look at a time, so an answer knows of all that was done here before it; where it
    differs from what is followed here, and nothing that was done meanwhile explains it, the answer counts.
    """

    def __init__(self, middle: Middle, peer: Peer, hearing: Hearing, asking: Asking, limits: Limits) -> None:
        self._middle = middle
        self._peer = peer
        self._hearing = hearing
        self._asking = asking
        self._loop = middle.loop
        self._unsaid_max = 2 * limits.uploads_per_user_max
        self._users: dict[str, _User] = {}
        self._gone: dict[str, None] = {}  # those of them who are here no more, and of whom that is to be told
        self._line: dict[str, _User] = {}  # who is to be looked at in the next turn of the loop
        self._failed: dict[str, _User] = {}
        self._again: asyncio.TimerHandle | None = None
        self._number = 0
        self._all_told: asyncio.Future[None] | None = None
        self._here: Here | None = None

    def start(self, here: Here) -> None:
        self._here = here

    def stop(self) -> None:
        """Nothing is told or asked after this."""
        self._here = None
        if self._again is not None:
            self._again.cancel()
        for each in (self._users, self._gone, self._line, self._failed):
            each.clear()

    def __len__(self) -> int:
        """How many users this node shares, or has yet to say goodbye for."""
        return len(self._users)

    # What the manager tells.

    def connections_changed(self, user_id: str) -> None:
        self._look(self._user_here(user_id))

    def follow(self, user_id: str, upload_id: str) -> None:
        self._say(self._user_here(user_id), upload_id, FOLLOW)

    def give_up(self, user_id: str, upload_id: str) -> None:
        self._say(self._user_here(user_id), upload_id, GIVE_UP)

    def end(self, user_id: str, upload_id: str) -> None:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(user_id)
            self._gone[user_id] = None
        self._say(user, upload_id, END)

    def forget(self, user_id: str) -> None:
        user = self._users.get(user_id)
        if user is None or not user.is_here:
            return
        if user.is_told:
            user.unsaid = {upload_id: change for upload_id, change in user.unsaid.items() if change.verb != FOLLOW}
            self._say_goodbye(user)
        else:
            self._hearing.say(self._middle.forget_user, user_id)
            self._drop(user)

    async def leave(self) -> None:
        for user in list(self._users.values()):
            if user.is_here:
                self._say_goodbye(user)
        if not self._gone:
            return
        self._all_told = self._loop.create_future()
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._all_told
        except TimeoutError:
            for user_id in list(self._gone):
                self._drop(self._users[user_id])
        finally:
            self._all_told = None

    async def say_to_user(self, user_id: str, payload: bytes) -> None:
        await self._asking.ask(len(payload), self._middle.say_to_user, self._peer, user_id, payload)

    async def say_of_upload(self, upload_id: str, payload: bytes) -> None:
        await self._asking.ask(len(payload), self._middle.say_of_upload, self._peer, upload_id, payload)

    # What is heard.

    def wanted(self) -> list[str]:
        return [user.user_id for user in self._users.values() if user.is_here]

    def heard(self, user_id: str) -> None:
        """From now on changes by others are told."""
        user = self._users.get(user_id)
        if user is not None and user.is_here:
            user.is_heard = True
            self._look(user)

    def changed(self, user_id: str) -> None:
        """Another node changed something."""
        user = self._users.get(user_id)
        if user is not None and user.is_here:
            self._look(user)

    def said_to_user(self, user_id: str, payload: bytes) -> None:
        if self._here is not None:
            self._here.said_to_user(user_id, payload)

    def said_of_upload(self, upload_id: str, payload: bytes) -> None:
        if self._here is not None:
            self._here.said_of_upload(upload_id, payload)

    # Looking.

    def look_at_all(self) -> None:
        """The middle has lost something, or something was missed, and nobody knows what."""
        for user in self._users.values():
            self._look(user)

    def _look(self, user: _User) -> None:
        """In the next turn of the loop, so that what is done in this one is told at once; then one look after the other."""
        if user.is_here and not user.is_heard:
            return
        if user.sent is not None:
            user.again = True
        elif user.user_id not in self._failed:
            if not self._line:
                self._loop.call_soon(self._look_at_line)
            self._line[user.user_id] = user

    def _look_at_line(self) -> None:
        line, self._line = self._line, {}
        for user in line.values():
            if self._users.get(user.user_id) is user and user.sent is None:
                self._look_at(user)

    def _look_at(self, user: _User) -> None:
        stand = self._here.stand(user.user_id) if user.is_here and self._here is not None else _NOBODY
        stand = Stand((), stand.is_connected, tuple(stand.given_up))
        user.sent, user.unsaid = user.unsaid, {}
        user.is_told, user.again = True, False
        changes = sorted(user.sent.values())
        size = SMALL_BYTES * (1 + len(changes))
        self._peer.sharing.ask(
            size,
            lambda answer: self._looked(user, answer),
            self._middle.look,
            *(self._peer, user.user_id, changes, stand, user.revision),
        )

    def _looked(self, user: _User, answer: tuple[int | None, int, Sequence[str]] | None) -> None:
        sent, user.sent = user.sent, None
        assert sent is not None
        if self._users.get(user.user_id) is not user:
            return  # dropped meanwhile
        if answer is None:
            user.unsaid = sent | user.unsaid
            self._failed[user.user_id] = user
            if self._again is None:
                self._again = self._loop.call_later(RETRY_S, self._look_again)
            return
        again = user.again
        if user.is_here:
            self._converge(user, *answer)
        elif not again:
            self._drop(user)
        if again:
            self._look(user)

    def _look_again(self) -> None:
        failed, self._failed, self._again = self._failed, {}, None
        for user in failed.values():
            if self._users.get(user.user_id) is user:
                self._look(user)

    def _converge(self, user: _User, born: int | None, revision: int, stored: Sequence[str]) -> None:
        assert self._here is not None
        is_lost = user.born not in (None, born)
        user.born, user.revision = born, revision
        here, there = self._here.stand(user.user_id).follows, dict.fromkeys(stored)
        arrived = [upload_id for upload_id in there if upload_id not in here and upload_id not in user.unsaid]
        missing = [upload_id for upload_id in here if upload_id not in there and upload_id not in user.unsaid]
        if is_lost:
            for upload_id in missing:
                self._say(user, upload_id, FOLLOW)
            missing = []
        self._here.converge(user.user_id, arrived=arrived, ended=missing, settled=not user.unsaid)

    # Who is here.

    def _user_here(self, user_id: str) -> _User:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(user_id)
        if not user.is_here:
            user.is_here = True
            self._gone.pop(user_id, None)
            self._hearing.say(self._middle.hear_user, user_id)
        return user

    def _say(self, user: _User, upload_id: str, verb: str) -> None:
        self._number += 1
        user.unsaid.pop(upload_id, None)
        user.unsaid[upload_id] = Change(self._number, upload_id, verb)
        if len(user.unsaid) > self._unsaid_max:  # what has ended is unbounded while the middle is away
            oldest = next((id_ for id_, change in user.unsaid.items() if change.verb != FOLLOW), upload_id)
            del user.unsaid[oldest]
        self._look(user)

    def _say_goodbye(self, user: _User) -> None:
        user.is_here = user.is_heard = False
        self._hearing.say(self._middle.forget_user, user.user_id)
        self._gone[user.user_id] = None
        self._look(user)

    def _drop(self, user: _User) -> None:
        self._gone.pop(user.user_id, None)
        self._line.pop(user.user_id, None)
        self._failed.pop(user.user_id, None)
        del self._users[user.user_id]
        if not self._gone and self._all_told is not None and not self._all_told.done():
            self._all_told.set_result(None)
