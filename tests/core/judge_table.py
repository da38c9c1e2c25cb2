"""The table of SEMANTICS.md section 1 a second time, written as slowly as it reads: what the real judge is compared with."""

import json
from typing import Any, NamedTuple

ROWS = (
    "no head, versioned",
    "no head, unversioned",
    "equal, same bytes",
    "equal, other bytes",
    "lower",
    "same attempt, above its end",
    "higher otherwise",
    "digest remembered",
    "before an end",
    "no number left",
    "after an end, queued",
    "after an end, the same end",
    "after an end, another end",
    "after an end, straggler",
    "after an end, its queued was lost",
)


class Ruling(NamedTuple):
    row: str
    verdict: str
    head: tuple[int, int]


class _Known(NamedTuple):
    version: tuple[int, int]
    said: dict[str, Any]
    published: bytes
    accepted_at: float


class TableJudge:
    """Keeps everything for ever, and decides by looking through all of it."""

    def __init__(self) -> None:
        self._head: _Known | None = None
        self._judged: dict[bytes, float] = {}  # the unversioned events with their latest time, oldest first

    def judge(self, published: bytes, now: float) -> Ruling:
        said = json.loads(published)
        row, verdict, version = self._rule(said, published, now)
        if "attempt" not in said:
            self._judged.pop(published, None)
            self._judged[published] = now
        if verdict == "accepted":
            self._head = _Known(version, said, published, now)
        assert self._head is not None
        return Ruling(row, verdict, self._head.version)

    def remembers(self, published: bytes, now: float) -> bool:
        if published not in self._judged:
            return False
        place = list(reversed(self._judged)).index(published)
        return place < 64 or (place < 4096 and now - self._judged[published] <= 60)

    def _rule(self, said: dict[str, Any], published: bytes, now: float) -> tuple[str, str, tuple[int, int]]:
        head = self._head
        if "attempt" in said:
            version = (said["attempt"], said["seq"])
            if head is None:
                return "no head, versioned", "accepted", version
            if version == head.version:
                same = published == head.published
                return ("equal, same bytes", "duplicate", version) if same else ("equal, other bytes", "stale", version)
            if version < head.version:
                return "lower", "stale", version
            if _ends(head.said) and version[0] == head.version[0]:
                return "same attempt, above its end", "after_terminal", version
            return "higher otherwise", "accepted", version
        if self.remembers(published, now):
            return "digest remembered", "duplicate", (0, 0)
        if head is None:
            return "no head, unversioned", "accepted", (1, 1)
        row, verdict, version = self._rule_unversioned(head, said, now)
        if max(version) > 2**53 - 1:
            return "no number left", "stale", (0, 0)
        return row, verdict, version

    def _rule_unversioned(self, head: _Known, said: dict[str, Any], now: float) -> tuple[str, str, tuple[int, int]]:
        attempt, seq = head.version
        if not _ends(head.said):
            return "before an end", "accepted", (attempt, seq + 1)
        if _ends(said):
            if _beside_when(said) == _beside_when(head.said):
                return "after an end, the same end", "duplicate", (0, 0)
            return "after an end, another end", "accepted", (attempt + 1, 1)
        if said["payload"]["stage"] == "queued":
            return "after an end, queued", "accepted", (attempt + 1, 1)
        if now - head.accepted_at < 10:
            return "after an end, straggler", "after_terminal", (0, 0)
        return "after an end, its queued was lost", "accepted", (attempt + 1, 1)


def _ends(said: dict[str, Any]) -> bool:
    return said["action"] in ("upload_completed", "upload_failed")


def _beside_when(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in ("timestamp", "attempt", "seq")}
