"""How long a run goes on when all that was planned has happened: as long as something may still come that its file expects."""

from collections.abc import Iterator

from vuemantics_ws.closing import CloseCode
from vuemantics_ws.simulation.format.expected import CloseExpected
from vuemantics_ws.simulation.judging.following import Connection
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.planning.plan import Plan


def last_action_s(plan: Plan) -> float:
    """When the last thing happens of its own accord: at most the duration."""
    pauses = [
        client.join_s + client.reading.stop + (client.reading.for_s or 0.0)
        for client in plan.clients
        if client.reading is not None and client.reading.stop is not None
    ]
    return min(max([plan.last_action_s, *pauses]), plan.scenario.duration)


def messages_may_come_until_s(plan: Plan, since_s: float) -> float:
    """Until when outcomes may come whose events, at the latest, were published then."""
    within = [expectation.terminal.within or 0.0 for expectation in plan.scenario.expect if expectation.terminal is not None]
    return since_s + max(within, default=0.0)


def closes_may_come_until_s(plan: Plan, history: History) -> float:
    """Until when connections that are open now may end as the file expects; 0 where none has to.

    The goodbye of a browser ends with 1000. Where that is expected, it is waited for only as long as it would come too soon.
    """
    return max(_closes(plan, history), default=0.0)


def _closes(plan: Plan, history: History) -> Iterator[float]:
    expected = [expectation.close for expectation in plan.scenario.expect if expectation.close is not None]
    if not expected:
        return
    entries = {client.name: client.entry for client in plan.clients}
    for connection in history.connections.values():
        if connection.closed is None:
            for close in expected:
                if close.clients is None or entries[connection.client] in close.clients:
                    yield connection_may_last_until_s(close, connection)


def connection_may_last_until_s(expected: CloseExpected, connection: Connection) -> float:
    """Until when one connection may end as expected; a time that is over where it does not matter."""
    opened_at = connection.opened_at
    if CloseCode.NORMAL in expected.codes:
        return opened_at + expected.between.low if expected.between is not None else 0.0
    bounds = (expected.within, expected.between.high if expected.between is not None else None)
    return opened_at + min((bound for bound in bounds if bound is not None), default=0.0)
