"""What is on its way in one direction of a connection, and arrives when its lane says so. No task runs for it, only timers."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from vuemantics_ws.simulation.network.lanes import PACKET_BYTES, Lane

EARLY_S = 0.0005
"""A timer may fire so much too early: some loops count in milliseconds."""

DELIVERED_BYTES_MAX = 8 * 1024
"""What is handed over at once, so that whoever reads slowly can say so in between."""

End = Literal["no more comes", "closed", "reset"]


class Flow:
    """What is on its way in one direction, oldest first. ``arrive`` is called with bytes as they arrive, ``end`` at the end."""

    def __init__(
        self, lane: Lane, now: Callable[[], float], arrive: Callable[[bytes], None], end: Callable[[End], None]
    ) -> None:
        self.waiting_bytes = 0
        self.slice_bytes_max = 0
        """Cut what is sent into slices of up to so many bytes, each of which arrives alone; 0 for packets, which may not."""
        self._lane = lane
        self._now = now
        self._arrive = arrive
        self._end = end
        self._waiting: deque[tuple[float, bytes | End]] = deque()
        self._is_held = False
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes) -> None:
        if self._is_over:
            return
        now, start = self._now(), 0
        while start < len(data):
            size = self._lane.dice.randint(1, self.slice_bytes_max) if self.slice_bytes_max else PACKET_BYTES
            packet = data[start : start + size]
            self._waiting.append((self._lane.arrival(now, len(packet)), packet))
            start += size
        self.waiting_bytes += len(data)
        self._set_timer()

    def end(self, end: End) -> None:
        """This comes behind all that is on its way."""
        if not self._is_over:
            self._waiting.append((self._lane.arrival(self._now(), 0), end))
            self._set_timer()

    def hold(self, *, held: bool) -> None:
        """While held, nothing arrives; afterwards all at once that would have."""
        self._is_held = held
        if held:
            self._cancel()
        else:
            self._set_timer()

    def stop(self) -> None:
        """What is on its way is lost, and nothing comes after it."""
        self._is_over = True
        self._waiting.clear()
        self.waiting_bytes = 0
        self._cancel()

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._is_held

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting and not self._is_held:
            pause_s = max(0.0, self._waiting[0][0] - self._now())
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        """Hand over what has arrived. Whoever takes it may hold or stop the flow meanwhile."""
        self._timer = None
        waiting, now = self._waiting, self._now() + EARLY_S
        most = 1 if self.slice_bytes_max else DELIVERED_BYTES_MAX
        while waiting and waiting[0][0] <= now and not self._is_held:
            arrived: list[bytes] = []
            size = 0
            while waiting and waiting[0][0] <= now and size < most:
                item = waiting[0][1]
                if isinstance(item, str):
                    break
                waiting.popleft()
                arrived.append(item)
                size += len(item)
            if arrived:
                self.waiting_bytes -= size
                self._arrive(arrived[0] if len(arrived) == 1 else b"".join(arrived))
                if self.slice_bytes_max:
                    break
            else:
                _, end = waiting.popleft()
                assert isinstance(end, str)
                self._end(end)
        self._set_timer()
