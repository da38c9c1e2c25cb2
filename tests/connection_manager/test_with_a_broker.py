"""``ConnectionManager(broker=…)``: judged events, snapshots, and who gets them (SEMANTICS.md sections 1, 2 and 4)."""

import asyncio
from typing import Any

import pytest

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import completed, failed, note, progress, said
from tests.connection_manager.setup import connected, managed
from tests.connection_manager.sockets import TextSocket
from vuemantics_ws.brokers.base import Receipt
from vuemantics_ws.core.access import anyone
from vuemantics_ws.core.upload import Event, Verdict, Version
from vuemantics_ws.errors import BadEvent, LimitReached
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import encode

# Publishing.


def test_a_publisher_is_told_what_became_of_its_event() -> None:
    async def main() -> None:
        async with managed() as manager:
            await connected(manager)
            await manager.subscribe_upload("alice", "a")

            receipts = [
                await manager.publish(progress("a", 20), owner="alice"),
                await manager.publish(progress("a", 20), owner="alice"),
                await manager.publish({**progress("a", 30), "attempt": 1, "seq": 7}),
                await manager.publish({**progress("a", 40), "attempt": 1, "seq": 6}),
                await manager.publish(completed("a")),
                await manager.publish(progress("a", 50)),
            ]

            assert receipts == [
                Receipt(Verdict.ACCEPTED, Version(1, 1), 1, True),
                Receipt(Verdict.DUPLICATE, Version(1, 1), 0, True),
                Receipt(Verdict.ACCEPTED, Version(1, 7), 1, True),
                Receipt(Verdict.STALE, Version(1, 7), 0, True),
                Receipt(Verdict.ACCEPTED, Version(1, 8), 1, True),
                Receipt(Verdict.AFTER_TERMINAL, Version(1, 8), 0, True),
            ]
            assert manager.counters.events == {"accepted": 3, "duplicate": 1, "stale": 1, "after_terminal": 1}

    run(main())


def test_only_what_is_accepted_is_delivered_and_it_carries_its_version() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            for message in (progress("a", 20), progress("a", 20), completed("a"), progress("a", 30)):
                await manager.publish(message, owner="alice")

            assert socket.sent == [{**progress("a", 20), "attempt": 1, "seq": 1}, {**completed("a"), "attempt": 1, "seq": 2}]

    run(main())


def test_an_event_is_a_message_the_bytes_of_one_or_one_read_already() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            await manager.publish(progress("a", 1), owner="alice")
            await manager.publish(encode(progress("a", 2)))
            await manager.publish(Event.read(encode(progress("a", 3)), owner="alice"))
            await manager.send_to_upload_subscribers("a", progress("a", 4))

            assert said(socket) == ["a 1", "a 2", "a 3", "a 4"]

    run(main())


@pytest.mark.parametrize(
    "message",
    [
        {"action": "upload_progress", "payload": {"upload_id": "a"}},
        {"action": "upload_progress", "upload_id": "a", "percent": 20},
        {"action": "upload_completed", "upload_id": 7},
        {**completed("a"), "owner": "mallory"},
        {**completed("a"), "attempt": 1},
        completed("b"),
    ],
    ids=["a payload with gaps", "no payload", "a number as id", "an owner", "half a version", "another upload"],
)
def test_no_message_about_an_upload_passes_the_judge_by(message: dict[str, Any]) -> None:
    async def main() -> None:
        async with managed(access=anyone) as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            with pytest.raises(BadEvent):
                await manager.send_to_upload_subscribers("a", message)

            assert socket.sent == []

    run(main())


def test_an_event_over_64_kibibytes_is_a_bad_event() -> None:
    async def main() -> None:
        async with managed() as manager:
            around = len(encode(completed("a", "")))

            receipt = await manager.publish(completed("a", "x" * (64 * 1024 - around)), owner="alice")
            with pytest.raises(BadEvent, match="at most 65536 bytes, got 65537"):
                await manager.publish(completed("a", "x" * (64 * 1024 - around + 1)), owner="alice")

            assert receipt.verdict is Verdict.ACCEPTED

    run(main())


def test_publishing_before_the_manager_is_entered_is_caught() -> None:
    async def main() -> None:
        manager = managed()
        with pytest.raises(AssertionError, match="async with"):
            await manager.publish(progress("a", 20), owner="alice")

    run(main())


def test_who_watches_is_told_of_every_event() -> None:
    async def main() -> None:
        told: list[tuple[str, dict[str, Any]]] = []
        async with managed(happened=lambda kind, fields: told.append((kind, fields))) as manager:
            await manager.publish(completed("a"), owner="alice")
            await manager.publish(completed("a"), owner="alice")

        event = {"upload_id": "a", "terminal": True, "attempt": 1, "seq": 1}
        assert told == [("event", {**event, "verdict": "accepted"}), ("event", {**event, "verdict": "duplicate"})]

    run(main())


# Snapshots.


def test_the_first_subscribe_sends_the_head_to_all_of_the_users_connections() -> None:
    async def main() -> None:
        async with managed() as manager:
            first_tab, second_tab, other = await connected(manager), await connected(manager), await connected(manager, "bob")
            await manager.publish(progress("a", 20), owner="alice")

            await manager.subscribe_upload("alice", "a", connection=first_tab)

            assert (said(first_tab), said(second_tab), said(other)) == (["a 20"], ["a 20"], [])

    run(main())


def test_a_repeated_subscribe_sends_the_head_to_the_asker_only() -> None:
    async def main() -> None:
        async with managed() as manager:
            first_tab, second_tab = await connected(manager), await connected(manager)
            await manager.publish(progress("a", 20), owner="alice")
            await manager.subscribe_upload("alice", "a", connection=first_tab)

            await manager.subscribe_upload("alice", "a", connection=second_tab)
            await manager.subscribe_upload("alice", "a", connection=TextSocket())

            assert (said(first_tab), said(second_tab)) == (["a 20"], ["a 20", "a 20"])

    run(main())


def test_a_connection_that_joins_gets_the_heads_of_all_that_its_user_follows() -> None:
    async def main() -> None:
        async with managed() as manager:
            await connected(manager)
            for upload_id in ("a", "b", "unknown", "foreign"):
                await manager.subscribe_upload("alice", upload_id)
            await manager.publish(progress("a", 20), owner="alice")
            await manager.publish(completed("b"), owner="alice")
            await manager.publish(completed("foreign"), owner="bob")

            second_tab = await connected(manager)

            assert said(second_tab) == ["a 20", "b done"]

    run(main())


def test_a_subscribe_before_the_first_connection_is_answered_when_it_comes() -> None:
    async def main() -> None:
        async with managed() as manager:
            await manager.publish(progress("a", 20), owner="alice")
            await manager.subscribe_upload("alice", "a")

            socket = await connected(manager)

            assert said(socket) == ["a 20"]

    run(main())


# Slow readers.


def test_a_slow_reader_skips_states_and_still_gets_the_newest_and_the_end() -> None:
    async def main() -> None:
        async with managed() as manager:
            slow, prompt = await connected(manager), await connected(manager)
            for upload_id in "ab":
                await manager.publish(progress(upload_id, 0), owner="alice")
                await manager.subscribe_upload("alice", upload_id)
            slow.stop_reading()

            for percent in range(1, 50):
                for upload_id in "ab":
                    await manager.publish(progress(upload_id, percent))
            await manager.publish(completed("a"))
            await manager.send_to_user("alice", note(1))
            slow.read_again()
            await turns(2)

            assert said(slow) == ["a 0", "b 0", "a 1", "note 1", "b 49", "a done"]
            assert len(prompt.sent) == 2 * 50 + 2
            assert manager.counters.deliveries == 2 * (2 + 49 * 2 + 1)

    run(main())


def test_only_what_is_sent_directly_counts_against_a_slow_reader() -> None:
    async def main() -> None:
        async with managed(limits=Limits(direct_messages_max=3, direct_bytes_max=1_000)) as manager:
            slow, prompt = await connected(manager), await connected(manager)
            await asyncio.gather(*(manager.send_to_user("alice", note(number, size=100)) for number in range(100)))
            slow.stop_reading()
            await manager.send_to_user("alice", note(100))
            for number in range(101, 104):
                await manager.send_to_user("alice", note(number))
            before = list(slow.closings)
            await manager.send_to_user("alice", note(104))
            await turns(2)

            assert before == []
            assert slow.closings == [(4008, "too many messages wait")]
            assert said(slow) == [f"note {number}" for number in range(100)]
            assert said(prompt) == [f"note {number}" for number in range(105)]

    run(main())


# Making room.


def test_an_end_that_is_still_pending_makes_no_room() -> None:
    async def main() -> None:
        async with managed(limits=Limits(uploads_per_user_max=2)) as manager:
            slow = await connected(manager)
            for upload_id in "ab":
                await manager.subscribe_upload("alice", upload_id)
            await manager.publish(progress("b", 20), owner="alice")
            slow.stop_reading()
            await manager.publish(progress("b", 30))
            await manager.publish(completed("a"), owner="alice")

            with pytest.raises(LimitReached) as refusal:
                await manager.subscribe_upload("alice", "c")
            slow.read_again()
            await turns(2)
            await manager.subscribe_upload("alice", "c")

            assert refusal.value.limit == "uploads_per_user_max"
            assert manager.user_subscriptions == {"alice": {"b", "c"}}
            assert said(slow) == ["b 20", "b 30", "a done"]

    run(main())


def test_the_oldest_finished_upload_makes_room_and_unknown_and_foreign_ones_do_not() -> None:
    async def main() -> None:
        async with managed(limits=Limits(uploads_per_user_max=5)) as manager:
            await connected(manager)
            for upload_id in ("unknown", "foreign", "running", "failed", "done"):
                await manager.subscribe_upload("alice", upload_id)
            await manager.publish(completed("foreign"), owner="bob")
            await manager.publish(progress("running", 20), owner="alice")
            await manager.publish(completed("done"), owner="alice")
            await manager.publish(failed("failed"), owner="alice")

            followed = []
            for upload_id in ("c", "d"):
                await manager.subscribe_upload("alice", upload_id)
                followed.append(set(manager.user_subscriptions["alice"]))
            with pytest.raises(LimitReached):
                await manager.subscribe_upload("alice", "e")

            assert followed == [
                {"unknown", "foreign", "running", "done", "c"},
                {"unknown", "foreign", "running", "c", "d"},
            ]

    run(main())


def test_a_user_has_so_many_connections_and_no_more() -> None:
    async def main() -> None:
        async with managed(limits=Limits(connections_per_user_max=2)) as manager:
            first_tab, second_tab, third_tab = await connected(manager), await connected(manager), TextSocket()

            with pytest.raises(LimitReached) as refusal:
                await manager.connect("alice", third_tab)
            await manager.connect("alice", first_tab)  # it is connected already
            await manager.disconnect("alice", second_tab)
            await manager.connect("alice", third_tab)

            assert refusal.value.limit == "connections_per_user_max"
            assert manager.user_connections == {"alice": {first_tab, third_tab}}
            assert manager.counters.limits == {"connections_per_user_max": 1}

    run(main())
