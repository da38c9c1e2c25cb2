"""Bugs of connections: what waits for them, their deadlines, and how they end."""

from collections.abc import Sequence

from tests.simulation.planted.planting import Bug, Soil
from vuemantics_ws.core.outbox import ConflatingOutbox
from vuemantics_ws.core.session import Input, State
from vuemantics_ws.gateway import drain as draining
from vuemantics_ws.gateway import server
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.conversation import UploadConversation
from vuemantics_ws.gateway.kernel import StallWatch
from vuemantics_ws.gateway.timers import NEVER, Timed, Timers


def end_lost_under_conflation(soil: Soil) -> None:
    def put_state(self: ConflatingOutbox[bytes], upload_id: str, frame: bytes) -> None:
        if upload_id in self._states:
            self.conflated += 1
        else:
            self._states[upload_id] = frame

    soil.replace(ConflatingOutbox, "put_state", put_state)


def unbounded_queue(soil: Soil) -> None:
    def put_state(self: ConflatingOutbox[bytes], upload_id: str, frame: bytes) -> None:
        self._queue().append((frame, True))
        self._direct_count += 1
        self._direct_bytes += len(frame)

    soil.replace(ConflatingOutbox, "put_state", put_state)


def stalled_reader_stays(soil: Soil) -> None:
    def lasts(self: StallWatch, written: int, now: float) -> float:
        taken = written - self._waiting()
        if taken >= self._taken:
            self._taken, self._since = taken, now
        return now - self._since

    soil.replace(StallWatch, "lasts", lasts)


def signs_of_life_unseen(soil: Soil) -> None:
    right = Connection.data_received

    def data_received(self: Connection, data: bytes) -> None:
        heard_at = self._heard_at
        right(self, data)
        if self.user_id is not None:
            self._heard_at = heard_at

    soil.replace(Connection, "data_received", data_received)


def earlier_deadline_ignored(soil: Soil) -> None:
    right = Timers.schedule

    def schedule(self: Timers, timed: Timed, at: float) -> None:
        if not timed.due_tick:
            right(self, timed, at)

    soil.replace(Timers, "schedule", schedule)


def expiry_ignored(soil: Soil) -> None:
    def on_deadline(self: UploadConversation, now: float) -> None:
        if self._state is State.AUTHENTICATING:
            self._take(Input.AUTH_DEADLINE)
        self.deadline = NEVER

    soil.replace(UploadConversation, "on_deadline", on_deadline)


def live_table_across_an_await(soil: Soil) -> None:
    async def _drain(self: server.Gateway) -> None:
        await draining.drain(self.connections.keys(), self.timers, drain_s=self.settings.drain_s)  # type: ignore[arg-type]

    soil.replace(server.Gateway, "_drain", _drain)


def drain_at_once(soil: Soil) -> None:
    async def drain(connections: Sequence[Connection], timers: Timers, *, drain_s: float) -> None:
        for connection in connections:
            draining._close_when_flushed(connection)

    soil.replace(server, "drain", drain)


IN_THE_GATEWAY = (
    Bug(
        "an end lost under conflation",
        "A frame that waits stays, and what is newer is dropped.",
        end_lost_under_conflation,
        "slow-tabs",
    ),
    Bug("an outbox without bounds", "Every state waits in line for whoever reads slowly.", unbounded_queue, "slow-tabs"),
    Bug(
        "a stalled reader stays",
        "Having taken no less than before counts as having taken something.",
        stalled_reader_stays,
        "slow-tabs",
    ),
    Bug(
        "an earlier deadline ignored",
        "Whoever waits for a later call cannot ask for an earlier one.",
        earlier_deadline_ignored,
        "slow-tabs",
    ),
    Bug("signs of life unseen", "A pong is no sign of life.", signs_of_life_unseen, "tabs-on-two-nodes"),
    Bug("a token that never ends", "A token is looked at when it comes, and never again.", expiry_ignored, "token-expiry"),
    Bug(
        "a live table across an await",
        "The drain goes through the table of connections itself, which changes while it waits.",
        live_table_across_an_await,
        "orderly-restart",
    ),
    Bug("a drain all at once", "Everybody is sent away in one moment.", drain_at_once, "orderly-restart"),
)
