"""Who may have what, with a broker (SEMANTICS.md section 4)."""

import logging

import pytest

from tests.connection_manager.loops import run, turns
from tests.connection_manager.messages import note, progress, said
from tests.connection_manager.setup import connected, managed
from vuemantics_ws.core.access import anyone


def test_unknown_and_foreign_uploads_stay_silent_until_the_user_turns_out_to_be_the_owner() -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a", connection=socket)
            await manager.publish(progress("a", 20), owner="bob")
            before = said(socket)

            await manager.publish(progress("a", 30), owner="alice")

            assert (before, said(socket)) == ([], ["a 30"])

    run(main())


def test_another_owner_ends_delivery_to_the_former_and_takes_back_what_is_pending() -> None:
    async def main() -> None:
        async with managed() as manager:
            former, heir = await connected(manager, "alice"), await connected(manager, "bob")
            for user_id in ("alice", "bob"):
                await manager.subscribe_upload(user_id, "a")
            await manager.publish(progress("a", 10), owner="alice")
            former.stop_reading()
            await manager.send_to_user("alice", note(1))
            await manager.publish(progress("a", 20))

            await manager.publish(progress("a", 30), owner="bob")
            await manager.publish(progress("a", 40))
            former.read_again()
            await turns(2)
            await manager.subscribe_upload("alice", "a", connection=former)

            assert said(former) == ["a 10", "note 1"]
            assert said(heir) == ["a 30", "a 40"]

    run(main())


def test_what_nobody_owns_is_counted_warned_about_once_and_delivered_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with managed() as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            for percent in range(3):
                await manager.publish(progress("a", percent))
            await manager.publish(progress("a", 2))  # a duplicate is no new event
            await manager.publish(progress("a", 90), owner="alice")
            await manager.publish(progress("a", 91))  # the owner is known now

            assert said(socket) == ["a 90", "a 91"]
            assert manager.counters.unowned_events == 3

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == 1
    assert "names no owner" in caplog.text


def test_with_another_access_rule_an_event_needs_no_owner(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with managed(access=anyone) as manager:
            socket = await connected(manager)
            await manager.subscribe_upload("alice", "a")

            await manager.publish(progress("a", 20))
            await manager.send_to_upload_subscribers("a", note(1))

            assert said(socket) == ["a 20", "note 1"]
            assert manager.counters.unowned_events == 0

    with caplog.at_level(logging.WARNING):
        run(main())
    assert not caplog.records


def test_a_message_beside_the_events_goes_only_to_whom_the_access_rule_gives_the_upload() -> None:
    async def main() -> None:
        async with managed() as manager:
            owner, gave_up, stranger = await connected(manager), await connected(manager), await connected(manager, "mallory")
            for user_id in ("alice", "mallory"):
                await manager.subscribe_upload(user_id, "a")
            await manager.send_to_upload_subscribers("a", note(1))  # nobody knows whose it is
            await manager.publish(progress("a", 20), owner="alice")
            await manager.unsubscribe_upload("alice", "a", connection=gave_up)

            await manager.send_to_upload_subscribers("a", note(2))
            await manager.send_to_upload_subscribers("nothing", note(3))

            assert (said(owner), said(gave_up), said(stranger)) == (["a 20", "note 2"], ["a 20"], [])

    run(main())
