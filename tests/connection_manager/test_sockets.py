"""Sockets of three kinds, and everything that a socket may do to whoever uses it."""

import asyncio
import logging

import pytest

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, note, progress, said
from tests.connection_manager.sockets import JSONSocket, Peer, PlainSocket, StubbornSocket, TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Gist
from vuemantics_ws.socket_writer import SocketWriter, Turns

KINDS = [TextSocket, PlainSocket, JSONSocket]


@pytest.mark.parametrize("kind", KINDS)
def test_a_socket_is_used_by_what_it_has(kind: type[Peer]) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = kind()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        await manager.send_to_user("alice", {"action": "note", "number": 1, "text": "ü\u2028"})
        await manager.send_to_upload_subscribers("a", completed("a"))
        await manager.disconnect_all()

        assert socket.sent == [{"action": "note", "number": 1, "text": "ü\u2028"}, completed("a")]
        assert socket.closings == [(1012, "Server reloading")]

    run(main())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error", [RuntimeError("closed already"), OSError("gone"), TimeoutError(), asyncio.CancelledError()], ids=repr
)
def test_a_connection_whose_send_raises_is_dropped_and_the_others_never_notice(kind: type[Peer], error: BaseException) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        broken, whole, last = kind(), kind(), kind()
        broken.error = last.error = error
        await manager.connect("alice", broken)
        await manager.connect("alice", whole)
        await manager.connect("bob", last)
        for user_id in ("alice", "bob"):
            await manager.subscribe_upload(user_id, "a")

        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.send_to_upload_subscribers("a", progress("a", 30))

        assert said(whole) == ["a 20", "a 30"]
        assert manager.user_connections == {"alice": {whole}}
        assert manager.get_upload_subscriber_ids("a") == {"alice"}
        assert (broken.sends_begun, last.sends_begun) == (1, 1)

    run(main())


def test_what_waited_for_a_socket_that_raises_is_not_sent_to_it() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        socket.stop_reading()
        for number in range(5):
            await manager.send_to_user("alice", note(number))

        socket.error = RuntimeError("closed already")
        socket.read_again()
        await turns(3)

        assert socket.sends_begun == 1
        assert sizes(manager) == {}

    run(main())


def test_a_socket_that_failed_is_closed_so_that_nobody_takes_it_for_alive() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        socket.error = RuntimeError("one bad moment")
        await manager.connect("alice", socket)

        await manager.send_to_user("alice", note(1))
        await turns(3)

        assert socket.closings == [(1011, "a send failed")]
        assert manager.counters.closes == {1011: 1}

    run(main())


def test_a_drop_is_logged_once_and_says_nothing_of_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        socket.error = RuntimeError("could not send a secret")
        socket.close_error = RuntimeError("could not close a secret")
        await manager.connect("alice", socket)

        await manager.send_to_user("alice", {"action": "note", "text": "a secret"})
        await manager.send_to_user("alice", {"action": "note", "text": "a secret"})

    with caplog.at_level(logging.DEBUG, logger="vuemantics_ws"):
        run(main())
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG"]
    assert "secret" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_a_socket_that_failed_may_connect_again() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        socket.error = RuntimeError("not yet")
        await manager.connect("alice", socket)
        await manager.send_to_user("alice", note(1))
        await turns(3)
        socket.error = None

        await manager.connect("alice", socket)
        await manager.send_to_user("alice", note(2))

        assert said(socket) == ["note 2"]
        assert manager.user_connections == {"alice": {socket}}

    run(main())


def test_a_disconnect_ends_a_send_that_is_under_way() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        socket.stop_reading()
        for number in range(3):
            await manager.send_to_user("alice", note(number))

        await manager.disconnect("alice", socket)
        left = sizes(manager)
        socket.read_again()
        await turns(3)

        assert left == {}
        assert (socket.cancelled_sends, socket.sends_begun, socket.sent, socket.closings) == (1, 1, [], [])

    run(main())


def test_a_socket_that_comes_back_while_its_old_send_ends_gets_only_what_is_new() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        socket.stop_reading()
        await manager.send_to_user("alice", note(1))

        await manager.disconnect("alice", socket)
        await manager.connect("alice", socket)
        socket.read_again()
        await manager.send_to_user("alice", note(2))

        assert said(socket) == ["note 2"]
        assert manager.user_connections == {"alice": {socket}}

    run(main())


def test_a_socket_that_refuses_to_be_cancelled_sends_nothing_more() -> None:
    class Unstoppable(TextSocket):
        async def send_text(self, data: str) -> None:
            try:
                await super().send_text(data)
            except asyncio.CancelledError:
                pass

    async def main() -> None:
        manager = ConnectionManager()
        socket = Unstoppable()
        await manager.connect("alice", socket)
        socket.stop_reading()
        for number in range(3):
            await manager.send_to_user("alice", note(number))

        await manager.disconnect("alice", socket)
        socket.read_again()
        await turns(3)

        assert (socket.sends_begun, socket.sent) == (1, [])
        assert sizes(manager) == {}

    run(main())


def test_a_writer_that_was_stopped_takes_nothing_and_gives_nothing_up() -> None:
    async def main() -> None:
        dropped: list[SocketWriter] = []
        socket, turns_of_loop = TextSocket(), Turns()
        writer = SocketWriter(
            "alice", socket, limits=Limits(), turns=turns_of_loop, dropped=lambda writer, code: dropped.append(writer)
        )
        writer.stop()

        for number in range(300):
            writer.put(Frame.of(note(number)), Gist(None, None))
            await turns_of_loop.two()

        assert (socket.sent, socket.closings, dropped) == ([], [], [])

    run(main())


def test_a_socket_may_call_back_from_inside_its_own_send() -> None:
    class Chatty(TextSocket):
        async def send_text(self, data: str) -> None:
            await super().send_text(data)
            if len(self.sent) == 1:
                await manager.send_to_user("alice", note(2))
                await manager.unsubscribe_upload("alice", "a")
            else:
                await manager.disconnect("alice", self)

    manager = ConnectionManager()

    async def main() -> None:
        socket = Chatty()
        await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")

        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await turns(5)

        assert said(socket) == ["a 20", "note 2"]
        assert sizes(manager) == {}

    run(main())


def test_the_loop_may_end_while_a_send_is_under_way() -> None:
    async def main() -> tuple[ConnectionManager, TextSocket]:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.connect("alice", socket)
        socket.stop_reading()
        await manager.send_to_user("alice", note(1))
        return manager, socket

    manager, socket = asyncio.run(main())

    assert (socket.cancelled_sends, socket.closings) == (1, [])
    assert sizes(manager) == {}


def test_a_close_that_can_neither_end_nor_be_cancelled_is_left_behind() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        loop = asyncio.get_running_loop()
        socket = StubbornSocket()
        await manager.connect("alice", socket)

        begun_at = loop.time()
        await manager.disconnect_all()
        took_s = loop.time() - begun_at
        socket.let_go.set()

        assert took_s == pytest.approx(1.0)
        assert socket.closings == [(1012, "Server reloading")]

    run(main())


class Transport:
    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("how", ["hangs", "raises", "is cancelled", "works"])
def test_a_socket_that_cannot_be_closed_is_aborted_where_that_is_possible(how: str) -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = PlainSocket()
        transport = Transport()
        socket.transport = transport  # type: ignore[attr-defined]
        socket.close_hangs = how == "hangs"
        socket.close_error = {"raises": OSError(), "is cancelled": asyncio.CancelledError()}.get(how)
        await manager.connect("alice", socket)

        await manager.disconnect_all()

        assert transport.aborted is (how != "works")

    run(main())
