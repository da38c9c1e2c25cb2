"""The keys of a Redis in memory: their values, their times to live, and the last seconds of their history."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from vuemantics_ws.simulation.resp.replies import ErrorReply

Hash = dict[bytes, bytes]


class SortedSet(dict[bytes, int]):
    """Members by their scores, which stand in it lowest first: whoever adds one adds the highest."""


Value = bytes | Hash | SortedSet
"""What is under a key. Strings and hashes are never changed in their place, since the history keeps them."""


class _Entry(NamedTuple):
    value: Value
    expires_at: int | None
    """In milliseconds of the wall clock."""


class _Score(NamedTuple):
    """What a member of a sorted set had; None where it was none."""

    member: bytes
    score: int | None


class Keyspace:
    """What is kept under which key.

    A command takes no time: whoever runs one calls :meth:`tick` before it, and all of it happens at that moment.

    Args:
        wall: seconds since 1970, by which keys expire.
        monotonic: seconds, by which the history is counted.
        history_s: so far, in seconds, the keys can go back.
    """

    def __init__(self, *, wall: Callable[[], float], monotonic: Callable[[], float], history_s: float) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._history_s = history_s
        self._entries: dict[bytes, _Entry] = {}
        self._history: deque[tuple[float, bytes, _Entry | _Score | None]] = deque()
        """When a key changed, and what was there before: all of it, or one score; None where nothing was."""
        self._now = 0.0
        self.now_us = self.now_ms = 0
        """Microseconds and milliseconds since 1970."""
        self.tick()

    def tick(self) -> None:
        self._now = self._monotonic()
        self.now_us = round(self._wall() * 1_000_000)
        self.now_ms = self.now_us // 1000
        history, kept_since = self._history, self._now - self._history_s
        while history and history[0][0] < kept_since:
            history.popleft()

    # Reading.

    def get(self, key: bytes) -> Value | None:
        entry = self._entry(key)
        return entry.value if entry is not None else None

    def string(self, key: bytes) -> bytes | None:
        """Raises ErrorReply where something else is there, as the next two do."""
        value = self.get(key)
        if value is None or type(value) is bytes:
            return value
        raise _wrong_type()

    def hash(self, key: bytes) -> Hash:
        """Empty where there is none."""
        value = self.get(key)
        if value is None:
            return {}
        if isinstance(value, bytes | SortedSet):
            raise _wrong_type()
        return value

    def sorted_set(self, key: bytes) -> SortedSet:
        """Empty where there is none. For reading."""
        value = self.get(key)
        if type(value) is SortedSet:
            return value
        if value is None:
            return SortedSet()
        raise _wrong_type()

    def expires_in_ms(self, key: bytes) -> int:
        """As PTTL has it: -1 where it does not expire, -2 where there is none."""
        entry = self._entry(key)
        if entry is None:
            return -2
        return -1 if entry.expires_at is None else entry.expires_at - self.now_ms

    def names(self) -> list[bytes]:
        return [key for key in list(self._entries) if self._entry(key) is not None]

    def __contains__(self, key: bytes) -> bool:
        return self._entry(key) is not None

    # Changing.

    def put(self, key: bytes, value: Value) -> None:
        """The time to live of what was there stays. A hash without fields is none."""
        former = self._entry(key)
        if value == {} and type(value) is dict:
            self.delete(key)
            return
        self._note(key, former)
        self._entries[key] = _Entry(value, former.expires_at if former is not None else None)

    def add(self, key: bytes, member: bytes, score: int) -> bool:
        """To a sorted set, as the one with the highest score. Whether it was in it before."""
        members = self.sorted_set(key)
        if not members:
            self.put(key, members)
        former = members.pop(member, None)
        members[member] = score
        self._history.append((self._now, key, _Score(member, former)))
        return former is not None

    def remove_lowest(self, key: bytes) -> None:
        """From a sorted set that has more than that."""
        members = self.sorted_set(key)
        lowest = next(iter(members))
        self._history.append((self._now, key, _Score(lowest, members.pop(lowest))))

    def delete(self, key: bytes) -> bool:
        """Whether there was one."""
        former = self._entry(key)
        if former is None:
            return False
        self._note(key, former)
        del self._entries[key]
        return True

    def expire(self, key: bytes, in_ms: int | None) -> bool:
        """In so many milliseconds from now; None for never. Whether there is such a key."""
        former = self._entry(key)
        if former is None:
            return False
        if in_ms is not None and in_ms <= 0:
            return self.delete(key)
        self._note(key, former)
        self._entries[key] = _Entry(former.value, None if in_ms is None else self.now_ms + in_ms)
        return True

    def clear(self) -> int:
        """Returns how many keys are gone."""
        names = self.names()
        for key in names:
            self.delete(key)
        return len(names)

    def go_back(self, behind_s: float) -> None:
        """Everything is as it was so long ago, as far as that is known.

        Raises:
            ValueError: that is longer ago than the history reaches.
        """
        if not 0 <= behind_s <= self._history_s:
            raise ValueError(f"expected 0 to {self._history_s:g} s, got {behind_s!r}")
        until = self._monotonic() - behind_s
        unsorted: list[SortedSet] = []
        while self._history and self._history[-1][0] > until:
            _, key, former = self._history.pop()
            if isinstance(former, _Score):
                members = self._entries[key].value
                assert isinstance(members, SortedSet)
                if former.score is None:
                    del members[former.member]
                else:
                    members[former.member] = former.score
                    unsorted.append(members)
            elif former is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = former
        for members in unsorted:
            by_score = sorted(members.items(), key=lambda item: item[1])
            members.clear()
            members.update(by_score)

    def _entry(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at is not None and entry.expires_at <= self.now_ms:
            self._note(key, entry)
            del self._entries[key]
            return None
        return entry

    def _note(self, key: bytes, former: _Entry | None) -> None:
        self._history.append((self._now, key, former))


def _wrong_type() -> ErrorReply:
    return ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value")
