"""``ConnectionManager()``: any verbs, in any order, at once, over sockets of any temper, against a model of the rules."""

import asyncio
from collections.abc import Hashable, Iterator
from itertools import count, cycle
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, note, progress, said
from tests.connection_manager.model import Model
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.errors import LimitReached
from vuemantics_ws.limits import Limits

USERS = ("alice", "bob", "carol", "dave")
UPLOADS = ("a", "b", "c")
PLACES = 6  # sockets at a time; each is of one user


class Temper(NamedTuple):
    """How a socket takes what it gets: how many turns each send takes, and which send is the last that works."""

    pace: tuple[int, ...]
    last: int | None

    @property
    def is_prompt(self) -> bool:
        return self.pace == (0,) and self.last is None


class Moody(TextSocket):
    def __init__(self, user_id: str, temper: Temper) -> None:
        super().__init__()
        self.user_id = user_id
        self.temper = temper
        self._pace = cycle(temper.pace)

    async def _take(self, message: Any) -> None:
        await turns(next(self._pace))
        if self.temper.last is not None and len(self.sent) >= self.temper.last:
            self.error = RuntimeError("the last has been taken")
        await super()._take(message)


class Life:
    """What a connection was sent and what it took, from a connect on."""

    def __init__(self, socket: Moody) -> None:
        self.socket = socket
        self.begins_at = len(socket.sent)
        self.due: list[str] = []

    def took(self) -> list[str]:
        return said(self.socket)[self.begins_at :]


class World:
    def __init__(self, tempers: list[Temper]) -> None:
        self.manager = ConnectionManager(limits=Limits(uploads_per_user_max=2, waiting_users_max=2))
        self.model = Model(uploads_max=2, waiting_max=2, grace_s=None)
        self.tempers = tempers
        self.sockets = [self._socket(place) for place in range(PLACES)]
        self.lives: dict[Hashable, Life] = {}
        self.numbers = count(1)
        self.flushing: list[Life] = []

    async def act(self, verb: str, user: int, upload: int, place: int, by_socket: bool) -> None:
        """One verb. Model and manager change within one step of the loop, so they must agree at every turn."""
        socket = self.sockets[place]
        user_id = socket.user_id if by_socket else USERS[user]
        upload_id, asks = UPLOADS[upload], socket if by_socket else None
        manager, model = self.manager, self.model
        match verb:
            case "connect":
                if not model.is_open(socket.user_id, socket):
                    self.lives[socket] = Life(socket)
                model.connect(socket.user_id, socket)
                await manager.connect(socket.user_id, socket)
            case "disconnect":
                if model.is_open(socket.user_id, socket):
                    check_life(self.lives.pop(socket), whole=False)
                model.disconnect(socket.user_id, socket)
                await manager.disconnect(socket.user_id, socket)
            case "subscribe":
                await self._subscribe(user_id, upload_id, asks)
            case "unsubscribe":
                model.unsubscribe(user_id, upload_id, asks)
                await manager.unsubscribe_upload(user_id, upload_id, connection=asks)
            case "note" | "progress" | "end":
                await self._send(verb, None if by_socket else user_id, upload_id)
            case "disconnect_all":
                self.flushing += self.lives.values()
                self.lives.clear()
                model.forget_everybody()
                self.sockets = [self._socket(place) for place in range(PLACES)]
                await manager.disconnect_all()
            case _:
                raise AssertionError(verb)

    async def _subscribe(self, user_id: str, upload_id: str, asks: Moody | None) -> None:
        refused = due = False
        try:
            self.model.subscribe(user_id, upload_id, asks)
        except LimitReached:
            due = True
        try:
            await self.manager.subscribe_upload(user_id, upload_id, connection=asks)
        except LimitReached:
            refused = True
        assert refused is due

    async def _send(self, kind: str, user_id: str | None, upload_id: str) -> None:
        number = next(self.numbers)
        message = {
            "note": lambda: note(number),
            "progress": lambda: progress(upload_id, number),
            "end": lambda: completed(upload_id),
        }[kind]()
        short = {"note": f"note {number}", "progress": f"{upload_id} {number}", "end": f"{upload_id} done"}[kind]
        if user_id is not None:
            receivers: list[Hashable] = list(self.model.gave_up.get(user_id, {}))
        else:
            receivers = self.model.receivers(upload_id)
            if kind != "note":
                self.model.said(upload_id, ends=kind == "end")
        for receiver in receivers:
            self.lives[receiver].due.append(short)
        if user_id is not None:
            await self.manager.send_to_user(user_id, message)
        else:
            await self.manager.send_to_upload_subscribers(upload_id, message)

    def _socket(self, place: int) -> Moody:
        socket = Moody(USERS[place % 3], self.tempers[place])

        def failed() -> None:
            self.model.disconnect(socket.user_id, socket)
            self.lives.pop(socket, None)
            if self.sockets[place] is socket:
                self.sockets[place] = self._socket(place)

        socket.on_error = failed
        return socket

    def check_tables(self) -> None:
        assert self.manager.user_connections == self.model.connections()
        assert self.manager.user_subscriptions == self.model.subscriptions()
        assert self.manager.upload_subscribers == self.model.subscribers()

    async def check_end(self) -> None:
        await turns(300)
        self.check_tables()
        for life in (*self.lives.values(), *self.flushing):
            check_life(life, whole=life.socket.error is None)
        for user_id, sockets in dict(self.manager.user_connections).items():
            for socket in sockets:
                await self.manager.disconnect(user_id, socket)
        for user_id, uploads in dict(self.manager.user_subscriptions).items():
            for upload_id in uploads:
                await self.manager.unsubscribe_upload(user_id, upload_id)
        assert sizes(self.manager) == {}


def check_life(life: Life, *, whole: bool) -> None:
    """``whole``: the connection was given the time to take everything."""
    took, due = life.took(), life.due
    if life.socket.temper.is_prompt:
        assert took == (due if whole else due[: len(took)])
        return
    fixed = [short for short in due if not is_progress(short)]
    got = [short for short in took if not is_progress(short)]
    assert got == (fixed if whole else fixed[: len(got)])
    for upload_id in UPLOADS:
        runs, got_runs = list(runs_of(due, upload_id)), list(runs_of(took, upload_id))
        for place, (sent, arrived) in enumerate(zip(runs, got_runs, strict=False)):
            assert arrived == sorted(set(arrived))
            assert set(arrived) <= set(sent)
            if whole or place < len(got_runs) - 1:
                assert arrived[-1:] == sent[-1:]  # the newest before an end is never lost


def is_progress(short: str) -> bool:
    return not short.startswith("note") and not short.endswith("done")


def runs_of(shorts: list[str], upload_id: str) -> Iterator[list[int]]:
    """The progress of an upload, from end to end."""
    run_now: list[int] = []
    for short in shorts:
        if short == f"{upload_id} done":
            yield run_now
            run_now = []
        elif short.startswith(f"{upload_id} "):
            run_now.append(int(short.removeprefix(f"{upload_id} ")))
    yield run_now


def test_the_model_sees_what_the_manager_may_do() -> None:
    """The checks themselves can fail."""
    slow = Life(Moody("alice", Temper((1,), None)))
    slow.due = ["a 1", "note 2", "a 3", "a done", "a 4"]
    for took, good in (
        (["a 1", "note 2", "a 3", "a done", "a 4"], True),
        (["a 3", "note 2", "a done", "a 4"], True),
        (["note 2", "a done", "a 4"], False),
        (["a 1", "note 2", "a done", "a 4"], False),
        (["a 3", "a done", "note 2", "a 4"], False),
        (["a 3", "note 2", "a done"], False),
    ):
        slow.socket.sent = [as_message(short) for short in took]
        try:
            check_life(slow, whole=True)
        except AssertionError:
            assert not good, took
        else:
            assert good, took


def as_message(short: str) -> dict[str, Any]:
    about, what = short.split()
    if about == "note":
        return note(int(what))
    return completed(about) if what == "done" else progress(about, int(what))


PROMPT = Temper((0,), None)
TEMPERS = st.one_of(
    st.just(PROMPT),
    st.builds(Temper, st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple), st.none() | st.integers(0, 4)),
)
VERBS = st.sampled_from(
    ["connect"] * 4 + ["disconnect"] * 2 + ["subscribe"] * 4 + ["unsubscribe"] * 2 + ["note", "progress", "progress", "end"] * 2
)
STEPS = st.tuples(VERBS, st.integers(0, 3), st.integers(0, 2), st.integers(0, PLACES - 1), st.booleans(), st.integers(0, 3))
PROGRAMS = st.lists(st.lists(STEPS, max_size=12), min_size=1, max_size=4)


@given(
    tempers=st.lists(TEMPERS, min_size=PLACES, max_size=PLACES), programs=PROGRAMS, restart_after=st.none() | st.integers(0, 30)
)
def test_any_verbs_in_any_order_keep_the_rules(
    tempers: list[Temper], programs: list[list[tuple[str, int, int, int, bool, int]]], restart_after: int | None
) -> None:
    async def main() -> None:
        world = World(tempers)
        for place in range(0, PLACES, 2):
            await world.act("connect", 0, 0, place, True)
            await world.act("subscribe", 0, place // 2, place, True)

        async def follow_program(program: list[tuple[str, int, int, int, bool, int]]) -> None:
            for verb, user, upload, place, by_socket, pause in program:
                await world.act(verb, user, upload, place, by_socket)
                world.check_tables()
                await turns(pause)

        async def restart() -> None:
            if restart_after is not None:
                await turns(restart_after)
                await world.act("disconnect_all", 0, 0, 0, True)

        await asyncio.gather(restart(), *(follow_program(program) for program in programs))
        await world.check_end()

    run(main())
