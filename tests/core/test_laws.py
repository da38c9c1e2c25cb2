"""The laws of delivery (SEMANTICS.md section 2) over random lives of users, tabs and uploads, judge and outbox included."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.core.house import House, Tab
from tests.events import completed, failed, progress
from vuemantics_ws.core.access import Access, anyone, owner_only
from vuemantics_ws.core.upload import Verdict, Version
from vuemantics_ws.errors import LimitReached
from vuemantics_ws.limits import Limits

USERS = ("alice", "bob")
UPLOADS = ("u", "v", "w")
TABS_MAX = 3

_which = st.integers(0, 5)
"""Of however many there are."""
_kinds = st.sampled_from(("queued", "progress", "completed", "failed"))
_steps = st.sampled_from(("unversioned", "unversioned", "next", "gap", "attempt", "equal", "lower"))
_owners = st.sampled_from(("alice", "alice", "bob", None, None))
_pauses_s = st.sampled_from((0.0, 0.0, 0.0, 1.0, 10.0, 61.0))


def say(kind: str, upload_id: str, number: int, version: Version | None) -> bytes:
    if kind == "completed":
        return completed(upload_id=upload_id, number=number, version=version)
    if kind == "failed":
        return failed(upload_id=upload_id, number=number, version=version)
    return progress("queued" if kind == "queued" else "indexing", upload_id=upload_id, number=number, version=version)


class Life(RuleBasedStateMachine):
    """What may happen in a process, in any order. The checks on arrival are the tabs' own."""

    access: Access = staticmethod(owner_only)

    @initialize(
        users=st.integers(1, len(USERS)),
        uploads=st.integers(1, len(UPLOADS)),
        follows_max=st.integers(1, 2),
        fast=st.lists(st.booleans(), min_size=3, max_size=3),
        at_once=st.sampled_from((False, False, True)),
        settles=st.booleans(),
    )
    def begin(self, users: int, uploads: int, follows_max: int, fast: list[bool], at_once: bool, settles: bool) -> None:
        """Lives differ in size: in a small one more goes wrong at one place."""
        self.users = USERS[:users]
        self.uploads = UPLOADS[:uploads]
        self.follows_max = follows_max
        self.house = House(
            access=self.access, limits=Limits(uploads_per_user_max=follows_max, connections_per_user_max=TABS_MAX)
        )
        self.house.heads.at_once = at_once
        self.settles = settles
        self.now = 0.0
        self.number = 0
        self.said: list[bytes] = []
        for place, reads_at_once in enumerate(fast):
            self.house.join(self.user(place // 2), fast=reads_at_once)

    # Publishing.

    @rule(kind=_kinds, upload=_which, step=_steps, owner=_owners, seconds=_pauses_s)
    def publish(self, kind: str, upload: int, step: str, owner: str | None, seconds: float) -> None:
        upload_id = self.upload(upload)
        self.now += seconds
        self.number += 1
        head = self.house.heads.known_head(upload_id)
        attempt, seq = head.version if head is not None else (1, 1)
        versions = {
            "next": Version(attempt, seq + 1),
            "gap": Version(attempt, seq + 5),
            "attempt": Version(attempt + 1, 1),
            "equal": Version(attempt, seq),
            "lower": Version(max(1, attempt - 1), max(1, seq - 1)),
        }
        published = say(kind, upload_id, self.number, versions.get(step))
        self.said.append(published)
        self.house.publish(published, owner, now=self.now)

    @rule(index=st.integers(0, 5), upload=_which)
    @precondition(lambda self: self.said)
    def say_again(self, index: int, upload: int) -> None:
        """The publisher does, which is refused, and the broker, as one does whose connection was lost."""
        published = self.said[-1 - index % len(self.said)]
        assert self.house.publish(published, now=self.now) in (Verdict.DUPLICATE, Verdict.STALE, Verdict.AFTER_TERMINAL)
        self.house.heads.deliver_again(self.upload(upload), index)
        self.house.flush()

    # Following.

    @rule(user=_which, upload=_which, index=st.integers(0, TABS_MAX))
    def follow(self, user: int, upload: int, index: int) -> None:
        user_id, upload_id = self.user(user), self.upload(upload)
        tab = self.tab_of(user_id, index)
        before = self.house.follows(user_id)
        evictable = [other for other in before if self.may_make_room(user_id, other)]
        full = upload_id not in before and len(before) == self.follows_max
        if full and not evictable:
            with pytest.raises(LimitReached) as caught:
                self.house.follow(user_id, upload_id, tab)
            assert caught.value.limit == "uploads_per_user_max"
            assert self.house.follows(user_id) == before
            return
        for other in evictable[:1] if full else []:
            for mine in self.tabs_of(user_id):
                self.house.check_convergence(mine, other)
        answers = self.house.follow(user_id, upload_id, tab)
        gone = set(before) - set(self.house.follows(user_id))
        assert gone == set(evictable[:1] if full else [])
        head = self.house.heads.known_head(upload_id)
        for known in answers:
            assert known is (head is not None and self.house.access(user_id, head.owner))

    @rule(user=_which, upload=_which, index=st.integers(0, TABS_MAX))
    def give_up(self, user: int, upload: int, index: int) -> None:
        user_id, upload_id = self.user(user), self.upload(upload)
        tab = self.tab_of(user_id, index)
        self.house.give_up(user_id, upload_id, tab)
        given_up_by = self.tabs_of(user_id) if tab is None else [tab]
        assert not any(other.holds(upload_id) for other in given_up_by)

    @rule(upload=_which, answered=st.booleans())
    @precondition(lambda self: self.house.heads.owed)
    def read_head(self, upload: int, answered: bool) -> None:
        upload_id = self.upload(upload)
        if upload_id not in self.house.heads.owed:
            return
        if answered:
            self.house.heads.answer(upload_id)
            self.house.flush()
        else:
            self.house.heads.read(upload_id)

    # Coming and going.

    @rule(user=_which, fast=st.booleans())
    def join(self, user: int, fast: bool) -> None:
        user_id = self.user(user)
        if len(self.tabs_of(user_id)) < TABS_MAX:
            self.house.join(user_id, fast=fast)
            return
        with pytest.raises(LimitReached) as caught:
            self.house.join(user_id)
        assert caught.value.limit == "connections_per_user_max"

    @rule(user=_which, index=st.integers(0, TABS_MAX - 1), for_good=st.booleans())
    def leave(self, user: int, index: int, for_good: bool) -> None:
        user_id = self.user(user)
        tab = self.tab_of(user_id, index)
        if tab is not None:
            self.house.leave(tab)
        if for_good:
            self.house.delivery.registry.forget(user_id)

    @rule(user=_which, index=st.integers(0, TABS_MAX - 1), bytes_max=st.sampled_from((1, 300, 1_000)))
    def read(self, user: int, index: int, bytes_max: int) -> None:
        tab = self.tab_of(self.user(user), index)
        if tab is not None:
            tab.read(bytes_max)

    @rule()
    def settle(self) -> None:
        self.house.settle()

    # What holds at any moment.

    @invariant()
    def a_tab_holds_at_most_one_frame_of_each_upload_that_it_receives(self) -> None:
        for tab in self.house.tabs:
            user = self.house.delivery.registry.users[tab.user_id]
            pending = {upload_id for upload_id in UPLOADS if tab.holds(upload_id)}
            assert pending <= {upload_id for upload_id in user.follows if user.holds(tab, upload_id)}

    @invariant()
    def what_is_watched_is_what_somebody_follows(self) -> None:
        assert self.house.heads.watched == {upload_id for user_id in USERS for upload_id in self.house.follows(user_id)}

    @invariant()
    def every_frame_that_was_handed_over_is_counted(self) -> None:
        assert self.house.counters.deliveries == self.house.puts

    def teardown(self) -> None:
        if self.settles:
            self.house.settle()
        self.house.close()

    # Small words.

    def user(self, number: int) -> str:
        return self.users[number % len(self.users)]

    def upload(self, number: int) -> str:
        return self.uploads[number % len(self.uploads)]

    def tabs_of(self, user_id: str) -> list[Tab]:
        return [tab for tab in self.house.tabs if tab.user_id == user_id]

    def tab_of(self, user_id: str, index: int) -> Tab | None:
        """One of the user's tabs; None where there are fewer, which stands for the user as a whole."""
        tabs = self.tabs_of(user_id)
        return tabs[index] if index < len(tabs) else None

    def may_make_room(self, user_id: str, upload_id: str) -> bool:
        head = self.house.heads.known_head(upload_id)
        if head is None or not head.terminal or not self.house.access(user_id, head.owner):
            return False
        return upload_id not in self.house.heads.owed and not any(tab.holds(upload_id) for tab in self.tabs_of(user_id))


class LifeInTheOpen(Life):
    """The same where everybody may follow everything."""

    access = staticmethod(anyone)


TestOwner = Life.TestCase
TestOwner.settings = settings(max_examples=80, stateful_step_count=40)
TestOpen = LifeInTheOpen.TestCase
TestOpen.settings = settings(max_examples=80, stateful_step_count=40)
