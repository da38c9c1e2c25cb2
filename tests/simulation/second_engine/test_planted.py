"""Known faults, planted in the production code: the second engine finds each, so what it says of the whole means something.

Each is a fault that the design names, or that the class had from which this one grew. Most show only under some seeds.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.second_engine import plays
from tests.simulation.second_engine.engine import Program, needs_engine, search
from vuemantics_ws.brokers.base import Found
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.delivery import Asked, Delivery
from vuemantics_ws.core.outbox import ConflatingOutbox
from vuemantics_ws.core.receiver import Receiver
from vuemantics_ws.core.registry import Upload
from vuemantics_ws.gateway.drain import drain
from vuemantics_ws.gateway.server import Gateway

pytestmark = needs_engine

SEEDS = 60
"""Most need a few."""

Patch = Callable[[pytest.MonkeyPatch], None]


def head_before_watch(patch: pytest.MonkeyPatch) -> None:
    """A broker reads the head, and watches a moment later."""
    watch, unwatch = MemoryBroker.watch, MemoryBroker.unwatch

    def reads_first(self: MemoryBroker, upload_id: str, found: Found) -> None:
        upload = self._uploads.get(upload_id)
        head = upload.head if upload is not None else None

        def watches() -> None:
            if upload_id not in self._watched:
                watch(self, upload_id, lambda _: found(head))

        asyncio.get_running_loop().call_later(0.001, watches)

    def unwatch_if_watched(self: MemoryBroker, upload_id: str) -> None:
        if upload_id in self._watched:
            unwatch(self, upload_id)

    patch.setattr(MemoryBroker, "watch", reads_first)
    patch.setattr(MemoryBroker, "unwatch", unwatch_if_watched)


def end_lost_under_conflation(patch: pytest.MonkeyPatch) -> None:
    """What waits stays, and what is newer is dropped."""

    def keeps_the_older(self: ConflatingOutbox[bytes], upload_id: str, frame: bytes) -> None:
        self._states.setdefault(upload_id, frame)

    patch.setattr(ConflatingOutbox, "put_state", keeps_the_older)


def snapshot_after_newer(patch: pytest.MonkeyPatch) -> None:
    """The snapshot is read at once, and sent a moment later."""

    def sends_later(self: Delivery, user: Any, upload: Upload[Receiver], receiver: Receiver) -> None:
        head = upload.head
        if head is not None and self._access(user.user_id, head.owner) and user.holds(receiver, upload.upload_id):
            asyncio.get_running_loop().call_later(0.001, receiver.put_state, upload.upload_id, head.frame)

    patch.setattr(Delivery, "_send_head", sends_later)


def live_table_across_an_await(patch: pytest.MonkeyPatch) -> None:
    """The drain goes through the table of connections itself, which changes while it waits."""

    async def drains(self: Gateway) -> None:
        await drain(self.connections.keys(), self.timers, drain_s=self.settings.drain_s)  # type: ignore[arg-type]

    patch.setattr(Gateway, "_drain", drains)


def one_tab_silences_all(patch: pytest.MonkeyPatch) -> None:
    """Giving up is the user's, not the connection's."""
    give_up = ConnectionManager.give_up

    def of_the_user(self: ConnectionManager, user_id: str, upload_id: str, receiver: Any) -> None:
        give_up(self, user_id, upload_id, None)

    patch.setattr(ConnectionManager, "give_up", of_the_user)


def no_grace(patch: pytest.MonkeyPatch) -> None:
    """Whoever's last connection closes is forgotten at once."""

    def leave(self: ConnectionManager, user_id: str, receiver: Any) -> None:
        assert self._delivery is not None
        if self._delivery.leave(user_id, receiver):
            self._forget(user_id)

    patch.setattr(ConnectionManager, "leave", leave)


def end_twice(patch: pytest.MonkeyPatch) -> None:
    """A repeated subscribe sends the head to everybody, not only to who asks."""

    def answers_all(self: Delivery, upload: Upload[Receiver], asked: Asked) -> None:
        asked.answer(True)
        for connection in asked.user.connections:
            self._send_head(asked.user, upload, connection)

    patch.setattr(Delivery, "_answer", answers_all)


PLANTED: dict[str, tuple[Patch, Program, str]] = {
    "the head is read before the watch": (head_before_watch, plays.a_publisher_races_with_a_join, "the end arrives"),
    "an end is lost under conflation": (end_lost_under_conflation, plays.somebody_reads_slowly, "the end arrives"),
    "a snapshot comes after a newer state": (snapshot_after_newer, plays.a_publisher_races_with_a_join, "order"),
    "a live table is iterated across an await": (live_table_across_an_await, plays.the_node_stops, "[1012]"),
    "one tab silences all": (one_tab_silences_all, plays.one_tab_gives_it_up, "convergence"),
    "there is no grace time": (no_grace, plays.somebody_comes_back, "no seam"),
    "a state is sent to who has it": (end_twice, plays.a_crowd, "order"),
}


@pytest.mark.parametrize("policy", ["random", "pct"])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, name: str, policy: str) -> None:
    plant, play, says = PLANTED[name]
    plant(monkeypatch)

    found = search(play, seeds=SEEDS, policy=policy)

    assert found is not None, f"{SEEDS} seeds showed nothing"
    assert says in str(found.exception)
