"""A head takes time to be read, and meanwhile people come and go and events are accepted: there is no seam."""

import pytest

from tests.core.house import Heard, house_of, say, versions
from vuemantics_ws.core.upload import Version
from vuemantics_ws.errors import LimitReached


def test_an_event_between_watch_and_answer_is_part_of_the_snapshot() -> None:
    house = house_of(at_once=False)
    tab = house.join("alice")
    say(house, number=1)

    house.follow("alice", "u", tab)
    house.heads.read("u")
    say(house, number=2)
    before = versions(tab)
    house.heads.answer("u")
    house.flush()
    say(house, number=3)

    assert (before, versions(tab)) == ([], [(1, 2), (1, 3)])


def test_a_head_that_was_read_late_is_not_sent_twice() -> None:
    house = house_of(at_once=False)
    tab = house.join("alice")
    house.follow("alice", "u", tab)
    say(house, end=True)

    house.heads.answer("u")
    house.flush()

    assert tab.heard["u"] == [Heard(Version(1, 1), True)]
    assert house.puts == 1


def test_a_tab_that_joins_meanwhile_gets_the_head_once_with_the_others() -> None:
    house = house_of(at_once=False)
    tab = house.join("alice")
    house.follow("alice", "u", tab)
    say(house)

    late = house.join("alice")
    before = versions(late)
    house.heads.answer("u")
    house.flush()

    assert (before, versions(late)) == ([], [(1, 1)])
    assert house.puts == 2


def test_all_who_ask_meanwhile_are_answered_in_order_with_the_same_head() -> None:
    house = house_of(at_once=False)
    tabs = [house.join(user_id) for user_id in ("alice", "bob", "bob")]
    answers = [house.follow(tab.user_id, "u", tab) for tab in tabs]
    say(house)
    unanswered = [list(answer) for answer in answers]

    house.heads.answer("u")
    house.flush()

    assert unanswered == [[], [], []]
    assert answers == [[True], [True], [True]]
    assert [versions(tab) for tab in tabs] == [[(1, 1)]] * 3


def test_the_asker_gives_up_and_the_user_s_other_tabs_still_get_the_head() -> None:
    house = house_of(at_once=False)
    asker, other = house.join("alice"), house.join("alice")
    answers = house.follow("alice", "u", asker)
    say(house)

    house.give_up("alice", "u", asker)
    house.heads.answer("u")
    house.flush()

    assert answers == [False]
    assert (versions(asker), versions(other)) == ([], [(1, 1)])


def test_the_asker_leaves_and_the_user_s_other_tabs_still_get_the_head() -> None:
    house = house_of(at_once=False)
    asker, other = house.join("alice"), house.join("alice")
    house.follow("alice", "u", asker)
    say(house)

    house.leave(asker)
    house.heads.answer("u")
    house.flush()

    assert versions(other) == [(1, 1)]


def test_giving_up_answers_what_that_tab_had_asked_and_nobody_else_s() -> None:
    house = house_of(at_once=False)
    alice, bob = house.join("alice"), house.join("bob")
    answers = [house.follow("alice", "u", alice), house.follow("bob", "u", bob)]

    house.give_up("alice", "u", alice)

    assert answers == [[False], []]


def test_a_user_gives_up_on_every_tab_and_others_go_on_asking() -> None:
    house = house_of(at_once=False)
    alice, bob = house.join("alice"), house.join("bob")
    answers = [house.follow("alice", "u", alice), house.follow("bob", "u", bob)]
    say(house)

    house.give_up("alice", "u", None)
    house.heads.answer("u")
    house.flush()

    assert answers == [[False], [True]]
    assert (versions(alice), versions(bob)) == ([], [(1, 1)])


def test_the_last_who_asks_gives_up_and_the_watch_ends() -> None:
    house = house_of(at_once=False)
    tab = house.join("alice")
    answers = house.follow("alice", "u", tab)

    house.give_up("alice", "u", tab)

    assert answers == [False]
    assert (house.heads.watched, house.heads.owed) == (set(), {})


def test_a_user_who_is_forgotten_meanwhile_is_answered() -> None:
    house = house_of(at_once=False)
    answers = house.follow("alice", "u", None)

    house.delivery.registry.forget("alice")

    assert answers == [False]
    assert house.heads.watched == set()


def test_an_end_that_nobody_has_had_yet_does_not_make_room() -> None:
    house = house_of(at_once=False, follows_max=1)
    tab = house.join("alice")
    house.follow("alice", "u", tab)
    say(house, end=True)

    with pytest.raises(LimitReached):
        house.follow("alice", "v", tab)

    house.heads.answer("u")
    house.flush()
    assert tab.heard["u"] == [Heard(Version(1, 1), True)]
