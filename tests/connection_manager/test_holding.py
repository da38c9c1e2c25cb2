"""With a broker: grace time, giving up, and who holds what (SEMANTICS.md section 2)."""

import asyncio

import pytest

from tests.connection_manager.loops import LoopClock, run, turns
from tests.connection_manager.messages import completed, note, progress, said
from tests.connection_manager.setup import connected, managed
from tests.connection_manager.sockets import sizes
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.limits import Limits


def test_a_user_who_comes_back_in_the_grace_time_finds_everything_restored() -> None:
    async def main() -> None:
        async with managed() as manager:
            first = await connected(manager)
            for upload_id in "ab":
                await manager.subscribe_upload("alice", upload_id)
            await manager.publish(progress("a", 20), owner="alice")
            await manager.disconnect("alice", first)
            await manager.publish(completed("a"))

            await asyncio.sleep(299.9)
            second = await connected(manager)
            await asyncio.sleep(1_000)  # the time that began with the first connection's end is over, and means nothing
            await manager.publish(completed("b"), owner="alice")

            assert said(second) == ["a done", "b done"]

    run(main())


def test_a_user_who_stays_away_longer_is_forgotten() -> None:
    async def main() -> None:
        async with managed() as manager:
            first = await connected(manager)
            await manager.subscribe_upload("alice", "a")
            await manager.publish(progress("a", 20), owner="alice")
            await manager.disconnect("alice", first)

            await asyncio.sleep(300.1)
            left = sizes(manager)
            second = await connected(manager)

            assert left == {}
            assert second.sent == []

    run(main())


def test_each_users_grace_time_begins_with_the_end_of_the_last_connection() -> None:
    async def main() -> None:
        async with managed() as manager:
            sockets = {}
            for user_id in ("alice", "bob", "carol"):
                sockets[user_id] = await connected(manager, user_id)
                await manager.subscribe_upload(user_id, "a")
            second_tab = await connected(manager, "alice")
            followers = []

            await manager.disconnect("alice", second_tab)  # not her last
            await asyncio.sleep(100)
            await manager.disconnect("bob", sockets["bob"])
            await asyncio.sleep(100)
            await manager.disconnect("alice", sockets["alice"])
            await manager.disconnect("carol", sockets["carol"])
            await asyncio.sleep(100)
            back = await connected(manager, "bob")
            await manager.disconnect("bob", back)  # and from here on once more
            for _ in range(3):
                followers.append(sorted(manager.get_upload_subscriber_ids("a")))
                await asyncio.sleep(200.1)

            assert followers == [["alice", "bob", "carol"], ["bob"], []]
            assert sizes(manager) == {}

    run(main())


def test_no_grace_time_is_possible() -> None:
    async def main() -> None:
        async with managed(Limits(grace_s=0)) as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            await manager.disconnect("alice", socket)

            assert sizes(manager) == {}

    run(main())


def test_a_dropped_connection_begins_the_grace_time_too() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")
            socket.error = RuntimeError("gone")

            await manager.publish(progress("a", 20), owner="alice")
            followers = manager.get_upload_subscriber_ids("a")
            again = await connected(manager)
            await manager.disconnect("alice", again)
            await asyncio.sleep(300.1)

            assert followers == {"alice"}
            assert said(again) == ["a 20"]
            assert sizes(manager) == {}

    run(main())


def test_who_gives_everything_up_in_the_grace_time_is_forgotten_at_once() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")
            await manager.disconnect("alice", socket)

            await manager.unsubscribe_upload("alice", "a")

            assert {key: size for key, size in sizes(manager).items() if key != "grace"} == {}

    run(main())


def test_a_user_may_subscribe_to_more_in_the_grace_time_and_it_grows_no_longer() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")
            await manager.disconnect("alice", socket)
            await asyncio.sleep(200)

            await manager.subscribe_upload("alice", "b")
            while_in_grace = sizes(manager)
            await asyncio.sleep(100.1)

            assert while_in_grace["leaving"] == 1
            assert "waiting" not in while_in_grace
            assert sizes(manager) == {}

    run(main())


def test_closing_a_tab_ends_its_hold_and_no_follow() -> None:
    async def main() -> None:
        async with managed() as manager:
            holder, gave_up = await connected(manager), await connected(manager)
            await manager.subscribe_upload("alice", "a")
            await manager.unsubscribe_upload("alice", "a", connection=gave_up)

            await manager.disconnect("alice", holder)
            third_tab = await connected(manager)
            await manager.publish(progress("a", 20), owner="alice")

            assert (said(gave_up), said(third_tab)) == ([], ["a 20"])

    run(main())


def test_the_follow_ends_when_no_open_connection_holds_it() -> None:
    async def main() -> None:
        async with managed() as manager:
            tabs = [await connected(manager) for _ in range(3)]
            await manager.subscribe_upload("alice", "a", connection=tabs[0])
            follows = []

            await manager.disconnect("alice", tabs[0])
            for tab in tabs[1:]:
                follows.append("a" in manager.user_subscriptions.get("alice", set()))
                await manager.unsubscribe_upload("alice", "a", connection=tab)
            late = await connected(manager)
            await manager.publish(progress("a", 20), owner="alice")

            assert follows == [True, True]
            assert manager.get_upload_subscriber_ids("a") == set()
            assert [socket.sent for socket in (*tabs, late)] == [[]] * 4

    run(main())


def test_what_a_tab_gave_up_is_forgotten_with_the_follow() -> None:
    async def main() -> None:
        async with managed() as manager:
            first_tab, second_tab = await connected(manager), await connected(manager)
            await manager.subscribe_upload("alice", "a")
            await manager.unsubscribe_upload("alice", "a", connection=first_tab)
            await manager.unsubscribe_upload("alice", "a", connection=second_tab)

            await manager.subscribe_upload("alice", "a", connection=second_tab)
            await manager.publish(progress("a", 20), owner="alice")

            assert (said(first_tab), said(second_tab)) == (["a 20"], ["a 20"])

    run(main())


@pytest.mark.parametrize("whole_user", [True, False])
def test_nothing_of_an_upload_leaves_after_it_was_given_up(whole_user: bool) -> None:
    async def main() -> None:
        async with managed() as manager:
            slow, prompt = await connected(manager), await connected(manager)
            for upload_id in "ab":
                await manager.subscribe_upload("alice", upload_id)
            slow.stop_reading()
            await manager.send_to_user("alice", note(1))
            await manager.publish(progress("a", 20), owner="alice")
            await manager.publish(progress("b", 20), owner="alice")

            await manager.unsubscribe_upload("alice", "a", connection=None if whole_user else slow)
            await manager.publish(progress("a", 30))
            slow.read_again()
            await turns(2)

            assert said(slow) == ["note 1", "b 20"]
            assert said(prompt) == ["note 1", "a 20", "b 20"] + ([] if whole_user else ["a 30"])

    run(main())


def test_when_all_have_left_every_table_is_empty() -> None:
    async def main() -> None:
        clock = LoopClock()
        broker = MemoryBroker(clock=clock)
        async with ConnectionManager(broker=broker, clock=clock) as manager:
            for number in range(50):
                socket = await connected(manager, f"user {number % 7}")
                await manager.subscribe_upload(f"user {number % 7}", f"upload-{number % 11}", connection=socket)
                await manager.publish(progress(f"upload-{number % 11}", number), owner=f"user {number % 7}")
                if number % 3 == 0:
                    await manager.unsubscribe_upload(f"user {number % 7}", f"upload-{number % 11}", connection=socket)
            for user_id, sockets in dict(manager.user_connections).items():
                for socket in sockets:
                    await manager.disconnect(user_id, socket)
            await asyncio.sleep(300.1)

            assert sizes(manager) == {}
            assert broker._watched == {}

    run(main())
