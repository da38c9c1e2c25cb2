"""``ConnectionManager()`` by itself: who follows what, and for how long (SEMANTICS.md section 2)."""

import pytest

from tests.connection_manager.loops import run
from tests.connection_manager.messages import completed, failed, note, progress, said
from tests.connection_manager.sockets import TextSocket, sizes
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.errors import LimitReached
from vuemantics_ws.limits import Limits


def test_a_subscriber_that_comes_late_gets_nothing_of_before() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket, second_tab = TextSocket(), TextSocket()
        await manager.connect("alice", socket)
        await manager.send_to_upload_subscribers("a", progress("a", 20))

        await manager.subscribe_upload("alice", "a")
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a", connection=second_tab)

        assert socket.sent == second_tab.sent == []

    run(main())


def test_subscriptions_end_with_the_last_connection_and_at_once() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab, later = TextSocket(), TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a")

        await manager.disconnect("alice", first_tab)
        after_the_first = manager.get_upload_subscriber_ids("a")
        await manager.disconnect("alice", second_tab)
        after_the_last = manager.get_upload_subscriber_ids("a")
        await manager.connect("alice", later)
        await manager.send_to_upload_subscribers("a", progress("a", 20))

        assert after_the_first == {"alice"}
        assert after_the_last == set()
        assert later.sent == []

    run(main())


def test_a_subscribe_before_the_first_connection_is_remembered() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        socket = TextSocket()
        await manager.subscribe_upload("alice", "a", connection=socket)
        await manager.subscribe_upload("alice", "b")

        await manager.connect("alice", socket)
        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.send_to_upload_subscribers("b", progress("b", 30))

        assert said(socket) == ["a 20", "b 30"]

    run(main())


def test_of_those_who_subscribe_and_never_connect_1024_are_remembered() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        for number in range(1_024):
            await manager.subscribe_upload(f"user {number}", "a")
        await manager.subscribe_upload("user 0", "b")  # it is remembered already, and grows no younger
        full = sizes(manager)

        await manager.subscribe_upload("one more", "a")

        assert full == {"waiting": 1_024, "users": 1_024, "uploads": 2}
        assert sizes(manager) == {"waiting": 1_024, "users": 1_024, "uploads": 1}
        assert "user 0" not in manager.user_subscriptions
        assert manager.get_upload_subscriber_ids("a") == {f"user {number}" for number in range(1, 1_024)} | {"one more"}
        assert manager.counters.limits == {"waiting_users_max": 1}

    run(main())


def test_who_connects_or_gives_everything_up_waits_no_more() -> None:
    async def main() -> None:
        manager = ConnectionManager(limits=Limits(waiting_users_max=2))
        socket = TextSocket()
        await manager.subscribe_upload("alice", "a")
        await manager.connect("alice", socket)
        await manager.subscribe_upload("bob", "a")
        await manager.unsubscribe_upload("bob", "a")

        for user_id in ("carol", "dave", "erin"):
            await manager.subscribe_upload(user_id, "a")

        assert manager.get_upload_subscriber_ids("a") == {"alice", "dave", "erin"}

    run(main())


def test_a_tab_that_gives_an_upload_up_silences_no_other() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab = TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a", connection=first_tab)

        await manager.unsubscribe_upload("alice", "a", connection=first_tab)
        await manager.send_to_upload_subscribers("a", progress("a", 20))
        held = manager.get_upload_subscriber_ids("a")
        await manager.unsubscribe_upload("alice", "a", connection=second_tab)
        await manager.send_to_upload_subscribers("a", progress("a", 30))

        assert (said(first_tab), said(second_tab)) == ([], ["a 20"])
        assert held == {"alice"}
        assert manager.get_upload_subscriber_ids("a") == set()

    run(main())


def test_a_tab_that_gave_an_upload_up_may_ask_for_it_again() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab = TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a")
        await manager.unsubscribe_upload("alice", "a", connection=first_tab)

        await manager.subscribe_upload("alice", "a", connection=second_tab)
        await manager.send_to_upload_subscribers("a", progress("a", 20))
        await manager.subscribe_upload("alice", "a", connection=first_tab)
        await manager.send_to_upload_subscribers("a", progress("a", 30))

        assert (said(first_tab), said(second_tab)) == (["a 30"], ["a 20", "a 30"])

    run(main())


def test_a_subscribe_from_a_socket_that_is_gone_gives_other_tabs_nothing_back() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        gone, first_tab, second_tab = TextSocket(), TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.subscribe_upload("alice", "a")
        await manager.unsubscribe_upload("alice", "a", connection=first_tab)

        await manager.subscribe_upload("alice", "a", connection=gone)
        await manager.send_to_upload_subscribers("a", progress("a", 20))

        assert (said(first_tab), said(second_tab)) == ([], ["a 20"])

    run(main())


def test_an_unsubscribe_without_a_socket_is_for_the_whole_user() -> None:
    async def main() -> None:
        manager = ConnectionManager()
        first_tab, second_tab, other = TextSocket(), TextSocket(), TextSocket()
        await manager.connect("alice", first_tab)
        await manager.connect("alice", second_tab)
        await manager.connect("bob", other)
        await manager.subscribe_upload("alice", "a")
        await manager.subscribe_upload("bob", "a")

        await manager.unsubscribe_upload("alice", "a")
        await manager.send_to_upload_subscribers("a", progress("a", 20))

        assert (said(first_tab), said(second_tab), said(other)) == ([], [], ["a 20"])

    run(main())


def test_the_oldest_finished_upload_makes_room_and_only_then_is_a_subscribe_refused() -> None:
    async def main() -> None:
        manager = ConnectionManager(limits=Limits(uploads_per_user_max=3))
        socket = TextSocket()
        await manager.connect("alice", socket)
        for upload_id in "abc":
            await manager.subscribe_upload("alice", upload_id)
        await manager.send_to_upload_subscribers("c", completed("c"))
        await manager.send_to_upload_subscribers("b", failed("b"))
        await manager.send_to_upload_subscribers("b", note(1))  # says nothing of how it stands
        await manager.send_to_upload_subscribers("c", progress("c", 0))  # runs again
        await manager.send_to_upload_subscribers("a", completed("b"))  # ends another

        await manager.subscribe_upload("alice", "d")
        with pytest.raises(LimitReached) as refusal:
            await manager.subscribe_upload("alice", "e")

        assert manager.user_subscriptions == {"alice": {"a", "c", "d"}}
        assert refusal.value.limit == "uploads_per_user_max"
        assert manager.counters.limits == {"uploads_per_user_max": 1}

    run(main())
