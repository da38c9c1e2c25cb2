"""What the server took of each upload, and what of that it may have lost again."""

import bisect
from collections.abc import Callable, Iterable

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.following import Window
from vuemantics_ws.simulation.judging.losses import Accepted, Loss, kept
from vuemantics_ws.simulation.log import Published, Received


class Acceptance:
    """Takes what was published, in the order of the log, and each loss of data.

    Args:
        stall_after_s: after so long without a word the server ends an upload itself; 0 for never.
        owed: the windows in which an upload is owed to somebody.
        due_by: by when what is owed from a time on must have come.
    """

    def __init__(
        self, *, stall_after_s: float, owed: Callable[[str], Iterable[Window]], due_by: Callable[[float], float]
    ) -> None:
        self._losses: list[Loss] = []
        self._stall_after_s = stall_after_s
        self._owed = owed
        self._due_by = due_by
        self._accepted: dict[str, list[Accepted]] = {}
        self._newest: dict[str, list[Accepted]] = {}
        self._kept: dict[tuple[str, Loss], Version | None] = {}

    def accepted(self, upload_id: str) -> list[Accepted]:
        """In the order of the answers."""
        return self._accepted.get(upload_id, [])

    def newest(self, upload_id: str, *, by: float) -> Accepted | None:
        """The newest of what the server had answered by then. None where that may have been lost since."""
        newest = self._newest_of_what_was_kept(upload_id) if self._losses else self._newest.get(upload_id, [])
        place = bisect.bisect_right(newest, by, key=lambda accepted: accepted.at)
        if not place or self.may_be_lost(newest[place - 1].published, by=by):
            return None
        return newest[place - 1]

    def may_be_lost(self, event: Published, *, by: float) -> bool:
        """Whether an event that was taken may be gone by then, from Redis and from all nodes."""
        return any(loss.befalls(event, by=by) and not self._is_kept(event, loss) for loss in self._losses)

    def may_be_unknown(self, event: Published, to: Published) -> bool:
        """Whether an event may have been judged without an earlier one: that was lost, or no node had given it back yet."""
        return any(
            loss.befalls(event, by=to.at) and (to.sent_at <= self._due_by(loss.at) or not self._is_kept(event, loss))
            for loss in self._losses
        )

    def is_shown(self, owed: Accepted, state: Received) -> bool:
        """Whether a state is the one that is owed, under another version where data were lost."""
        if state.version == owed.version:
            return True
        if shows(state, owed.published):
            return self.has_lost_data(by=state.at)
        known = (each for each in self.accepted(owed.published.upload_id) if owed.anew and each.version == state.version)
        return any(self.may_be_unknown(each.published, owed.published) for each in known)

    def has_lost_data(self, *, by: float) -> bool:
        """Whether an event may have come to have two versions by then, which is so where the judge has forgotten it."""
        return any(loss.at <= by for loss in self._losses)

    # One record after the other.

    def take(self, record: Published) -> None:
        if record.verdict not in ("accepted", "duplicate") or record.version is None:
            return
        newest = self._newest.get(record.upload_id)
        is_old = newest is not None and record.version <= newest[-1].version
        if record.verdict == "duplicate" and newest and is_old and not self.may_be_unknown(newest[-1].published, record):
            return  # a duplicate that is new was accepted when it was sent the first time, and that answer was lost
        self._accept(record, record.version)

    def presume(self, record: Received) -> None:
        """An end that the server made, since nothing was heard of the upload for so long, is as good as published."""
        upload_id, version = record.upload_id, record.version
        if not self._stall_after_s or record.action != "upload_failed" or upload_id is None or version is None:
            return
        newest = self._newest.get(upload_id)
        if not newest:
            return
        last = newest[-1].published
        is_next = version == (newest[-1].version.attempt, newest[-1].version.seq + 1)
        if is_next and not last.terminal and record.at - last.sent_at >= self._stall_after_s:
            self._accept(_as_published(record, upload_id, version), version)

    def lose(self, loss: Loss) -> None:
        self._losses.append(loss)

    def goes_on(self) -> None:
        """There is more in the log, and so more may have been kept."""
        self._kept.clear()

    def _accept(self, record: Published, version: Version) -> None:
        accepted = Accepted(version, record.at, record)
        self._accepted.setdefault(record.upload_id, []).append(accepted)
        newest = self._newest.setdefault(record.upload_id, [])
        if not newest or accepted.version > newest[-1].version:
            newest.append(accepted)

    def _newest_of_what_was_kept(self, upload_id: str) -> list[Accepted]:
        newest: list[Accepted] = []
        for accepted in self.accepted(upload_id):
            if not newest or accepted.version > newest[-1].version:
                newest.append(accepted)
            elif self.may_be_unknown(newest[-1].published, accepted.published):
                newest.append(accepted._replace(anew=accepted.version < newest[-1].version))
        return newest

    def _is_kept(self, event: Published, loss: Loss) -> bool:
        place = (event.upload_id, loss)
        if place not in self._kept:
            self._kept[place] = kept(loss, self._owed(event.upload_id), self.accepted(event.upload_id), self._due_by)
        version = self._kept[place]
        return version is not None and event.version is not None and event.version <= version


def shows(state: Received, said: Published) -> bool:
    """Whether a state is as it was published, whatever its version."""
    if state.terminal or said.terminal:
        return state.action == said.action
    return state.stage == said.stage and state.percent == said.percent


def _as_published(record: Received, upload_id: str, version: Version) -> Published:
    return Published(
        at=record.at,
        scheduled_at=record.at,
        sent_at=record.at,
        upload_id=upload_id,
        action=record.action,
        terminal=record.terminal,
        size_bytes=0,
        verdict="accepted",
        attempt=version.attempt,
        seq=version.seq,
    )
