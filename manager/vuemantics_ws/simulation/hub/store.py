"""All that the middle keeps: heads, digests and follows. It can be brought back to how it was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vuemantics_ws.brokers.users import Stand
from vuemantics_ws.core.upload import Event, Head, Judgement, Upload
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.hub.follows import Change, Follows
from vuemantics_ws.simulation.hub.reconciling import reconciled

PRESENT_S = 15.0
"""For so long after it was last heard a node counts as present."""

RENEWED_S = 5.0
"""How often a node says that it is there, and learns who else is."""

RENEWAL_MAX_S = 60.0


class Stored(NamedTuple):
    """A head as it is kept. ``incarnation`` is the number of the moment when it found none before it."""

    head: Head
    incarnation: int


class _Kept:
    __slots__ = ("incarnation", "touched_at", "upload")

    def __init__(self, incarnation: int, now: float) -> None:
        self.upload = Upload()
        self.incarnation = incarnation
        self.touched_at = now


class Store:
    """What is done to it follows from what it is told alone, times and fresh numbers included: told again, it is the same.

    Args:
        limits: how long what is kept, and how much a user may follow.
        keeps_journal: remember all that was done, for :meth:`as_it_was`.
    """

    def __init__(self, limits: Limits, *, keeps_journal: bool = False) -> None:
        self.limits = limits
        self._uploads: dict[str, _Kept] = {}
        self._follows: dict[str, Follows] = {}
        self._journal: list[tuple[float, Callable[..., object], tuple[Any, ...]]] | None = [] if keeps_journal else None

    def __len__(self) -> int:
        """How many uploads and users something is kept of."""
        return len(self._uploads) + len(self._follows)

    @property
    def heads(self) -> dict[str, Head]:
        """The newest state of every upload."""
        return {upload_id: kept.upload.head for upload_id, kept in self._uploads.items() if kept.upload.head is not None}

    def publish(self, event: Event, now: float, fresh: int, is_watched: bool) -> tuple[Judgement, Stored]:
        """Judge and keep. ``fresh`` is a number that no other call has. Returns what is stored after it, too."""
        if self._journal is not None:
            self._note(now, Store.publish, event, now, fresh, is_watched)
        upload_id = event.upload_id
        kept = self._find(upload_id, now, is_watched=is_watched)
        if kept is None:
            kept = self._uploads[upload_id] = _Kept(fresh, now)
        kept.touched_at = now
        judgement = kept.upload.judge(event, now)
        assert kept.upload.head is not None
        return judgement, Stored(kept.upload.head, kept.incarnation)

    def read(self, upload_id: str, now: float, *, is_watched: bool) -> Stored | None:
        """The newest state, None where there is none."""
        kept = self._find(upload_id, now, is_watched=is_watched)
        return None if kept is None or kept.upload.head is None else Stored(kept.upload.head, kept.incarnation)

    def reconcile(self, upload_id: str, known: Stored, now: float, fresh: int) -> tuple[bool, Stored]:
        """Take what a node knows of an upload that it watches. Whether that changed anything, and what is stored after it."""
        if self._journal is not None:
            self._note(now, Store.reconcile, upload_id, known, now, fresh)
        ours = known.head
        kept = self._find(upload_id, now, is_watched=True)
        if kept is None:
            kept = self._uploads[upload_id] = _Kept(fresh, now)
        former = kept.upload.head
        head = ours if former is None else reconciled(former, ours, one_incarnation=kept.incarnation == known.incarnation)
        changed = head is not former
        if changed:
            kept.touched_at = now
            kept.upload.head = head
            if not ours.versioned:
                kept.upload.remembers(ours.digest, now)
        return changed, Stored(head, kept.incarnation)

    def unwatched(self, upload_id: str, now: float) -> None:
        """Nobody watches it any more: from now on it grows old."""
        if self._journal is not None:
            self._note(now, Store.unwatched, upload_id, now)
        kept = self._uploads.get(upload_id)
        if kept is not None:
            kept.touched_at = now

    def look(
        self,
        user_id: str,
        node_id: str,
        changes: Sequence[Change],
        stand: Stand,
        known: int,
        heard_at: Mapping[str, float],
        now: float,
        fresh: int,
    ) -> tuple[bool, Follows]:
        """What a node tells of a user. Whether the others must know, and what the user follows after it.

        Args:
            known: the revision of what the user follows that the node knows.
            heard_at: when each node was last heard.
        """
        if self._journal is not None:
            self._note(now, Store.look, user_id, node_id, changes, stand, known, dict(heard_at), now, fresh)
        follows = self._follows.get(user_id)
        if follows is None or self._is_over(follows, heard_at, now):
            follows = self._follows[user_id] = Follows()
        present = [other for other, at in heard_at.items() if now - at < PRESENT_S]
        follows_max = self.limits.uploads_per_user_max
        is_news = follows.look(node_id, changes, stand, present, known=known, fresh=fresh, follows_max=follows_max, now=now)
        if follows.born is None:
            del self._follows[user_id]  # there has never been anything
        return is_news, follows

    def as_it_was(self, at: float) -> "tuple[int, Store]":
        """The same as it was at this time, and how many things are undone by that."""
        assert self._journal is not None, "this one remembers nothing"
        before = Store(self.limits, keeps_journal=True)
        undone = 0
        for when, do, arguments in self._journal:
            if when <= at:
                do(before, *arguments)
            else:
                undone += do is not Store.unwatched
        return undone, before

    def _note(self, now: float, do: Callable[..., object], *arguments: Any) -> None:
        assert self._journal is not None
        self._journal.append((now, do, arguments))

    def _find(self, upload_id: str, now: float, *, is_watched: bool) -> _Kept | None:
        kept = self._uploads.get(upload_id)
        if kept is not None and not is_watched and now - kept.touched_at > self.limits.head_ttl_s:
            del self._uploads[upload_id]
            return None
        return kept

    def _is_over(self, follows: Follows, heard_at: Mapping[str, float], now: float) -> bool:
        """Whether the user has been gone for the grace time and somewhat more: then it is as if nothing had been followed."""
        grace_s = self.limits.grace_s
        last_at = max([follows.touched_at, *(heard_at.get(node_id, 0.0) for node_id in follows.connected)])
        # A node that was killed was last heard up to so long before, and the grace time begins when it was killed.
        return now - last_at > grace_s + max(RENEWED_S, min(RENEWAL_MAX_S, grace_s / 4))
