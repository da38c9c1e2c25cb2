"""Whether it was the scenario that kept a tab away, or nobody knows what."""

import math

from vuemantics_ws.simulation.judging.disturbances import RECOVERS_S
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient


def is_excused(plan: Plan, history: History, client: PlannedClient, at: float) -> bool:
    """Whether the scenario has a reason for this client's having been without a connection then.

    Its connection ended, and each try to come back failed, while a fault befell it or the node in question, or soon after; in
    between it waited, as the application does. A fault of Redis is no reason, since nodes keep their clients through it. One
    that the file gives a bad network, slow eyes, a token that expires or a script has its reason in that.
    """
    networks = [client.network, *(fault.network for fault in plan.faults if client.name in fault.clients)]
    if any(network is not None and network.outage is not None for network in networks):
        return True
    if client.reading is not None or client.script is not None or client.token.ttl is not None:
        return True
    connections = [each for each in history.connections.values() if each.client == client.name and each.opened_at <= at]
    joined = [place for place, each in enumerate(connections) if each.authenticated_at is not None]
    ended = [(each.closed.at, each.node) for each in connections[joined[-1] if joined else 0 :] if each.closed is not None]
    if not ended:
        return False
    since = ended[0][0]
    tried = [(each.at, None) for each in history.unreachable.get(client.name, ()) if since <= each.at <= at]
    faults = [(fault, _ends_at(fault, history)) for fault in plan.faults]
    return all(
        any(_befalls(fault, client, node) and fault.at_s <= moment <= ends_at + RECOVERS_S for fault, ends_at in faults)
        for moment, node in (*ended, *tried)
    )


def _befalls(fault: PlannedFault, client: PlannedClient, node: str | None) -> bool:
    """Whether it can end a connection of the client to this node; None stands for any."""
    if fault.do.startswith("node."):
        return node is None or fault.node == node
    return client.name in fault.clients


def _ends_at(fault: PlannedFault, history: History) -> float:
    """When it was over; never, where it is for good, and at no time where it has not happened."""
    happened = next((each for each in history.faults if each.number == fault.number), None)
    if happened is None:
        return -math.inf
    return math.inf if fault.lasts_s is None else happened.ends
