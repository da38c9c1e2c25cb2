"""Histories of runs, told by hand or made by a small correct server. Times are in seconds; a moment passes with each step."""

from typing import Literal

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.format.faults import FaultName
from vuemantics_ws.simulation.judging.checkers import MUST_BE_EMPTY
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    ClientFacts,
    Closed,
    Emptied,
    FaultBegan,
    FaultEnded,
    Health,
    Measured,
    NodeExited,
    Opened,
    Published,
    Received,
    Record,
    Sent,
    Settled,
    Undocumented,
    Unreachable,
    Unsent,
    UploadFacts,
)

CAT, DOG, FOX = "cat-id", "dog-id", "fox-id"
OWNERS = {"cat": "alice", "dog": "bob", "fox": "alice"}
UPLOADS = {f"{name}-id": UploadFacts(name, owner, ends=True) for name, owner in OWNERS.items()}
USERS = {"desk": "alice", "phone": "alice", "tablet": "bob"}
MOMENT_S = 0.01
EMPTY = dict.fromkeys((*MUST_BE_EMPTY, "outbox_bytes_max"), 0)


class Story:
    """A history told step by step: what happens is what is called, right or wrong."""

    def __init__(
        self,
        *,
        access: str = "owner",
        grace_s: float = 300.0,
        uploads_per_user_max: int = 1000,
        uploads: dict[str, UploadFacts] | None = None,
        stall_after_s: float = 0.0,
        slow: tuple[str, ...] = (),
    ) -> None:
        uploads = UPLOADS if uploads is None else uploads
        clients = {name: ClientFacts(user, list(uploads), name in slow) for name, user in USERS.items()}
        self.now = 0.0
        self.records: list[Record] = [
            Began(
                scenario="story",
                seed=1,
                access="open" if access == "open" else "owner",
                grace_s=grace_s,
                uploads_per_user_max=uploads_per_user_max,
                waiting_bytes_max=1000,
                stall_after_s=stall_after_s,
                uploads=uploads,
                clients=clients,
            )
        ]
        self._connections = 0
        self._numbers: dict[str, int] = {}

    def history(self) -> History:
        return History(self.records)

    def waits(self, seconds: float = 2.0) -> "Story":
        """Time passes. The log goes on, as a measurement shows."""
        self.now += seconds
        return self.add(Measured(self.now, dict(EMPTY)))

    def opens(self, client: str, *, took_s: float | None = None) -> "Story":
        """Where it is said how long that took, the log says when it was begun."""
        self._connections += 1
        self._numbers[client] = self._connections
        dialed_at = self.now + MOMENT_S - took_s if took_s is not None else None
        return self.add(Opened(self.step(), self._connections, client, dialed_at))

    def joins(self, client: str, *, took_s: float | None = None) -> "Story":
        self.opens(client, took_s=took_s)
        self.add(Received(self.now, self._connections, "auth_success"))
        return self.add(Authenticated(self.now, self._connections))

    def asks(self, client: str, upload: str) -> "Story":
        return self.add(Sent(self.step(), self._numbers[client], "subscribe_upload", upload))

    def drops(self, client: str, upload: str) -> "Story":
        """It would ask, and is not connected."""
        return self.add(Unsent(self.step(), client, "subscribe_upload", upload))

    def tries_in_vain(self, client: str) -> "Story":
        return self.add(Unreachable(self.step(), client, "HTTP 503"))

    def gives_up(self, client: str, upload: str) -> "Story":
        return self.add(Sent(self.step(), self._numbers[client], "unsubscribe_upload", upload))

    def is_told(self, client: str, upload: str, *, known: bool) -> "Story":
        return self.add(Received(self.step(), self._numbers[client], "subscribed", upload, known=known))

    def follows(self, client: str, upload: str, *, known: bool = False) -> "Story":
        return self.asks(client, upload).is_told(client, upload, known=known)

    def publishes(
        self,
        upload: str,
        attempt: int,
        seq: int,
        *,
        end: bool = False,
        failed: bool = False,
        verdict: str = "accepted",
        late_s: float = 0.0,
        messy: bool = False,
        copy: bool = False,
    ) -> "Story":
        """``late_s`` is by how much more than half a moment its worker was late to send it."""
        return self.add(
            Published(
                at=self.step(),
                scheduled_at=self.now - MOMENT_S - late_s,
                sent_at=self.now - MOMENT_S / 2,
                upload_id=upload,
                action=_action(end, failed),
                terminal=end,
                size_bytes=300,
                verdict=verdict,
                attempt=attempt,
                seq=seq,
                messy=messy or copy,
                copy=copy,
            )
        )

    def gets(self, client: str, upload: str, attempt: int, seq: int, *, end: bool = False, failed: bool = False) -> "Story":
        action = _action(end, failed)
        return self.add(Received(self.step(), self._numbers[client], action, upload, attempt=attempt, seq=seq, terminal=end))

    def hears(self, client: str, action: str, upload: str | None = None) -> "Story":
        return self.add(Received(self.step(), self._numbers[client], action, upload))

    def is_refused(self, client: str, code: str, words: str = "", upload: str | None = None) -> "Story":
        return self.add(Received(self.step(), self._numbers[client], "error", upload, code=code, words=words))

    def chokes(self, client: str) -> "Story":
        return self.add(Undocumented(self.step(), self._numbers[client], "an unknown action 'hello'"))

    def leaves(self, client: str, *, code: int = 1000) -> "Story":
        return self.add(Closed(self.step(), self._numbers.pop(client), code, "", "browser" if code == 1000 else "server"))

    def breaks(
        self,
        do: FaultName,
        number: int = 1,
        *,
        target: str = "node:0",
        loses_data: bool = False,
        behind_s: float = 0.0,
        evidence: str | None = "seen",
    ) -> "Story":
        return self.add(FaultBegan(self.step(), number, do, target, evidence, loses_data, behind_s))

    def mends(self, do: FaultName, number: int = 1, *, evidence: str | None = "seen") -> "Story":
        return self.add(FaultEnded(self.step(), number, do, "node:0", evidence))

    def says(self, state: Literal["ready", "degraded", "draining", "silent"]) -> "Story":
        """Of its health."""
        return self.add(Health(self.step(), "node:0", state))

    def measures(self, **tables: int) -> "Story":
        return self.add(Measured(self.step(), {**EMPTY, **tables}))

    def counts(self, lag_s: float = 0.0, **counters: int) -> "Story":
        return self.add(Measured(self.step(), dict(EMPTY), lag_s, counters))

    def is_over(self, *, code: int = 0, asked: bool = True, took_s: float | None = None, **tables: int) -> "Story":
        """Everybody leaves, and the server's tables are what is given, else empty."""
        self.add(Settled(self.step()))
        for client in list(self._numbers):
            self.leaves(client)
        self.add(Emptied(self.step(), {**EMPTY, **tables}))
        return self.add(NodeExited(self.step(), code, asked, took_s))

    def add(self, record: Record) -> "Story":
        self.records.append(record)
        return self

    def step(self) -> float:
        self.now += MOMENT_S
        return self.now


def _action(end: bool, failed: bool) -> str:
    return "upload_progress" if not end else "upload_failed" if failed else "upload_completed"


class Server:
    """A server that keeps the laws, written a second time and as simply as can be. It tells a story.

    States wait in an outbox for each connection until :meth:`flush`; a newer one replaces an older.
    """

    def __init__(self, story: Story, *, grace_s: float) -> None:
        self.story = story
        self._grace_s = grace_s
        self._heads: dict[str, tuple[Version, bool]] = {}
        self._outboxes: dict[str, dict[str, tuple[Version, bool]]] = {}
        self._follows: dict[str, dict[str, None]] = {"alice": {}, "bob": {}}
        self._last_left: dict[str, float] = {}

    def join(self, client: str) -> None:
        if client in self._outboxes:
            return
        user = USERS[client]
        alone = not any(USERS[other] == user for other in self._outboxes)
        if alone and user in self._last_left and self.story.now - self._last_left[user] > self._grace_s:
            self._follows[user].clear()
        self.story.joins(client)
        self._outboxes[client] = {}
        for upload in self._follows[user]:
            self._put(client, upload)

    def leave(self, client: str) -> None:
        if client in self._outboxes:
            del self._outboxes[client]
            self.story.leaves(client)
            if not any(USERS[other] == USERS[client] for other in self._outboxes):
                self._last_left[USERS[client]] = self.story.now

    def subscribe(self, client: str, upload: str) -> None:
        if client not in self._outboxes:
            return
        user = USERS[client]
        self.story.follows(client, upload, known=upload in self._heads and UPLOADS[upload].owner == user)
        everybody = [other for other in self._outboxes if USERS[other] == user]
        for other in everybody if upload not in self._follows[user] else [client]:
            self._put(other, upload)
        self._follows[user][upload] = None

    def publish(self, upload: str, *, end: bool) -> None:
        version, ended = self._heads.get(upload, (Version(1, 0), False))
        newer = Version(version.attempt + 1, 1) if ended else Version(version.attempt, version.seq + 1)
        self._heads[upload] = (newer, end)
        for client in self._outboxes:
            if upload in self._follows[USERS[client]]:
                self._put(client, upload)
        self.story.publishes(upload, *newer, end=end)

    def flush(self, client: str) -> None:
        for upload, (version, end) in self._outboxes.get(client, {}).items():
            self.story.gets(client, upload, *version, end=end)
        if client in self._outboxes:
            self._outboxes[client] = {}

    def flush_all(self) -> None:
        for client in list(self._outboxes):
            self.flush(client)

    def _put(self, client: str, upload: str) -> None:
        if upload in self._heads and UPLOADS[upload].owner == USERS[client]:
            self._outboxes[client][upload] = self._heads[upload]
