"""An orderly stop: everybody gets what is pending for them, then 1012, spread so that their return is no stampede."""

import asyncio
from collections.abc import Sequence

from vuemantics_ws.closing import RELOADING_REASON, CloseCode
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.port import Phase
from vuemantics_ws.gateway.timers import Timers

SPACING_MAX_S = 0.1
"""A handful of connections is not made to wait for the whole of the drain."""


async def drain(connections: Sequence[Connection], timers: Timers, *, drain_s: float) -> None:
    """Close these connections, one after the other, within ``drain_s``.

    A connection for which something is still pending when its turn comes is closed as soon as that has left, and at the end
    of the drain in any case: a peer that reads nothing holds nobody up.
    """
    started_at = timers.now()
    spacing_s = min(SPACING_MAX_S, drain_s / max(1, len(connections)))
    for turn, connection in enumerate(connections):
        await asyncio.sleep(started_at + turn * spacing_s - timers.now())
        if connection.phase is Phase.OPEN:
            _close_when_flushed(connection)
        else:
            connection.abort()
    waiting = [connection for connection in connections if connection.phase is Phase.OPEN]
    while waiting and timers.now() < started_at + drain_s:
        await asyncio.sleep(min(0.05, max(0.0, started_at + drain_s - timers.now())))
        waiting = [connection for connection in waiting if connection.phase is Phase.OPEN]
    for connection in waiting:
        _close(connection)


def _close_when_flushed(connection: Connection) -> None:
    connection.when_flushed(lambda: _close(connection))


def _close(connection: Connection) -> None:
    connection.close(CloseCode.SERVER_RELOADING, RELOADING_REASON)
