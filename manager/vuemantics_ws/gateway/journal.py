"""What happens in a gateway, as it happens, for whoever watches."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from vuemantics_ws.ambient import Clock

QUEUE_MAX = 1_000
"""Happenings that wait for one slow listener. Beyond it the oldest are dropped, and the listener is told how many."""


class _Listener:
    __slots__ = ("dropped", "queue", "woken")

    def __init__(self) -> None:
        self.queue: deque[dict[str, Any]] = deque()
        self.dropped = 0
        self.woken = asyncio.Event()


class Journal:
    """Tells every listener what happens. Costs a check where nobody listens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listeners: dict[int, _Listener] = {}
        self._numbers = 0
        self.dropped = 0
        """Happenings that listeners were too slow for, all together."""
        self._closed = False

    def tell(self, kind: str, fields: dict[str, Any]) -> None:
        if not self._listeners:
            return
        happening = {"at": round(self._clock.wall(), 3), "kind": kind, **fields}
        for listener in self._listeners.values():
            if len(listener.queue) >= QUEUE_MAX:
                listener.queue.popleft()
                listener.dropped += 1
                self.dropped += 1
            listener.queue.append(happening)
            listener.woken.set()

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        """Everything from now on, until the journal is closed or the caller leaves."""
        self._numbers += 1
        number, listener = self._numbers, _Listener()
        self._listeners[number] = listener
        try:
            while not self._closed or listener.queue:
                if listener.dropped:
                    dropped, listener.dropped = listener.dropped, 0
                    yield {"at": round(self._clock.wall(), 3), "kind": "dropped", "count": dropped}
                elif listener.queue:
                    yield listener.queue.popleft()
                else:
                    listener.woken.clear()
                    await listener.woken.wait()
        finally:
            del self._listeners[number]

    def close(self) -> None:
        """End every listener once it has read what waits for it."""
        self._closed = True
        for listener in self._listeners.values():
            listener.woken.set()
