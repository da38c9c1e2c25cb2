"""What went wrong with the class that this one takes the place of. Each fault has the test that would have caught it."""

import asyncio

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, note, progress, said
from tests.connection_manager.setup import managed
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager


def test_sends_are_not_awaited_one_after_another() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(10)]
        for socket in sockets:
            await manager.connect("alice", socket)
        await manager.subscribe_upload("alice", "a")
        sockets[0].stop_reading()
        begun_at = asyncio.get_running_loop().time()

        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.send_to_user("alice", note(1))

        assert [said(socket) for socket in sockets[1:]] == [["a 20", "note 1"]] * 9
        assert asyncio.get_running_loop().time() == begun_at
        await manager.disconnect_all()

    run(main())


def test_who_comes_and_goes_during_a_send_disturbs_nobody() -> None:
    class Meddler(TextSocket):
        """Changes every table that the send is walking."""

        async def send_text(self, data: str) -> None:
            await super().send_text(data)
            await manager.disconnect("alice", leaving)
            await manager.connect("alice", coming)
            await manager.unsubscribe_upload("bob", "a")
            await manager.subscribe_upload("carol", "a")

    manager = ConnectionManager()
    leaving, coming, other, last = TextSocket(), TextSocket(), TextSocket(), TextSocket()

    async def main() -> None:
        meddler = Meddler()
        for user_id, socket in (("alice", meddler), ("alice", leaving), ("bob", other), ("carol", last)):
            await manager.connect(user_id, socket)
        for user_id in ("alice", "bob"):
            await manager.subscribe_upload(user_id, "a")

        await asyncio.gather(*(manager.send_to_upload_subscribers("a", progress("a", percent)) for percent in range(5)))
        await turns(50)

        # All five calls were made before anybody came or went; who was there for them gets them, or has left.
        assert said(meddler) == said(other) == [f"a {percent}" for percent in range(5)]
        assert said(last) == said(coming) == []

    run(main())


def test_a_message_is_serialised_once() -> None:
    class Model:
        serialised = 0

        def model_dump_json(self) -> str:
            self.serialised += 1
            return '{"action": "note", "number": 1}'

    async def main() -> None:
        manager = ConnectionManager()
        sockets = [TextSocket() for _ in range(30)]
        for number, socket in enumerate(sockets):
            await manager.connect(f"user {number}", socket)
            await manager.subscribe_upload(f"user {number}", "a")
        model = Model()

        await manager.send_to_upload_subscribers("a", model)

        assert [said(socket) for socket in sockets] == [["note 1"]] * 30
        assert model.serialised == 1

    run(main())


def test_subscriptions_without_a_connection_do_not_pile_up() -> None:
    async def main() -> None:
        manager = ConnectionManager()

        for number in range(5_000):
            await manager.subscribe_upload(f"user {number}", f"upload {number}")

        assert sizes(manager) == {"waiting": 1_024, "users": 1_024, "uploads": 1_024}

    run(main())


def test_unsubscribing_in_one_tab_does_not_silence_the_others() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab = TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a", connection=first_tab)
        await manager.subscribe_upload("alice", "a", connection=second_tab)

        await manager.unsubscribe_upload("alice", "a", connection=first_tab)
        await manager.send_to_upload_subscribers("a", completed("a"))

        assert (said(first_tab), said(second_tab)) == ([], ["a done"])

    run(main())


def test_nobody_follows_the_upload_of_another() -> None:
    async def main() -> None:
        async with managed() as manager:
            owner, stranger = TextSocket(), TextSocket()
            await manager.connect("alice", owner)
            await manager.connect("mallory", stranger)
            for user_id in ("alice", "mallory"):
                await manager.subscribe_upload(user_id, "a")

            await manager.publish(progress("a", 20), owner="alice")
            await manager.send_to_upload_subscribers("a", completed("a"))
            await manager.send_to_upload_subscribers("a", note(1))
            await manager.subscribe_upload("mallory", "a", connection=stranger)

            assert said(owner) == ["a 20", "a done", "note 1"]
            assert stranger.sent == []

    run(main())


def test_a_late_subscriber_gets_the_newest_state() -> None:
    async def main() -> None:
        async with managed() as manager:
            late, later = TextSocket(), TextSocket()
            await manager.publish(progress("a", 20), owner="alice")
            await manager.publish(completed("a"))
            await manager.connect("alice", late)

            await manager.subscribe_upload("alice", "a", connection=late)
            await manager.connect("alice", later)

            assert said(late) == said(later) == ["a done"]

    run(main())


def test_whoever_does_not_read_makes_nothing_grow_without_bound() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        slow = TextSocket()
        await manager.connect("alice", slow)
        slow.stop_reading()

        for number in range(1_000):
            await manager.send_to_user("alice", note(number))

        assert slow.closings == [(4008, "too many messages wait")]
        assert sizes(manager) == {}

    run(main())


def test_one_slow_send_does_not_stall_every_other_user() -> None:
    async def main() -> None:
        async with managed() as manager:
            slow, other = TextSocket(), TextSocket()
            await manager.connect("alice", slow)
            await manager.connect("bob", other)
            for user_id, upload_id in (("alice", "a"), ("bob", "b")):
                await manager.publish(progress(upload_id, 0), owner=user_id)
                await manager.subscribe_upload(user_id, upload_id)
            slow.stop_reading()
            begun_at = asyncio.get_running_loop().time()

            for percent in range(1, 100):
                await manager.publish(progress("a", percent))
                await manager.publish(progress("b", percent))
            got_meanwhile = said(other)
            slow.read_again()
            await turns(2)

            assert got_meanwhile == [f"b {percent}" for percent in range(100)]
            assert asyncio.get_running_loop().time() == begun_at
            assert said(slow) == ["a 0", "a 1", "a 99"]

    run(main())


def test_a_handler_that_dies_without_a_word_leaves_nothing_behind() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()

        async def handler() -> None:
            await manager.connect("alice", socket)
            await manager.subscribe_upload("alice", "a")
            raise RuntimeError("a bug of the application's")

        await asyncio.gather(handler(), return_exceptions=True)
        socket.error = RuntimeError("closed already")  # as every server's socket is once its handler has ended

        await manager.send_to_upload_subscribers("a", progress("a", 20))

        assert sizes(manager) == {}

    run(main())
