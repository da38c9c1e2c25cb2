"""What a transport was given and could not send yet, and when that is too much."""

from collections import deque

from vuemantics_ws.simulation.network.stream import Stream

HIGH_WATER_BYTES = 64 * 1024
"""What waits before a protocol is paused, unless it says otherwise; asyncio's number."""


class WriteBuffer:
    """Bytes that wait, oldest first, between two marks. True while any wait."""

    __slots__ = ("_waiting", "high_bytes", "low_bytes", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.high_bytes, self.low_bytes = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self._waiting: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def set_limits(self, high: int | None, low: int | None) -> None:
        """As asyncio has them: each follows from the other where only one is given.

        Raises:
            ValueError: the low mark is above the high one, or below nothing.
        """
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high_bytes, self.low_bytes = high, low

    @property
    def is_high(self) -> bool:
        return self.size_bytes > self.high_bytes

    @property
    def is_low(self) -> bool:
        return self.size_bytes <= self.low_bytes

    def add(self, data: bytes) -> None:
        self._waiting.append(data)
        self.size_bytes += len(data)

    def send(self, stream: Stream) -> None:
        """Send what there is room for."""
        waiting = self._waiting
        while waiting and (sent := stream.put(waiting[0])):
            self.size_bytes -= sent
            if sent == len(waiting[0]):
                waiting.popleft()
            else:
                waiting[0] = waiting[0][sent:]

    def clear(self) -> None:
        self._waiting.clear()
        self.size_bytes = 0
