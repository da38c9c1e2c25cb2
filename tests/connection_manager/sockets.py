"""Sockets of every kind that an application may hand to the manager, with peers that do as a test says."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from vuemantics_ws.connection_manager import ConnectionManager


class Peer:
    """What happens behind a socket: by default it takes at once.

    ``sent`` is what it took, in order; ``closings`` are the closes that it saw, as code and reason.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closings: list[tuple[int, str]] = []
        self.error: BaseException | None = None
        self.close_error: BaseException | None = None
        self.close_hangs = False
        self.on_error: Callable[[], None] | None = None
        self.cancelled_sends = 0
        self.sends_begun = 0
        self._reads = asyncio.Event()
        self._reads.set()

    def stop_reading(self) -> None:
        self._reads.clear()

    def read_again(self) -> None:
        self._reads.set()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closings.append((code, reason))
        if self.close_hangs:
            await asyncio.Event().wait()
        if self.close_error is not None:
            raise self.close_error

    async def _take(self, message: Any) -> None:
        self.sends_begun += 1
        try:
            if not self._reads.is_set():
                await self._reads.wait()
        except asyncio.CancelledError:
            self.cancelled_sends += 1
            raise
        if self.error is not None:
            if self.on_error is not None:
                self.on_error()
            raise self.error
        self.sent.append(message)


class TextSocket(Peer):
    """Like Starlette's and FastAPI's, which have all three; text is what it is asked for."""

    async def send_text(self, data: str) -> None:
        await self._take(json.loads(data))

    async def send(self, message: Any) -> None:
        raise AssertionError("a socket that has send_text is not asked to send")

    async def send_json(self, data: Any) -> None:
        raise AssertionError("a socket that has send_text is not asked to send_json")


class PlainSocket(Peer):
    """Like a connection of ``websockets``."""

    async def send(self, message: str) -> None:
        assert isinstance(message, str)
        await self._take(json.loads(message))


class JSONSocket(Peer):
    """One that has nothing but ``send_json``."""

    async def send_json(self, data: Any) -> None:
        assert isinstance(data, dict)
        await self._take(data)


class StubbornSocket(TextSocket):
    """One whose close neither ends nor lets itself be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closings.append((code, reason))
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                pass


def sizes(manager: ConnectionManager) -> dict[str, int]:
    """How much every table of a manager holds; the empty ones are left out."""
    tables: dict[str, Any] = {
        "writers": manager._writers,
        "waiting": manager._absences._waiting,
        "leaving": manager._absences._leaving,
        "users": manager.registry.users,
        "uploads": manager.registry.uploads,
        "asked": manager._delivery._asked if manager._delivery is not None else {},
        "grace": [manager._absences._timer] if manager._absences._timer is not None else [],
    }
    return {name: len(table) for name, table in tables.items() if table}
