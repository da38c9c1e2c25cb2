"""The registry over random calls: its tables say what sentences about sets say, and nothing is left at the end."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vuemantics_ws.core.registry import Followed, Registry

UPLOADS_MAX = 3
Tables = Registry[str]

_users = st.sampled_from(("alice", "bob"))
_tabs = st.sampled_from(("1", "2", "3"))
_uploads = st.sampled_from("uvwxy")


class RegistryModel(RuleBasedStateMachine):
    """The tables say what sentences about sets say."""

    @initialize()
    def open(self) -> None:
        self.released: list[str] = []
        self.registry: Tables = Registry(
            uploads_per_user_max=UPLOADS_MAX, released=lambda upload: self.released.append(upload.upload_id)
        )
        self.open_tabs: dict[str, list[str]] = {"alice": [], "bob": []}
        self.follows: dict[str, list[str]] = {"alice": [], "bob": []}
        self.given_up: set[tuple[str, str, str]] = set()
        self.finished: set[str] = set()
        self.expected_released: list[str] = []

    @rule(user_id=_users, tab=_tabs)
    def join(self, user_id: str, tab: str) -> None:
        self.registry.join(user_id, tab)
        if tab not in self.open_tabs[user_id]:
            self.open_tabs[user_id].append(tab)

    @rule(user_id=_users, tab=_tabs)
    def leave(self, user_id: str, tab: str) -> None:
        was_open = tab in self.open_tabs[user_id]
        if was_open:
            self.open_tabs[user_id].remove(tab)
        self.given_up -= {gone for gone in self.given_up if gone[:2] == (user_id, tab)}
        assert self.registry.leave(user_id, tab) is (was_open and not self.open_tabs[user_id])

    @rule(user_id=_users, upload_id=_uploads, tab=st.none() | _tabs)
    def follow(self, user_id: str, upload_id: str, tab: str | None) -> None:
        followed, upload = self.registry.follow(user_id, upload_id, tab, lambda upload: upload.upload_id in self.finished)
        if upload_id in self.follows[user_id]:
            assert followed is Followed.REPEATED
            askers = self.open_tabs[user_id] if tab is None else [tab]
            self.given_up -= {(user_id, asker, upload_id) for asker in askers}
            return
        if len(self.follows[user_id]) == UPLOADS_MAX:
            oldest = next((other for other in self.follows[user_id] if other in self.finished), None)
            if oldest is None:
                assert (followed, upload) == (Followed.REFUSED, None)
                return
            self.unfollow(user_id, oldest)
        assert followed is Followed.FIRST
        self.follows[user_id].append(upload_id)

    @rule(user_id=_users, upload_id=_uploads, tab=st.none() | _tabs)
    def give_up(self, user_id: str, upload_id: str, tab: str | None) -> None:
        self.registry.give_up(user_id, upload_id, tab)
        if upload_id not in self.follows[user_id]:
            return
        if tab is None:
            self.unfollow(user_id, upload_id)
        elif tab in self.open_tabs[user_id]:
            self.given_up.add((user_id, tab, upload_id))
            if not self.holders(user_id, upload_id):
                self.unfollow(user_id, upload_id)

    @rule(user_id=_users)
    def forget(self, user_id: str) -> None:
        self.registry.forget(user_id)
        if not self.open_tabs[user_id]:
            for upload_id in list(self.follows[user_id]):
                self.unfollow(user_id, upload_id)

    @rule(upload_id=_uploads)
    def finish(self, upload_id: str) -> None:
        self.finished.add(upload_id)

    @invariant()
    def tables_say_the_same(self) -> None:
        registry = self.registry
        present = {user_id for user_id in self.follows if self.open_tabs[user_id] or self.follows[user_id]}
        assert set(registry.users) == present
        assert registry.follows == sum(map(len, self.follows.values()))
        for user_id in present:
            assert list(registry.users[user_id].connections) == self.open_tabs[user_id]
            assert list(registry.users[user_id].follows) == self.follows[user_id]
        assert set(registry.uploads) == {upload_id for follows in self.follows.values() for upload_id in follows}
        for upload_id, upload in registry.uploads.items():
            assert set(upload.followers) == {user_id for user_id in self.follows if upload_id in self.follows[user_id]}
            assert sorted(upload.receivers()) == sorted(
                tab for user_id in upload.followers for tab in self.holders(user_id, upload_id)
            )
        assert self.released == self.expected_released

    @invariant()
    def what_was_given_up_is_all_that_is_remembered(self) -> None:
        remembered = {
            (user.user_id, tab, upload_id)
            for user in self.registry.users.values()
            for tab, given_up in user.connections.items()
            for upload_id in given_up or ()
        }
        assert remembered == self.given_up
        assert all(given_up != {} for user in self.registry.users.values() for given_up in user.connections.values())

    def teardown(self) -> None:
        for user_id, tabs in self.open_tabs.items():
            for tab in list(tabs):
                self.leave(user_id, tab)
            self.forget(user_id)
        assert (self.registry.users, self.registry.uploads) == ({}, {})

    def holders(self, user_id: str, upload_id: str) -> list[str]:
        return [tab for tab in self.open_tabs[user_id] if (user_id, tab, upload_id) not in self.given_up]

    def unfollow(self, user_id: str, upload_id: str) -> None:
        self.follows[user_id].remove(upload_id)
        self.given_up -= {gone for gone in self.given_up if (gone[0], gone[2]) == (user_id, upload_id)}
        if not any(upload_id in follows for follows in self.follows.values()):
            self.expected_released.append(upload_id)


TestRegistryModel = RegistryModel.TestCase
