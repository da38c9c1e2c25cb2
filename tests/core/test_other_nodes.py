"""What the tables and the delivery do for a user who is on other nodes, too (SEMANTICS.md section 2)."""

from tests.core.house import house_of, say, versions
from vuemantics_ws.core.registry import Registry, Upload

UPLOADS_MAX = 3


def tables() -> Registry[str]:
    registry: Registry[str] = Registry(uploads_per_user_max=UPLOADS_MAX, released=lambda upload: None)
    registry.join("alice", "tab 1")
    registry.join("alice", "tab 2")
    return registry


def never(_: Upload[str]) -> bool:
    return False


def receivers(registry: Registry[str], upload_id: str) -> list[str]:
    return list(registry.uploads[upload_id].receivers())


class TestTables:
    def test_what_is_followed_elsewhere_is_received_by_every_connection_here(self) -> None:
        registry = tables()

        news, again = registry.learn("alice", "u"), registry.learn("alice", "u")

        assert (news is registry.uploads["u"], again) == (True, None)
        assert receivers(registry, "u") == ["tab 1", "tab 2"]
        assert registry.follows == 1

    def test_what_is_followed_elsewhere_needs_no_room(self) -> None:
        registry = tables()

        for upload_id in "uvwxy":
            registry.learn("alice", upload_id)

        assert list(registry.users["alice"].follows) == list("uvwxy")

    def test_the_last_connection_here_that_gives_an_upload_up_is_told_so_and_ends_no_follow(self) -> None:
        registry = tables()
        registry.learn("alice", "u")

        last = [registry.renounce("alice", "u", tab) for tab in ("tab 1", "tab 2", "tab 2")]

        assert last == [False, True, True]
        assert receivers(registry, "u") == []
        assert registry.users["alice"].given_up() == ["u"]
        assert list(registry.users["alice"].follows) == ["u"]

    def test_a_connection_keeps_what_it_gave_up_before_the_follow_was_known_here(self) -> None:
        registry = tables()

        registry.renounce("alice", "u", "tab 1")
        registry.learn("alice", "u")

        assert receivers(registry, "u") == ["tab 2"]

    def test_what_was_given_up_and_is_not_followed_is_forgotten_once_all_is_known(self) -> None:
        registry = tables()
        registry.learn("alice", "v")
        for upload_id in "uv":
            registry.renounce("alice", upload_id, "tab 1")

        registry.settle("alice")
        registry.learn("alice", "u")

        assert receivers(registry, "u") == ["tab 1", "tab 2"]
        assert receivers(registry, "v") == ["tab 2"]

    def test_a_first_subscribe_here_takes_back_what_was_given_up_before_it(self) -> None:
        registry = tables()

        registry.renounce("alice", "u", "tab 1")
        registry.follow("alice", "u", "tab 2", never)

        assert receivers(registry, "u") == ["tab 1", "tab 2"]

    def test_what_is_given_up_without_being_followed_is_bounded(self) -> None:
        registry = tables()

        for number in range(100):
            registry.renounce("alice", f"u{number}", "tab 1")

        assert len(registry.users["alice"].connections["tab 1"] or ()) == UPLOADS_MAX

    def test_who_is_not_there_gives_nothing_up(self) -> None:
        registry = tables()

        assert not registry.renounce("alice", "u", "tab 3")
        assert not registry.renounce("bob", "u", "tab 1")
        registry.settle("bob")
        assert list(registry.users) == ["alice"]


class TestDelivery:
    def test_every_tab_gets_the_newest_state_of_what_is_followed_elsewhere_and_then_news(self) -> None:
        house = house_of(at_once=False)
        one, two = house.join("alice"), house.join("alice")
        say(house, number=1)

        news = [house.delivery.learn("alice", "u") for _ in range(2)]
        house.heads.answer("u")
        house.flush()
        say(house, number=2)

        assert news == [True, False]
        assert versions(one) == versions(two) == [(1, 1), (1, 2)]
        house.settle()
        house.close()

    def test_nothing_leaves_on_a_tab_that_gave_up_what_others_may_hold(self) -> None:
        house = house_of()
        one, two = house.join("alice", fast=False), house.join("alice")
        house.follow("alice", "u", one)
        say(house, number=1)

        last = house.delivery.renounce("alice", "u", one)
        say(house, number=2)
        one.drain()

        assert not last
        assert (versions(one), versions(two)) == ([], [(1, 1), (1, 2)])
        house.close()

    def test_the_other_tabs_still_get_the_head_that_the_one_that_gave_up_had_asked_for(self) -> None:
        house = house_of(at_once=False)
        one, two = house.join("alice"), house.join("alice")
        say(house)
        answers = house.follow("alice", "u", one)

        house.delivery.renounce("alice", "u", one)
        house.heads.answer("u")
        house.flush()

        assert answers == [False]
        assert (versions(one), versions(two)) == ([], [(1, 1)])
        house.close()

    def test_it_says_which_upload_made_room(self) -> None:
        house = house_of(follows_max=2)
        tab = house.join("alice")
        say(house, "done", end=True)
        delivery = house.delivery

        made_room: list[str | None] = []
        for upload_id in ("done", "u", "v"):
            made_room.append(delivery.follow("alice", upload_id, tab, lambda known: None))
            house.flush()

        assert made_room == [None, None, "done"]
