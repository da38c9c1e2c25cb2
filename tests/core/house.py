"""A whole process without a loop: heads that are judged and read late, tabs that read when they like, and what each heard."""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.events import completed, progress, read
from vuemantics_ws.brokers.base import Found
from vuemantics_ws.core.access import Access, anyone
from vuemantics_ws.core.counters import Counters
from vuemantics_ws.core.delivery import Delivery
from vuemantics_ws.core.outbox import ConflatingOutbox
from vuemantics_ws.core.upload import Head, Upload, Verdict, Version
from vuemantics_ws.frame import Frame
from vuemantics_ws.limits import Limits
from vuemantics_ws.messages import Subscribed


class Heard(NamedTuple):
    version: Version
    terminal: bool


class Tab:
    """An open connection of the gateway's kind, with its other end. ``fast`` ones read at once."""

    def __init__(self, house: "House", user_id: str, *, fast: bool) -> None:
        self.user_id = user_id
        self.fast = fast
        self.outbox: ConflatingOutbox[Frame] = ConflatingOutbox()
        self.heard: dict[str, list[Heard]] = {}
        """By upload, since the latest of: the join, the tab's own subscribe, the start of the follow."""
        self.replies: list[Subscribed] = []
        self.newest_ever: dict[str, Version] = {}
        self._house = house

    def put_state(self, upload_id: str, frame: Frame) -> None:
        self.outbox.put_state(upload_id, frame)
        self._house.puts += 1

    def put_direct(self, frame: Frame) -> None:
        raise AssertionError("nothing here sends direct messages")

    def discard(self, upload_id: str) -> None:
        self.outbox.discard(upload_id)

    def holds(self, upload_id: str) -> bool:
        return self.outbox.holds(upload_id)

    def read(self, bytes_max: int) -> None:
        for frame in self.outbox.take(bytes_max):
            said = json.loads(frame.payload)
            if said["action"] == "subscribed":
                self.replies.append(Subscribed(said["upload_id"], said["known"]))
            else:
                upload_id = said["payload"]["upload_id"] if "payload" in said else said["upload_id"]
                self._hear(upload_id, Heard(Version(said["attempt"], said["seq"]), said["action"] != "upload_progress"))

    def drain(self) -> None:
        while self.outbox:
            self.read(1)

    def _hear(self, upload_id: str, news: Heard) -> None:
        """The laws of order and privacy, at the moment at which something arrives."""
        house = self._house
        heard = self.heard.setdefault(upload_id, [])
        assert not heard or news.version > heard[-1].version, "order"
        assert news.version >= self.newest_ever.get(upload_id, news.version), "nothing older, not even after a subscribe"
        user = house.delivery.registry.users[self.user_id]
        assert user.holds(self, upload_id), "nothing of what was given up"
        assert house.access(self.user_id, house.heads.owners[upload_id, news.version]), "privacy when it was said"
        assert house.access(self.user_id, house.heads.head(upload_id).owner), "privacy when it arrives"
        heard.append(news)
        self.newest_ever[upload_id] = news.version


@dataclass
class Owed:
    """A head that somebody waits for. ``read`` holds what the reading found, once it has been done."""

    found: Found
    read: list[Head | None] = field(default_factory=list)


class LateHeads:
    """A broker's heads: told of from the watch on, read some time after it, answered some time after that."""

    def __init__(self, house: "House") -> None:
        self._house = house
        self._uploads: dict[str, Upload] = {}
        self.watched: set[str] = set()
        self.owed: dict[str, Owed] = {}
        self.owners: dict[tuple[str, Version], str | None] = {}
        self._accepted: dict[str, list[Head]] = {}
        self.at_once = False
        """Answer while the watch is being asked for, as a broker in memory does."""

    def publish(self, published: bytes, owner: str | None, now: float) -> Verdict:
        event = read(published, owner)
        upload = self._uploads.setdefault(event.upload_id, Upload())
        verdict = upload.judge(event, now).verdict
        if verdict is Verdict.ACCEPTED:
            assert upload.head is not None
            self.owners[event.upload_id, upload.head.version] = upload.head.owner
            self._accepted.setdefault(event.upload_id, []).append(upload.head)
            if event.upload_id in self.watched:
                self._house.delivery.deliver(event.upload_id, upload.head)
        return verdict

    def deliver_again(self, upload_id: str, index: int) -> None:
        """Tell of the newest state but ``index`` once more, as a connection does that was lost and came back."""
        accepted = self._accepted.get(upload_id, [])
        if upload_id in self.watched and index < len(accepted):
            self._house.delivery.deliver(upload_id, accepted[-1 - index])

    def own(self, upload_id: str, owner: str) -> Head:
        """The newest state has this owner after all."""
        upload = self._uploads[upload_id]
        upload.head = self.head(upload_id)._replace(owner=owner)
        self.owners[upload_id, upload.head.version] = owner
        return upload.head

    def known_head(self, upload_id: str) -> Head | None:
        return self._uploads[upload_id].head if upload_id in self._uploads else None

    def head(self, upload_id: str) -> Head:
        head = self.known_head(upload_id)
        assert head is not None
        return head

    def watch(self, upload_id: str, found: Found) -> None:
        assert upload_id not in self.watched
        self.watched.add(upload_id)
        self.owed[upload_id] = Owed(found)
        if self.at_once:
            self.answer(upload_id)

    def unwatch(self, upload_id: str) -> None:
        self.watched.remove(upload_id)
        self.owed.pop(upload_id, None)

    def read(self, upload_id: str) -> None:
        owed = self.owed[upload_id]
        if not owed.read:
            owed.read.append(self.known_head(upload_id))

    def answer(self, upload_id: str) -> None:
        self.read(upload_id)
        owed = self.owed.pop(upload_id)
        owed.found(owed.read[0])


class House:
    """Delivery over late heads, and the tabs that are open."""

    def __init__(self, *, access: Access, limits: Limits) -> None:
        self.access = access
        self.counters = Counters()
        self.heads = LateHeads(self)
        self.delivery = Delivery(
            access=access, limits=limits, counters=self.counters, watch=self.heads.watch, unwatch=self.heads.unwatch
        )
        self.tabs: list[Tab] = []
        self.puts = 0
        self.asked = 0
        self.answered = 0

    def join(self, user_id: str, *, fast: bool = True) -> Tab:
        tab = Tab(self, user_id, fast=fast)
        self.delivery.join(user_id, tab)
        self.tabs.append(tab)
        self.flush()
        return tab

    def leave(self, tab: Tab) -> None:
        self.tabs.remove(tab)
        self.delivery.registry.leave(tab.user_id, tab)
        tab.outbox.clear()

    def follow(self, user_id: str, upload_id: str, tab: Tab | None) -> list[bool]:
        """The answers so far: none yet where the head is still being read."""
        answers: list[bool] = []
        first = upload_id not in self.follows(user_id)

        def answer(known: bool) -> None:
            answers.append(known)
            self.answered += 1
            if tab is not None:
                tab.outbox.add_reply(Frame.of(Subscribed(upload_id, known)))

        marked = [other for other in self.tabs if other.user_id == user_id and (first or tab in (None, other))]
        before = {other: other.heard.pop(upload_id, None) for other in marked}
        try:
            self.delivery.follow(user_id, upload_id, tab, answer)
        except Exception:
            for other, heard in before.items():
                if heard is not None:
                    other.heard[upload_id] = heard
            raise
        self.asked += 1
        self.flush()
        return answers

    def give_up(self, user_id: str, upload_id: str, tab: Tab | None) -> None:
        self.delivery.give_up(user_id, upload_id, tab)

    def publish(self, published: bytes, owner: str | None = None, *, now: float = 0.0) -> Verdict:
        verdict = self.heads.publish(published, owner, now)
        self.flush()
        return verdict

    def follows(self, user_id: str) -> list[str]:
        user = self.delivery.registry.users.get(user_id)
        return list(user.follows) if user is not None else []

    def flush(self) -> None:
        for tab in self.tabs:
            if tab.fast:
                tab.drain()

    def settle(self) -> None:
        """Publishing has stopped: whatever was asked is answered, and everybody reads all there is."""
        for upload_id in list(self.heads.owed):
            self.heads.answer(upload_id)
        for tab in self.tabs:
            tab.drain()
        assert self.answered == self.asked, "every subscribe is answered once"
        for tab in self.tabs:
            for upload_id in self.follows(tab.user_id):
                self.check_convergence(tab, upload_id)

    def check_convergence(self, tab: Tab, upload_id: str) -> None:
        """What a tab has heard of an upload ends with the newest state, and with one end of the newest attempt."""
        head = self.heads.known_head(upload_id)
        if head is None or not self.access(tab.user_id, head.owner):
            return
        if not self.delivery.registry.users[tab.user_id].holds(tab, upload_id):
            return
        heard = tab.heard.get(upload_id, [])
        assert heard, "no snapshot"
        assert heard[-1] == Heard(head.version, head.terminal), "convergence"
        ends = [news for news in heard if news.terminal and news.version.attempt == head.version.attempt]
        assert len(ends) == int(head.terminal), "the end arrives exactly once"

    def close(self) -> None:
        """Everybody leaves for good, and nothing is left."""
        for tab in list(self.tabs):
            self.leave(tab)
        for user_id in list(self.delivery.registry.users):
            self.delivery.registry.forget(user_id)
        assert self.delivery.registry.users == {}
        assert self.delivery.registry.uploads == {}
        assert self.delivery._asked == {}
        assert self.heads.watched == set()
        assert self.heads.owed == {}
        assert self.answered == self.asked


def house_of(*, access: Access = anyone, at_once: bool = True, follows_max: int = 10) -> House:
    house = House(access=access, limits=Limits(uploads_per_user_max=follows_max, connections_per_user_max=3))
    house.heads.at_once = at_once
    return house


def say(house: House, upload_id: str = "u", *, number: int = 0, owner: str | None = None, end: bool = False) -> None:
    published = completed(upload_id=upload_id, number=number) if end else progress(upload_id=upload_id, number=number)
    house.publish(published, owner)


def versions(tab: Tab, upload_id: str = "u") -> list[tuple[int, int]]:
    return [news.version for news in tab.heard.get(upload_id, [])]
