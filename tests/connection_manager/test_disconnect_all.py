"""``disconnect_all``: every socket closed with 1012, everything forgotten, within bounded time."""

import asyncio

import pytest

from tests.connection_manager.loops import LoopClock, run, turns
from tests.connection_manager.messages import note, progress, said
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager

RELOADING = [(1012, "Server reloading")]


def test_every_socket_is_closed_and_everything_is_forgotten() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(10)]
        for number, socket in enumerate(sockets):
            await manager.connect(f"user {number % 3}", socket)
            await manager.subscribe_upload(f"user {number % 3}", f"upload {number}")
        await manager.subscribe_upload("never connected", "a")

        await manager.disconnect_all()

        assert [socket.closings for socket in sockets] == [RELOADING] * 10
        assert sizes(manager) == {}
        assert not manager.user_connections
        assert not manager.upload_subscribers
        assert not manager.user_subscriptions
        assert manager.counters.closes == {1012: 10}

    run(main())


def test_what_is_pending_leaves_before_the_close() -> None:
    class Late(TextSocket):
        async def close(self, code: int = 1000, reason: str = "") -> None:
            self.sent.append(note(-1))
            await super().close(code, reason)

    async def main() -> None:
        manager = ConnectionManager()
        socket = Late()
        await manager.connect("alice", socket)
        socket.stop_reading()
        for number in range(3):
            await manager.send_to_user("alice", note(number))
        asyncio.get_running_loop().call_later(0.9, socket.read_again)

        await manager.disconnect_all()

        assert said(socket) == ["note 0", "note 1", "note 2", "note -1"]
        assert socket.closings == RELOADING

    run(main())


def test_it_ends_within_two_seconds_whoever_does_not_read() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(20)]
        for socket in sockets:
            await manager.connect("alice", socket)
            socket.stop_reading()
            socket.close_hangs = True
        await manager.send_to_user("alice", note(1))
        begun_at = asyncio.get_running_loop().time()

        await manager.disconnect_all()

        assert asyncio.get_running_loop().time() - begun_at == pytest.approx(2.0)
        assert [socket.closings for socket in sockets] == [RELOADING] * 20
        assert sizes(manager) == {}

    run(main())


@pytest.mark.parametrize("error", [RuntimeError("closed already"), asyncio.CancelledError()], ids=repr)
def test_one_socket_that_raises_on_close_saves_no_other_from_being_closed(error: BaseException) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first, broken, last = TextSocket(), TextSocket(), TextSocket()
        broken.close_error = error
        for socket in (first, broken, last):
            await manager.connect("alice", socket)

        await manager.disconnect_all()

        assert [socket.closings for socket in (first, broken, last)] == [RELOADING] * 3
        assert sizes(manager) == {}

    run(main())


def test_who_connects_meanwhile_begins_anew_and_stays() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        old, new = TextSocket(), TextSocket()
        old.close_hangs = True
        await manager.connect("alice", old)
        await manager.subscribe_upload("alice", "a")

        ending = asyncio.create_task(manager.disconnect_all())
        await turns(2)
        await manager.connect("alice", new)
        await manager.subscribe_upload("alice", "b")
        await manager.send_to_user("alice", note(1))
        await ending
        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.send_to_upload_subscribers("b", progress("b", 20))

        assert said(old) == []
        assert said(new) == ["note 1", "b 20"]
        assert (old.closings, new.closings) == (RELOADING, [])
        assert manager.user_connections == {"alice": {new}}
        assert manager.user_subscriptions == {"alice": {"b"}}

    run(main())


def test_a_socket_that_comes_back_meanwhile_is_not_dropped_for_what_its_old_send_did() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        socket.stop_reading()
        await manager.send_to_user("alice", note(1))

        ending = asyncio.create_task(manager.disconnect_all())
        await turns(2)
        await manager.connect("alice", socket)
        socket.error = RuntimeError("the old send")
        socket.read_again()
        await turns(2)
        socket.error = None
        await ending
        connections = dict(manager.user_connections)
        await manager.disconnect("alice", socket)

        assert connections == {"alice": {socket}}
        assert sizes(manager) == {}

    run(main())


def test_handlers_that_disconnect_while_they_are_closed_do_no_harm() -> None:
    async def main() -> None:
        manager = ConnectionManager()

        class Handled(TextSocket):
            async def close(self, code: int = 1000, reason: str = "") -> None:
                await super().close(code, reason)
                await manager.disconnect("alice", self)
                await manager.send_to_user("alice", note(1))

        sockets = [Handled() for _ in range(5)]
        for socket in sockets:
            await manager.connect("alice", socket)

        await asyncio.gather(manager.disconnect_all(), manager.disconnect_all())

        assert [socket.closings for socket in sockets] == [RELOADING] * 5
        assert sizes(manager) == {}

    run(main())


def test_being_cancelled_it_has_forgotten_all_the_same() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        socket.close_hangs = True
        await manager.connect("alice", socket)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.disconnect_all(), timeout=0.1)

        assert sizes(manager) == {}

    run(main())


def test_leaving_the_manager_closes_forgets_and_stops_the_broker() -> None:
    async def main() -> None:
        clock = LoopClock()
        broker = MemoryBroker(clock=clock)
        socket = TextSocket()
        async with ConnectionManager(broker=broker, clock=clock) as manager:
            await manager.connect("alice", socket)
            await manager.subscribe_upload("alice", "a")
            await manager.connect("bob", TextSocket())
            await manager.subscribe_upload("bob", "b")
            await manager.disconnect("bob", next(iter(manager.user_connections["bob"])))
            in_grace = sizes(manager)

        assert in_grace["leaving"] == in_grace["grace"] == 1
        assert socket.closings == RELOADING
        assert sizes(manager) == {}
        assert broker._deliver is None
        assert not [timer for timer in vars(asyncio.get_running_loop())["_scheduled"] if not timer.cancelled()]

    run(main())
