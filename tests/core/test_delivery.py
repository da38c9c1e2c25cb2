"""Who gets what and when: snapshots, news, what was given up, whose upload it is, and who makes room (SEMANTICS.md 2, 4)."""

import pytest

from tests.core.house import Heard, house_of, say, versions
from tests.events import failed, progress
from vuemantics_ws.core.access import owner_only
from vuemantics_ws.core.upload import Version
from vuemantics_ws.errors import LimitReached


class TestSnapshots:
    def test_a_late_subscriber_gets_the_newest_state_and_then_news(self) -> None:
        house = house_of()
        tab = house.join("alice")
        say(house, number=1)
        say(house, number=2)

        known = house.follow("alice", "u", tab)
        say(house, number=3)

        assert known == [True]
        assert versions(tab) == [(1, 2), (1, 3)]

    def test_the_acknowledgement_leaves_before_the_snapshot(self) -> None:
        house = house_of()
        tab = house.join("alice", fast=False)
        say(house)

        house.follow("alice", "u", tab)
        tab.read(1)
        before = (list(tab.replies), versions(tab))
        tab.read(1)

        assert [reply.known for reply in before[0]] == [True]
        assert (before[1], versions(tab)) == ([], [(1, 1)])

    def test_an_upload_that_nobody_has_published_is_unknown(self) -> None:
        house = house_of()
        tab = house.join("alice")

        assert house.follow("alice", "u", tab) == [False]
        assert versions(tab) == []

    def test_the_first_subscribe_sends_the_head_to_every_tab_and_a_repeated_one_to_the_asker(self) -> None:
        house = house_of()
        one, two = house.join("alice"), house.join("alice")
        say(house)

        house.follow("alice", "u", one)
        first = house.puts
        house.follow("alice", "u", one)

        assert (first, house.puts) == (2, 3)
        assert (versions(one), versions(two)) == ([(1, 1)], [(1, 1)])

    def test_a_repeated_subscribe_of_the_whole_user_sends_it_to_every_tab(self) -> None:
        house = house_of()
        one, two = house.join("alice"), house.join("alice")
        say(house)
        house.follow("alice", "u", one)
        house.give_up("alice", "u", two)

        house.follow("alice", "u", None)

        assert (versions(one), versions(two)) == ([(1, 1)], [(1, 1)])
        assert house.puts == 4

    def test_a_tab_that_joins_gets_the_heads_of_all_that_its_user_follows(self) -> None:
        house = house_of()
        tab = house.join("alice")
        for upload_id in ("u", "v", "w"):
            house.follow("alice", upload_id, tab)
        say(house, "u")
        say(house, "w", end=True)

        late = house.join("alice")

        assert set(late.heard) == {"u", "w"}
        assert late.heard["w"] == [Heard(Version(1, 1), True)]

    def test_a_user_who_returns_in_the_grace_time_gets_the_end_that_was_missed(self) -> None:
        house = house_of()
        tab = house.join("alice")
        house.follow("alice", "u", tab)
        say(house)
        house.leave(tab)
        say(house, end=True)

        back = house.join("alice")

        assert back.heard["u"] == [Heard(Version(1, 2), True)]

    def test_a_second_follower_needs_no_second_watch(self) -> None:
        house = house_of()
        one, two = house.join("alice"), house.join("bob")
        say(house)

        house.follow("alice", "u", one)
        house.follow("bob", "u", two)

        assert versions(two) == [(1, 1)]
        assert house.heads.watched == {"u"}


class TestNews:
    def test_a_slow_tab_still_gets_the_end_and_delays_nobody(self) -> None:
        house = house_of()
        slow, fast = house.join("alice", fast=False), house.join("bob")
        for tab in (slow, fast):
            house.follow(tab.user_id, "u", tab)

        for number in range(5):
            say(house, number=number)
        say(house, end=True)
        slow.drain()

        assert len(versions(fast)) == 6
        assert slow.heard["u"] == [Heard(Version(1, 6), True)]

    def test_what_is_not_newer_is_dropped(self) -> None:
        house = house_of()
        tab = house.join("alice")
        house.follow("alice", "u", tab)
        say(house, number=1)
        older = house.heads.head("u")
        say(house, number=2)

        house.delivery.deliver("u", older)
        house.delivery.deliver("u", house.heads.head("u"))
        house.delivery.deliver("nobody follows this", older)

        assert versions(tab) == [(1, 1), (1, 2)]
        assert house.puts == 2

    def test_everybody_gets_the_very_same_bytes(self) -> None:
        house = house_of()
        tabs = [house.join(user_id, fast=False) for user_id in ("alice", "alice", "bob")]
        for tab in tabs:
            house.follow(tab.user_id, "u", tab)
            tab.drain()

        say(house)

        [frame] = {id(frame) for tab in tabs for frame in tab.outbox.take(1)}
        assert frame == id(house.heads.head("u").frame)

    def test_nothing_of_what_one_tab_gave_up_reaches_it_and_all_of_it_reaches_the_other(self) -> None:
        house = house_of()
        one, two = house.join("alice", fast=False), house.join("alice")
        house.follow("alice", "u", one)
        say(house, number=1)

        house.give_up("alice", "u", one)
        say(house, number=2)
        one.drain()

        assert (versions(one), versions(two)) == ([], [(1, 1), (1, 2)])

    def test_giving_up_for_the_whole_user_takes_back_what_was_pending_on_every_tab(self) -> None:
        house = house_of()
        tabs = [house.join("alice", fast=False) for _ in range(2)]
        house.follow("alice", "u", tabs[0])
        say(house)

        house.give_up("alice", "u", None)

        assert not any(tab.holds("u") for tab in tabs)
        assert house.heads.watched == set()

    def test_what_is_unknown_is_no_error(self) -> None:
        house = house_of()
        tab = house.join("alice")

        house.give_up("nobody", "u", None)
        house.give_up("alice", "u", tab)
        house.give_up("alice", "u", None)

        assert house.follows("alice") == []


class TestRoom:
    def test_the_oldest_finished_upload_makes_room_once_its_end_has_left(self) -> None:
        house = house_of(follows_max=2)
        tab = house.join("alice", fast=False)
        for upload_id in ("u", "v"):
            house.follow("alice", upload_id, tab)
        say(house, "v", end=True)

        with pytest.raises(LimitReached) as caught:
            house.follow("alice", "w", tab)
        tab.drain()
        house.follow("alice", "w", tab)

        assert (caught.value.limit, caught.value.hint) == ("uploads_per_user_max", "unsubscribe from some")
        assert house.follows("alice") == ["u", "w"]
        assert tab.heard["v"] == [Heard(Version(1, 1), True)]

    def test_an_upload_that_had_ended_before_it_was_followed_makes_room_too(self) -> None:
        house = house_of(follows_max=1)
        tab = house.join("alice")
        say(house, end=True)

        house.follow("alice", "u", tab)
        house.follow("alice", "v", tab)

        assert house.follows("alice") == ["v"]

    def test_an_end_that_waits_in_any_tab_makes_no_room(self) -> None:
        house = house_of(follows_max=1)
        fast, slow = house.join("alice"), house.join("alice", fast=False)
        house.follow("alice", "u", fast)
        slow.drain()
        say(house, end=True)

        with pytest.raises(LimitReached):
            house.follow("alice", "v", fast)

        assert slow.holds("u")

    def test_a_regenerated_upload_is_unfinished_again(self) -> None:
        house = house_of(follows_max=1)
        tab = house.join("alice")
        house.follow("alice", "u", tab)
        say(house, end=True)
        house.publish(progress("queued", upload_id="u", number=1))

        with pytest.raises(LimitReached):
            house.follow("alice", "v", tab)

    def test_unknown_and_foreign_uploads_count_as_unfinished(self) -> None:
        house = house_of(access=owner_only, follows_max=1)
        alice, bob = house.join("alice"), house.join("bob")
        house.follow("alice", "unknown", alice)
        house.follow("bob", "u", bob)
        say(house, owner="alice", end=True)

        for tab in (alice, bob):
            with pytest.raises(LimitReached):
                house.follow(tab.user_id, "v", tab)

    def test_a_user_has_so_many_connections_and_no_more(self) -> None:
        house = house_of()
        tabs = [house.join("alice") for _ in range(3)]

        with pytest.raises(LimitReached) as caught:
            house.join("alice")
        house.leave(tabs[0])
        house.join("alice")
        house.join("bob")

        assert caught.value.limit == "connections_per_user_max"


class TestOwner:
    def test_unknown_and_foreign_uploads_answer_alike_and_then_nothing(self) -> None:
        house = house_of(access=owner_only)
        tab = house.join("bob")
        say(house, owner="alice", number=1)

        answers = [house.follow("bob", upload_id, tab) for upload_id in ("u", "unheard of")]
        say(house, number=2)

        assert answers == [[False], [False]]
        assert tab.heard == {}
        assert house.puts == 0

    def test_nothing_follows_unless_the_user_turns_out_to_be_the_owner(self) -> None:
        house = house_of(access=owner_only)
        tab = house.join("alice")
        house.follow("alice", "u", tab)

        say(house, number=1)
        unowned = versions(tab)
        say(house, number=2, owner="alice")
        say(house, number=3)

        assert (unowned, versions(tab)) == ([], [(1, 2), (1, 3)])

    def test_another_owner_takes_over_and_what_waits_for_the_former_is_withdrawn(self) -> None:
        house = house_of(access=owner_only)
        alice, bob = house.join("alice", fast=False), house.join("bob", fast=False)
        for tab in (alice, bob):
            house.follow(tab.user_id, "u", tab)
        say(house, number=1, owner="alice")
        waited = alice.holds("u")

        say(house, number=2, owner="bob")
        house.publish(failed(upload_id="u"))
        for tab in (alice, bob):
            tab.drain()

        assert waited
        assert (versions(alice), versions(bob)) == ([], [(1, 3)])

    def test_the_former_owner_gets_no_snapshot_either(self) -> None:
        house = house_of(access=owner_only)
        tab = house.join("alice")
        house.follow("alice", "u", tab)
        say(house, number=1, owner="alice")
        say(house, number=2, owner="bob")

        late = house.join("alice")
        known = house.follow("alice", "u", tab)

        assert known == [False]
        assert (late.heard, versions(tab)) == ({}, [])

    def test_an_owner_who_is_found_out_later_gets_the_state_and_whoever_has_it_does_not_get_it_again(self) -> None:
        house = house_of(access=lambda user_id, owner: user_id in ("admin", owner))
        alice, admin = house.join("alice"), house.join("admin")
        for tab in (alice, admin):
            house.follow(tab.user_id, "u", tab)
        say(house, number=1)
        before = versions(alice)
        owned = house.heads.own("u", "alice")

        for _ in range(2):
            house.delivery.deliver("u", owned)
            house.flush()

        assert (before, versions(alice), versions(admin)) == ([], [(1, 1)], [(1, 1)])
        assert house.puts == 2

    def test_an_owner_who_is_found_out_to_be_another_is_told_no_more(self) -> None:
        house = house_of(access=owner_only)
        alice, bob = house.join("alice", fast=False), house.join("bob")
        for tab in (alice, bob):
            house.follow(tab.user_id, "u", tab)
        say(house, number=1, owner="alice")

        house.delivery.deliver("u", house.heads.own("u", "bob"))
        for tab in (alice, bob):
            tab.drain()

        assert (versions(alice), versions(bob)) == ([], [(1, 1)])

    def test_an_owner_who_is_found_out_before_the_snapshot_is_read_gets_it_once(self) -> None:
        house = house_of(access=owner_only, at_once=False)
        tab = house.join("alice")
        house.follow("alice", "u", tab)
        say(house, number=1)

        house.delivery.deliver("u", house.heads.own("u", "alice"))
        house.settle()

        assert versions(tab) == [(1, 1)]
        assert house.puts == 1

    def test_only_those_who_may_hear_of_an_upload_receive_what_is_said_of_it(self) -> None:
        house = house_of(access=owner_only)
        alice, bob = house.join("alice"), house.join("bob")
        gave_up = house.join("alice")
        for tab in (alice, bob):
            house.follow(tab.user_id, "u", tab)
        house.give_up("alice", "u", gave_up)
        unowned = house.delivery.receivers("u")

        say(house, owner="alice")

        assert (unowned, house.delivery.receivers("u"), house.delivery.receivers("unheard of")) == ([], [alice], [])


class TestResidue:
    def test_when_everybody_has_left_every_table_is_empty(self) -> None:
        house = house_of()
        for user_id in ("alice", "bob"):
            for upload_id in ("u", "v"):
                house.follow(user_id, upload_id, house.join(user_id) if upload_id == "u" else None)
        say(house)

        house.close()
