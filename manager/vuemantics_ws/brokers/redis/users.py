"""What nodes share about users: one hash of follows for each user, and one channel.

Nothing here depends on the order of messages. ``changed`` on the channel, as the end of a gap, only says that it is time to
look; each look is one run of a script, which does what this node has to tell, takes over how the user stands here, and answers
with the whole. Where the answer differs from what is followed here, and nothing that was done meanwhile explains it, the
answer counts. A hash that Redis has lost is filled again by whoever looks.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import islice
from typing import Any

from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.subscriptions import Subscriptions
from vuemantics_ws.brokers.users import Here, Stand
from vuemantics_ws.errors import BrokerAway
from vuemantics_ws.limits import Limits

logger = logging.getLogger(__name__)

LOOKS_AT_ONCE_MAX = 64
RETRY_S = 0.5
RENEWAL_MAX_S = 60.0
LEAVE_TIMEOUT_S = 2.0
GONE_MAX = 10_000
"""Users who are here no more and of whom Redis has not heard it yet. Beyond that the first are left to Redis' time to live."""

_NOBODY = Stand((), is_connected=False, given_up=())


class Verb(Enum):
    """What a node tells of a follow, as the script reads it."""

    FOLLOW = "+"
    GIVE_UP = "-"
    END = "x"
    GIVEN_UP = "."


class _User:
    """One user as this node shares it, and the subscriber of the user's channel."""

    __slots__ = ("_users", "born", "is_heard", "is_here", "is_told", "looked_at", "revision", "sent", "unsaid", "user_id")

    def __init__(self, users: "RedisUsers", user_id: str) -> None:
        self._users = users
        self.user_id = user_id
        self.is_here = False
        self.is_heard = False
        """Whether the channel is heard. Before that a look could miss what comes after it."""
        self.is_told = False
        """Whether the hash may name this node."""
        self.unsaid: dict[str, Verb] = {}  # by upload, the last of each
        self.sent: dict[str, Verb] = {}  # with the look that is under way
        self.born: bytes | None = None  # the id of the hash, None before the first look
        self.revision = 0  # how often it had changed
        self.looked_at = 0.0

    def on_message(self, payload: bytes) -> None:
        self._users.take(self, payload)

    def on_subscribed(self) -> None:
        self.is_heard = True
        self._users.look(self)


class RedisUsers:
    """The follows of users over all nodes, and messages to them: a :class:`vuemantics_ws.brokers.users.Users`.

    Each look waits for its answer before the user's next one, so an answer knows of all that this node did before it.

    Args:
        present: the ids of the nodes that are there. This one counts, whether it is among them or not.
        dice: for the ids of hashes.
    """

    def __init__(
        self,
        commands: Commands,
        subscriptions: Subscriptions,
        keys: Keys,
        *,
        node_id: str,
        present: Callable[[], Sequence[str]],
        limits: Limits,
        dice: random.Random,
    ) -> None:
        self.present = present
        self.renewal_s = min(RENEWAL_MAX_S, max(1.0, limits.grace_s / 4))
        self._commands = commands
        self._subscriptions = subscriptions
        self._keys = keys
        self._node_id = node_id.encode()
        self._dice = dice
        self._script = Script("user")
        ttl_ms = round(1000 * (limits.grace_s + self.renewal_s))
        self._settled_arguments = (b"SPUBLISH" if commands.sharded else b"PUBLISH", self._node_id)
        self._bounds = (ttl_ms, limits.uploads_per_user_max)
        self._unsaid_max = 2 * limits.uploads_per_user_max
        self._users: dict[str, _User] = {}
        self._gone: dict[str, None] = {}  # those of them who are here no more, the first to go first
        self._line: dict[str, _User] = {}  # who is to be looked at, in order
        self._in_line = asyncio.Event()
        self._looked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._here: Here | None = None

    def start(self, here: Here) -> None:
        self._here = here
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._look_on()), loop.create_task(self._renew_on())]

    async def stop(self) -> None:
        """Nothing is told or asked after this."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._here = None
        self._users.clear()
        self._gone.clear()
        self._line.clear()

    def __len__(self) -> int:
        """How many users this node shares, or has yet to say goodbye for."""
        return len(self._users)

    # What the manager tells.

    def connections_changed(self, user_id: str) -> None:
        self.look(self._user_here(user_id))

    def follow(self, user_id: str, upload_id: str) -> None:
        self._say(self._user_here(user_id), upload_id, Verb.FOLLOW)

    def give_up(self, user_id: str, upload_id: str) -> None:
        self._say(self._user_here(user_id), upload_id, Verb.GIVE_UP)

    def end(self, user_id: str, upload_id: str) -> None:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(self, user_id)
            self._note_gone(user)
        self._say(user, upload_id, Verb.END)

    def forget(self, user_id: str) -> None:
        user = self._users.get(user_id)
        if user is None or not user.is_here:
            return
        if user.is_told:
            user.unsaid = {upload_id: verb for upload_id, verb in user.unsaid.items() if verb is not Verb.FOLLOW}
            self._say_goodbye(user)
        else:
            self._drop(user)

    async def leave(self) -> None:
        for user in list(self._users.values()):
            if user.is_here:
                self._say_goodbye(user)
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                while self._gone:
                    self._looked.clear()
                    await self._looked.wait()
        except TimeoutError:
            logger.warning("redis was not told that %d users left; it forgets them in time", len(self._gone))
            for user_id in list(self._gone):
                self._drop(self._users[user_id])

    async def say_to_user(self, user_id: str, payload: bytes) -> None:
        await self._commands.publish(self._keys.user_channel(user_id), b"message %b\n%b" % (self._node_id, payload))

    async def say_of_upload(self, upload_id: str, payload: bytes) -> None:
        await self._commands.publish(self._keys.state_channel(upload_id), b"!%b\n%b" % (self._node_id, payload))

    # What the channels tell.

    def take(self, user: _User, message: bytes) -> None:
        """A message on a user's channel."""
        kind, _, rest = message.partition(b" ")
        if kind == b"changed":
            if rest != self._node_id:
                self.look(user)
        elif kind == b"message":
            self._pass_on(rest, lambda here, payload: here.said_to_user(user.user_id, payload))

    def take_of_upload(self, upload_id: str, message: bytes) -> None:
        """A message on an upload's channel that is no event: it begins with an exclamation mark."""
        self._pass_on(message[1:], lambda here, payload: here.said_of_upload(upload_id, payload))

    def _pass_on(self, message: bytes, say: Callable[[Here, bytes], None]) -> None:
        node_id, _, payload = message.partition(b"\n")
        if node_id != self._node_id and self._here is not None:
            say(self._here, payload)

    # Looking.

    def look(self, user: _User) -> None:
        """The user is to be looked at, once the channel is heard, where the user is here."""
        if user.is_heard or not user.is_here:
            self._line[user.user_id] = user
            self._in_line.set()

    def look_at_all(self) -> None:
        """Redis has lost something, and nobody knows what."""
        for user in self._users.values():
            self.look(user)

    async def _look_on(self) -> None:
        while True:
            await self._in_line.wait()
            self._in_line.clear()
            while self._line:
                users = list(islice(self._line.values(), LOOKS_AT_ONCE_MAX))
                for user in users:
                    del self._line[user.user_id]
                if not await self._look_at(users):
                    await asyncio.sleep(RETRY_S)
                self._looked.set()

    async def _look_at(self, users: list[_User]) -> bool:
        """Whether Redis answered for all of them."""
        try:
            answers = await self._commands.run_all([self._call(user) for user in users])
        except BrokerAway as away:
            answers = [away] * len(users)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may do better, and without one all would stand
            logger.error("looking at the follows of users raised %s", type(error).__name__)
            answers = [error] * len(users)
        for user, answer in zip(users, answers, strict=True):
            sent, user.sent = user.sent, {}
            if self._users.get(user.user_id) is not user:
                continue  # dropped meanwhile
            if isinstance(answer, Exception):
                user.unsaid = sent | user.unsaid
                self.look(user)
                continue
            try:
                self._converge(user, answer)
            except Exception as error:  # noqa: BLE001 - one user must not keep the others from being looked at, now and for good
                logger.error("a fault of ours while the follows of a user were taken over: %s", type(error).__name__)
        return not any(isinstance(answer, Exception) for answer in answers)

    def _call(self, user: _User) -> Call:
        stand = self._here.stand(user.user_id) if user.is_here and self._here is not None else _NOBODY
        user.sent, user.unsaid = user.unsaid, {}
        user.is_told = True
        user.looked_at = asyncio.get_running_loop().time()
        present = self.present()
        arguments: list[bytes | int | float | str] = [
            self._keys.user_channel(user.user_id),
            *self._settled_arguments,
            f"{self._dice.getrandbits(64):016x}",
            *self._bounds,
            int(stand.is_connected),
            user.revision,
            len(present),
            *present,
        ]
        for upload_id, verb in user.sent.items():
            arguments += (verb.value, upload_id)
        for upload_id in stand.given_up:
            arguments += (Verb.GIVEN_UP.value, upload_id)
        return Call(self._script, [self._keys.user(user.user_id), self._keys.revision(user.user_id)], arguments)

    def _converge(self, user: _User, answer: Any) -> None:
        if not user.is_here:
            if user.user_id not in self._line:  # it may be an older answer than the one to the goodbye
                self._drop(user)
            return
        born, user.revision, *stored = answer
        is_lost = user.born not in (None, born)
        user.born = born
        assert self._here is not None
        here = self._here.stand(user.user_id).follows
        there = dict.fromkeys(upload_id.decode() for upload_id in stored)
        arrived = [upload_id for upload_id in there if upload_id not in here and upload_id not in user.unsaid]
        missing = [upload_id for upload_id in here if upload_id not in there and upload_id not in user.unsaid]
        if is_lost:
            for upload_id in missing:
                self._say(user, upload_id, Verb.FOLLOW)
            missing = []
        self._here.converge(user.user_id, arrived=arrived, ended=missing, settled=not user.unsaid)

    async def _renew_on(self) -> None:
        """Who is here is looked at now and then: it keeps the hash alive, and heals what nobody noticed."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.renewal_s / 4)
            due = loop.time() - self.renewal_s * 0.7
            for user in self._users.values():
                if user.looked_at <= due:
                    self.look(user)

    # Who is here.

    def _user_here(self, user_id: str) -> _User:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(self, user_id)
        if not user.is_here:
            user.is_here = True
            self._gone.pop(user_id, None)
            self._subscriptions.subscribe(self._keys.user_channel(user_id), user)
        return user

    def _say(self, user: _User, upload_id: str, verb: Verb) -> None:
        user.unsaid.pop(upload_id, None)
        user.unsaid[upload_id] = verb
        if len(user.unsaid) > self._unsaid_max:  # what has ended is unbounded while Redis is away; what is followed is not
            oldest = next((upload_id for upload_id, verb in user.unsaid.items() if verb is not Verb.FOLLOW), upload_id)
            del user.unsaid[oldest]
        self.look(user)

    def _say_goodbye(self, user: _User) -> None:
        user.is_here = user.is_heard = False
        self._subscriptions.unsubscribe(self._keys.user_channel(user.user_id))
        self._note_gone(user)
        self.look(user)

    def _note_gone(self, user: _User) -> None:
        self._gone[user.user_id] = None
        if len(self._gone) > GONE_MAX:
            self._drop(self._users[next(iter(self._gone))])

    def _drop(self, user: _User) -> None:
        if user.is_here:
            self._subscriptions.unsubscribe(self._keys.user_channel(user.user_id))
        self._gone.pop(user.user_id, None)
        self._line.pop(user.user_id, None)
        del self._users[user.user_id]
