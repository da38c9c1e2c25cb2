"""What a connection still has to receive (SEMANTICS.md sections 2 and 3).

Two kinds with one face. :class:`ConflatingOutbox` transfers state: one pending frame an upload, whatever is published.
:class:`OrderedOutbox` serves a manager without a broker: every message in call order, and only where the reader does not
keep up does newer progress take the place of older.
"""

from collections import deque
from collections.abc import Sized
from typing import Generic, NamedTuple, TypeVar

from vuemantics_ws.frame import Frame

F = TypeVar("F", bound=Sized)


class ConflatingOutbox(Generic[F]):
    """At most one frame for each upload; a newer state replaces an older one. Replies and direct messages go first.

    The judge has already dropped whatever may not follow an end, so any newer state may replace any older one. Bounded by
    construction: by the uploads that the connection receives, and by the two limits on direct messages. Replies are bounded
    by their reader: the caller stops reading from a socket with ``reply_bytes`` above its limit.
    """

    __slots__ = ("_direct_bytes", "_direct_count", "_first", "_states", "_waiting_since", "conflated", "reply_bytes", "waits")

    def __init__(self) -> None:
        self._first: deque[tuple[F, bool]] | None = None  # with whether the frame is a direct message
        self._states: dict[str, F] = {}
        self._waiting_since: dict[str, float] | None = None  # by upload
        self.waits = False
        """Whether it is known of any state since when it waits. The reader that keeps up is never asked."""
        self.reply_bytes = 0
        self._direct_bytes = 0
        self._direct_count = 0
        self.conflated = 0
        """How many frames were replaced by newer ones since the connection opened."""

    def __bool__(self) -> bool:
        return bool(self._states) or bool(self._first)

    @property
    def pending_bytes(self) -> int:
        if not self._states:  # nearly always, and this is asked of every connection at once
            return self.reply_bytes + self._direct_bytes
        return self.reply_bytes + self._direct_bytes + sum(map(len, self._states.values()))

    def add_reply(self, frame: F) -> None:
        self._queue().append((frame, False))
        self.reply_bytes += len(frame)

    def add_direct(self, frame: F, *, count_max: int, bytes_max: int) -> bool:
        """Whether there was room. Where there was none, the frame was not added and the connection should end."""
        if self._direct_count >= count_max or self._direct_bytes + len(frame) > bytes_max:
            return False
        self._queue().append((frame, True))
        self._direct_count += 1
        self._direct_bytes += len(frame)
        return True

    def put_state(self, upload_id: str, frame: F) -> None:
        """Replaces the upload's pending frame in its place in the line, if there is one."""
        if upload_id in self._states:
            self.conflated += 1
        self._states[upload_id] = frame

    def discard(self, upload_id: str) -> None:
        self._states.pop(upload_id, None)
        if self._waiting_since is not None:
            self._waiting_since.pop(upload_id, None)

    def holds(self, upload_id: str) -> bool:
        """Whether a state of this upload is still pending."""
        return upload_id in self._states

    @property
    def waiting_since(self) -> float | None:
        """When the first of the uploads got a state that has not left, nor has a newer one in its place."""
        return min(self._waiting_since.values(), default=None) if self._waiting_since else None

    def wait(self, now: float, upload_id: str | None = None) -> int:
        """What is pending, of one upload or of all, waits from now on, unless it waits already.

        Returns:
            How many states began to.
        """
        since = self._waiting_since
        if since is None:
            since = self._waiting_since = {}
            self.waits = True
        before = len(since)
        for waiting in self._states if upload_id is None else (upload_id,):
            since.setdefault(waiting, now)
        return len(since) - before

    def left(self, now: float) -> list[float]:
        """For how long each state waited that has left since the last call."""
        since, states = self._waiting_since, self._states
        if since is None:
            return []
        left = [upload_id for upload_id in since if upload_id not in states]
        waited = [now - since.pop(upload_id) for upload_id in left]
        if not since:
            self._waiting_since = None
            self.waits = False
        return waited

    def take(self, bytes_max: int) -> list[F]:
        """Remove and return what goes out next: at least one frame if any is pending, and with others at most ``bytes_max``."""
        if not self._first and len(self._states) < 2:  # nearly always
            return [self._states.popitem()[1]] if self._states else []
        taken: list[F] = []
        size = 0
        first = self._first
        while first and (not taken or size + len(first[0][0]) <= bytes_max):
            frame, direct = first.popleft()
            if direct:
                self._direct_count -= 1
                self._direct_bytes -= len(frame)
            else:
                self.reply_bytes -= len(frame)
            taken.append(frame)
            size += len(frame)
        if first:
            return taken
        self._first = None
        states = self._states
        if size + sum(map(len, states.values())) <= bytes_max:
            taken.extend(states.values())
            states.clear()
            return taken
        for upload_id in list(states):
            if taken and size + len(states[upload_id]) > bytes_max:
                break
            frame = states.pop(upload_id)
            taken.append(frame)
            size += len(frame)
        return taken

    def clear(self) -> None:
        self._first = None
        self._states.clear()
        self._waiting_since = None
        self.waits = False
        self.reply_bytes = self._direct_bytes = self._direct_count = 0

    def _queue(self) -> deque[tuple[F, bool]]:
        if self._first is None:
            self._first = deque()
        return self._first


class _Pending(NamedTuple):
    frame: Frame
    progress_of: str | None


class OrderedOutbox:
    """Every message in call order; pending progress of an upload gives its place to newer progress, never across an end.

    What is not progress is bounded: at most ``count_max`` messages and ``bytes_max`` bytes wait. Progress is bounded by the
    uploads that the receiver follows and by the ends between.
    """

    __slots__ = ("_bytes", "_count", "_line", "_newest_progress", "_next", "conflated")

    def __init__(self) -> None:
        self._line: dict[int, _Pending] = {}
        self._newest_progress: dict[str, int] = {}
        self._next = 0
        self._count = 0
        self._bytes = 0
        self.conflated = 0

    def __bool__(self) -> bool:
        return bool(self._line)

    def add_progress(self, upload_id: str, frame: Frame) -> None:
        """Progress, which newer progress of the same upload may replace while it waits."""
        place = self._newest_progress.get(upload_id)
        if place is None:
            place = self._newest_progress[upload_id] = self._next
            self._next += 1
        else:
            self.conflated += 1
        self._line[place] = _Pending(frame, upload_id)

    def add(self, frame: Frame, *, ends: str | None, count_max: int, bytes_max: int) -> bool:
        """Anything else. ``ends`` is the upload that this message ends: progress on either side of it stays apart.

        Returns:
            Whether there was room. Where there was none, the message was not added and the connection should end.
        """
        if self._count >= count_max or self._bytes + len(frame) > bytes_max:
            return False
        if ends is not None:
            self._newest_progress.pop(ends, None)
        self._line[self._next] = _Pending(frame, None)
        self._next += 1
        self._count += 1
        self._bytes += len(frame)
        return True

    def take(self) -> Frame | None:
        """Remove and return the message that goes out next, None where nothing waits."""
        if not self._line:
            return None
        place = next(iter(self._line))
        frame, progress_of = self._line.pop(place)
        if progress_of is None:
            self._count -= 1
            self._bytes -= len(frame)
        elif self._newest_progress.get(progress_of) == place:
            del self._newest_progress[progress_of]
        return frame

    def clear(self) -> None:
        self._line.clear()
        self._newest_progress.clear()
        self._count = self._bytes = 0
