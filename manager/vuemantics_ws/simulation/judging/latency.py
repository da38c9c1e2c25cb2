"""How long states take until somebody sees them, those included that nobody saw; and how long it takes to connect."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.following import Connection, Window
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.percentiles import Durations
from vuemantics_ws.simulation.log import Opened, Received


class Delay(NamedTuple):
    """A state was due, and so much later its client had it, or a newer one. ``state`` is what came."""

    seconds: float
    due: Version
    state: Received
    window: Window


def delays(
    history: History, *, clients: Collection[str] | None = None, upload_ids: Collection[str] | None = None
) -> Iterator[Delay]:
    """Every state that a connection was owed, from the moment at which its publishing was due.

    A sample is each accepted state whose publishing was due while the connection received its upload, if the connection then
    got it or something newer; it lasts until whichever came first. So a state that a newer one replaced on its way counts, and
    longer than the newer one: where many states waited for somebody, all that waiting is counted, and not once for the one
    that was sent in the end (the omission that is called coordinated). For the same reason it begins when the plan has the
    event, not when a worker that was late itself came to publish it.

    No sample is a state that is older than the window, as those are that are sent for a welcome, and one after which the
    connection got nothing: whether it had to is for the laws to say.
    """
    timetables = {upload_id: _timetable(history, upload_id) for upload_id in upload_ids or history.began.uploads}
    for window in history.windows:
        if clients is not None and window.connection.client not in clients:
            continue
        timetable = timetables.get(window.upload_id)
        if timetable and history.gives(window.connection.user, window.upload_id):
            yield from _delays_of(window, timetable)


def latency_by_entry(history: History) -> dict[str, Durations]:
    """The same, gathered by the clients' entries in the scenario file."""
    found: dict[str, Durations] = {}
    for delay in delays(history):
        entry = entry_of(delay.window.connection.client)
        durations = found.get(entry)
        if durations is None:
            durations = found[entry] = Durations()
        durations.add(delay.seconds)
    return found


def connect_time(connection: Connection) -> float | None:
    """From when a client began to connect until ``auth_success``; None where it did not come so far."""
    opened = connection.records[0]
    if connection.authenticated_at is None or not isinstance(opened, Opened) or opened.dialed_at is None:
        return None
    return connection.authenticated_at - opened.dialed_at


def entry_of(client: str) -> str:
    """The client's id in the file: its name without the number that it has in a fleet."""
    return client.partition(":")[0]


def _timetable(history: History, upload_id: str) -> list[tuple[Version, float]]:
    """The accepted versions, growing, with the moment at which each was due."""
    return sorted((accepted.version, accepted.published.scheduled_at) for accepted in history.accepted(upload_id))


def _delays_of(window: Window, timetable: list[tuple[Version, float]]) -> Iterator[Delay]:
    place = 0
    for state in window.states:
        version = state.version
        if version is None:
            continue
        while place < len(timetable) and timetable[place][0] <= version:
            due, due_at = timetable[place]
            place += 1
            if due_at >= window.start:
                yield Delay(max(0.0, state.at - due_at), due, state, window)
