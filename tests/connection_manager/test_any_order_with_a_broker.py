"""``ConnectionManager(broker=…)``: the laws, whatever happens in whatever order, with a broker that answers when it likes."""

import asyncio
from collections.abc import Hashable
from itertools import count, cycle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.connection_manager.brokers import LateBroker
from tests.connection_manager.loops import LoopClock, run, turns
from tests.connection_manager.messages import completed, note, progress
from tests.connection_manager.model import Model
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.upload import Head, Version

USERS = ("alice", "bob", "mallory")
UPLOADS = ("a", "b")
PLACES = 5
GRACE_S = 300.0

Pace = tuple[int, ...]


class Watched(TextSocket):
    """Checks whatever it is handed, at the moment at which it is handed over."""

    def __init__(self, world: "World", user_id: str, pace: Pace) -> None:
        super().__init__()
        self.user_id = user_id
        self.got: dict[str, list[tuple[int, int]]] = {}  # versions by upload, since it connected
        self.asked: dict[str, int] = {}  # how often a state may come again
        self.flushing = False
        self._world = world
        self._pace = cycle(pace)

    def connected(self) -> None:
        self.got.clear()
        self.asked.clear()

    async def _take(self, message: Any) -> None:
        if "attempt" in message:
            upload_id = message.get("upload_id") or message["payload"]["upload_id"]
            version = message["attempt"], message["seq"]
            if not self.flushing:
                try:
                    self._world.check_handed_over(self, upload_id, version)
                except AssertionError as failure:  # the manager would take it for a broken socket
                    self._world.failures.append(failure)
            self.got.setdefault(upload_id, []).append(version)
        await turns(next(self._pace))
        await super()._take(message)


class World:
    def __init__(self, paces: list[Pace]) -> None:
        clock = LoopClock()
        self.broker = LateBroker(clock=clock)
        self.manager = ConnectionManager(broker=self.broker, clock=clock)
        self.model = Model(uploads_max=1_000, waiting_max=1_024, grace_s=GRACE_S)
        self.paces = paces
        self.sockets = [Watched(self, USERS[place % 3], paces[place]) for place in range(PLACES)]
        self.asking: list[asyncio.Task[None]] = []
        self.numbers = count(1)
        self.failures: list[AssertionError] = []

    def head(self, upload_id: str) -> Head | None:
        upload = self.broker._uploads.get(upload_id)
        return upload.head if upload is not None else None

    def check_handed_over(self, socket: Watched, upload_id: str, version: tuple[int, int]) -> None:
        head = self.head(upload_id)
        assert head is not None
        assert version <= head.version
        assert self.model.holds(socket.user_id, socket, upload_id), "it gave the upload up, or never followed it"
        owner = self.broker.owners[upload_id, Version(*version)] if self.broker.is_behind else head.owner
        assert owner == socket.user_id, "it is not the owner's"
        got = socket.got.get(upload_id, [])
        if got:
            assert version >= got[-1], "an older state after a newer one"
            if version == got[-1]:
                socket.asked[upload_id] = socket.asked.get(upload_id, 0) - 1
                assert socket.asked[upload_id] >= 0, "the same state twice, and nobody asked for it"

    async def act(self, verb: str, user: int, upload: int, place: int, by_socket: bool) -> None:
        self.model.time_passed()
        socket = self.sockets[place]
        user_id = socket.user_id if by_socket else USERS[user]
        upload_id, asks = UPLOADS[upload], socket if by_socket else None
        match verb:
            case "connect":
                if not self.model.is_open(socket.user_id, socket):
                    socket.connected()
                self.model.connect(socket.user_id, socket)
                await self.manager.connect(socket.user_id, socket)
            case "disconnect":
                self.model.disconnect(socket.user_id, socket)
                await self.manager.disconnect(socket.user_id, socket)
            case "subscribe":  # not awaited, since the broker may answer much later
                self.asking.append(asyncio.create_task(self._subscribe(user_id, upload_id, asks)))
            case "unsubscribe":
                self.model.unsubscribe(user_id, upload_id, asks)
                await self.manager.unsubscribe_upload(user_id, upload_id, connection=asks)
            case "progress" | "end":
                number = next(self.numbers)
                message = progress(upload_id, number % 100) if verb == "progress" else completed(upload_id, str(number))
                await self.manager.publish(message, owner=(*USERS[:2], None)[user])
            case "note":
                await self.manager.send_to_user(user_id, note(next(self.numbers)))
            case "read":
                self.broker.read(upload_id)
            case "answer":
                self.broker.answer(upload_id)
            case "lag":
                self.broker.catch_up()
                self.broker.fall_behind()
            case "wait":
                await asyncio.sleep(100.25)
            case "disconnect_all":
                await self._disconnect_all()
            case _:
                raise AssertionError(verb)

    async def _subscribe(self, user_id: str, upload_id: str, asks: Watched | None) -> None:
        repeated = upload_id in self.model.follows.get(user_id, [])
        self.model.subscribe(user_id, upload_id, asks)
        is_open = asks is not None and self.model.is_open(user_id, asks)
        askers: list[Hashable] = [asks] if is_open and repeated else list(self.model.gave_up.get(user_id, {}))
        for asker in askers:
            assert isinstance(asker, Watched)
            asker.asked[upload_id] = asker.asked.get(upload_id, 0) + 1
        await self.manager.subscribe_upload(user_id, upload_id, connection=asks)

    async def _disconnect_all(self) -> None:
        for connections in self.model.gave_up.values():
            for socket in connections:
                assert isinstance(socket, Watched)
                socket.flushing = True
        self.model.forget_everybody()
        self.sockets = [Watched(self, USERS[place % 3], self.paces[place]) for place in range(PLACES)]
        await self.manager.disconnect_all()

    def check(self) -> None:
        for failure in self.failures:
            raise failure
        self.model.time_passed()
        assert self.manager.user_connections == self.model.connections()
        assert self.manager.user_subscriptions == self.model.subscriptions()
        assert self.manager.upload_subscribers == self.model.subscribers()

    async def check_end(self) -> None:
        """Publishing has stopped: everybody has the newest state, and when all have left nothing is left."""
        self.broker.answer_all()
        self.broker.catch_up()
        await asyncio.gather(*self.asking)
        await turns(200)
        self.check()
        for socket in self.sockets:
            for upload_id in UPLOADS:
                head = self.head(upload_id)
                if head is None or head.owner != socket.user_id or not self.model.holds(socket.user_id, socket, upload_id):
                    continue
                assert socket.got.get(upload_id, [])[-1:] == [head.version], "it missed the newest state"
        for socket in self.sockets:
            await self.manager.disconnect(socket.user_id, socket)
        await asyncio.sleep(GRACE_S + 1.0)
        for user_id, uploads in dict(self.manager.user_subscriptions).items():  # those who never connected
            for upload_id in uploads:
                await self.manager.unsubscribe_upload(user_id, upload_id)
        assert sizes(self.manager) == {}
        assert self.broker._told == set()


VERBS = st.sampled_from(
    ["connect"] * 3
    + ["subscribe"] * 4
    + ["progress"] * 5
    + ["unsubscribe", "end", "read", "answer"] * 2
    + ["disconnect", "note", "wait", "lag", "disconnect_all"]
)
STEPS = st.tuples(VERBS, st.integers(0, 2), st.integers(0, 1), st.integers(0, PLACES - 1), st.booleans(), st.integers(0, 3))
PACES = st.just((0,)) | st.lists(st.integers(0, 8), min_size=1, max_size=4).map(tuple)


@given(
    paces=st.lists(PACES, min_size=PLACES, max_size=PLACES),
    programs=st.lists(st.lists(STEPS, max_size=16), min_size=1, max_size=4),
)
def test_any_verbs_in_any_order_keep_the_laws(
    paces: list[Pace], programs: list[list[tuple[str, int, int, int, bool, int]]]
) -> None:
    async def main() -> None:
        world = World(paces)
        await world.manager.__aenter__()
        for place in range(3):
            await world.act("connect", 0, 0, place, True)
            await world.act("subscribe", 0, 0, place, True)

        async def follow_program(program: list[tuple[str, int, int, int, bool, int]]) -> None:
            for verb, user, upload, place, by_socket, pause in program:
                await world.act(verb, user, upload, place, by_socket)
                world.check()
                await turns(pause)

        await asyncio.gather(*(follow_program(program) for program in programs))
        await world.check_end()

    run(main())
