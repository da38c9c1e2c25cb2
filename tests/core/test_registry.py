"""Who follows what, and what each connection receives of it (SEMANTICS.md section 2)."""

from collections.abc import Callable

import pytest

from vuemantics_ws.core.registry import Followed, Registry, Upload

UPLOADS_MAX = 3
Tables = Registry[str]
MakesRoom = Callable[[Upload[str]], bool]


def never(_: Upload[str]) -> bool:
    return False


def finished(upload: Upload[str]) -> bool:
    return upload.finished


@pytest.fixture
def released() -> list[str]:
    return []


@pytest.fixture
def registry(released: list[str]) -> Tables:
    return Registry(uploads_per_user_max=UPLOADS_MAX, released=lambda upload: released.append(upload.upload_id))


def receivers(registry: Tables, upload_id: str) -> list[str]:
    upload = registry.uploads.get(upload_id)
    return list(upload.receivers()) if upload is not None else []


class TestReceiving:
    def test_every_connection_of_a_user_receives_what_the_user_follows(self, registry: Tables) -> None:
        registry.join("alice", "tab 1")
        registry.follow("alice", "u", "tab 1", never)
        registry.join("alice", "tab 2")

        assert receivers(registry, "u") == ["tab 1", "tab 2"]

    def test_nobody_receives_what_another_user_follows(self, registry: Tables) -> None:
        registry.join("alice", "a")
        registry.join("bob", "b")
        registry.follow("alice", "u", "a", never)

        assert receivers(registry, "u") == ["a"]

    def test_a_connection_joins_once(self, registry: Tables) -> None:
        registry.join("alice", "a")
        registry.follow("alice", "u", "a", never)
        registry.join("alice", "b")
        registry.give_up("alice", "u", "a")

        registry.join("alice", "a")

        assert list(registry.users["alice"].connections) == ["a", "b"]
        assert receivers(registry, "u") == ["b"]

    def test_a_follow_may_come_before_the_first_connection(self, registry: Tables) -> None:
        first = registry.follow("alice", "u", None, never)
        registry.join("alice", "a")

        assert first[0] is Followed.FIRST
        assert receivers(registry, "u") == ["a"]

    def test_the_same_name_may_be_a_connection_of_two_users(self, registry: Tables) -> None:
        for user_id in ("alice", "bob"):
            registry.join(user_id, "shared")
            registry.follow(user_id, "u", "shared", never)

        registry.give_up("alice", "u", "shared")

        assert receivers(registry, "u") == ["shared"]
        assert list(registry.uploads["u"].followers) == ["bob"]


class TestGivingUp:
    def test_one_tab_s_unsubscribe_does_not_silence_another(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)

        registry.give_up("alice", "u", "tab 1")

        assert receivers(registry, "u") == ["tab 2"]
        assert released == []

    def test_the_follow_ends_when_no_open_connection_holds_it(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)

        registry.give_up("alice", "u", "tab 1")
        registry.give_up("alice", "u", "tab 2")

        assert released == ["u"]
        assert registry.users["alice"].follows == {}
        assert registry.uploads == {}

    def test_closing_ends_a_hold_and_no_follow(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 2")

        last = registry.leave("alice", "tab 1")

        assert not last
        assert released == []
        assert receivers(registry, "u") == []
        assert list(registry.users["alice"].follows) == ["u"]

    def test_giving_up_again_after_the_holders_closed_ends_the_follow(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 2")
        registry.leave("alice", "tab 1")

        registry.give_up("alice", "u", "tab 2")

        assert released == ["u"]

    def test_a_new_tab_receives_what_another_gave_up(self, registry: Tables) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 1")

        registry.join("alice", "tab 3")

        assert receivers(registry, "u") == ["tab 2", "tab 3"]

    def test_asking_again_takes_back_what_the_asker_gave_up_alone(self, registry: Tables) -> None:
        for tab in ("tab 1", "tab 2", "tab 3"):
            registry.join("alice", tab)
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 1")
        registry.give_up("alice", "u", "tab 2")

        repeated, _ = registry.follow("alice", "u", "tab 1", never)

        assert repeated is Followed.REPEATED
        assert receivers(registry, "u") == ["tab 1", "tab 3"]

    def test_asking_for_the_whole_user_takes_back_what_every_connection_gave_up(self, registry: Tables) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 1")

        registry.follow("alice", "u", None, never)

        assert receivers(registry, "u") == ["tab 1", "tab 2"]

    def test_what_was_given_up_is_remembered_only_while_the_user_follows_it(self, registry: Tables) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)
        registry.give_up("alice", "u", "tab 1")
        registry.give_up("alice", "u", None)

        first, _ = registry.follow("alice", "u", "tab 2", never)

        assert first is Followed.FIRST
        assert receivers(registry, "u") == ["tab 1", "tab 2"]
        assert set(registry.users["alice"].connections.values()) == {None}

    def test_for_the_whole_user_means_every_connection(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "tab 1")
        registry.join("alice", "tab 2")
        registry.follow("alice", "u", "tab 1", never)

        registry.give_up("alice", "u", None)

        assert released == ["u"]
        assert receivers(registry, "u") == []

    def test_what_is_unknown_is_no_error_anywhere(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        registry.follow("alice", "u", "a", never)

        registry.give_up("nobody", "u", "a")
        registry.give_up("alice", "nothing", "a")
        registry.give_up("alice", "u", "no tab")
        registry.forget("nobody")
        registry.forget("alice")
        last = registry.leave("alice", "no tab") or registry.leave("nobody", "a")

        assert not last
        assert receivers(registry, "u") == ["a"]
        assert released == []
        assert list(registry.users) == ["alice"]

    def test_a_socket_that_is_gone_ends_no_follow_in_the_grace_time(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        registry.follow("alice", "u", "a", never)
        registry.leave("alice", "a")

        registry.give_up("alice", "u", "a")

        assert released == []
        assert list(registry.users["alice"].follows) == ["u"]


class TestLeaving:
    def test_the_last_connection_leaves_the_follows_behind(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        registry.join("alice", "b")
        registry.follow("alice", "u", "a", never)

        lasts = [registry.leave("alice", "a"), registry.leave("alice", "b")]

        assert lasts == [False, True]
        assert list(registry.users["alice"].follows) == ["u"]
        assert released == []

    def test_a_user_who_comes_back_in_time_finds_them(self, registry: Tables) -> None:
        registry.join("alice", "a")
        registry.follow("alice", "u", "a", never)
        registry.leave("alice", "a")

        user = registry.join("alice", "b")

        assert list(user.follows) == ["u"]
        assert receivers(registry, "u") == ["b"]

    def test_forgetting_a_user_ends_every_follow(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        for upload_id in "uv":
            registry.follow("alice", upload_id, "a", never)
        registry.leave("alice", "a")

        registry.forget("alice")

        assert released == ["u", "v"]
        assert (registry.users, registry.uploads) == ({}, {})

    def test_an_upload_is_released_by_its_last_follower_and_once(self, registry: Tables, released: list[str]) -> None:
        for user_id in ("alice", "bob"):
            registry.join(user_id, user_id)
            registry.follow(user_id, "u", user_id, never)

        registry.give_up("alice", "u", "alice")
        after_one = list(released)
        registry.give_up("bob", "u", "bob")
        registry.give_up("bob", "u", "bob")

        assert (after_one, released) == ([], ["u"])

    def test_a_user_without_connections_and_follows_leaves_nothing_behind(self, registry: Tables) -> None:
        registry.join("alice", "a")
        registry.leave("alice", "a")
        registry.follow("bob", "u", None, never)
        registry.give_up("bob", "u", None)

        assert registry.users == {}


class TestMakingRoom:
    def test_the_oldest_finished_upload_makes_room(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        for upload_id in "uvw":
            registry.follow("alice", upload_id, "a", finished)
        for upload_id in "wv":
            registry.uploads[upload_id].finished = True

        first, _ = registry.follow("alice", "x", "a", finished)

        assert first is Followed.FIRST
        assert released == ["v"]
        assert list(registry.users["alice"].follows) == ["u", "w", "x"]

    def test_a_subscribe_is_refused_only_where_nothing_is_finished(self, registry: Tables, released: list[str]) -> None:
        registry.join("alice", "a")
        for upload_id in "uvw":
            registry.follow("alice", upload_id, "a", finished)

        refused = registry.follow("alice", "x", "a", finished)

        assert refused == (Followed.REFUSED, None)
        assert released == []
        assert "x" not in registry.uploads

    def test_a_repeated_subscribe_needs_no_room(self, registry: Tables) -> None:
        for upload_id in "uvw":
            registry.follow("alice", upload_id, None, never)

        assert registry.follow("alice", "u", None, never)[0] is Followed.REPEATED

    def test_one_user_s_limit_is_no_other_s(self, registry: Tables) -> None:
        for upload_id in "uvw":
            registry.follow("alice", upload_id, None, never)

        assert registry.follow("bob", "x", None, never)[0] is Followed.FIRST
        assert registry.follow("bob", "u", None, never)[0] is Followed.FIRST

    def test_what_made_room_for_one_user_stays_with_another(self, registry: Tables, released: list[str]) -> None:
        for user_id in ("alice", "bob"):
            registry.join(user_id, user_id)
            registry.follow(user_id, "u", user_id, finished)
        for upload_id in "vw":
            registry.follow("alice", upload_id, "alice", finished)
        registry.uploads["u"].finished = True

        registry.follow("alice", "x", "alice", finished)

        assert released == []
        assert receivers(registry, "u") == ["bob"]
