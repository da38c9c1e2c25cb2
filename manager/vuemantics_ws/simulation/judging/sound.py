"""Whether the nodes kept their heads. A fault of ours is one, whether or not anybody outside noticed."""

from collections.abc import Iterator

from vuemantics_ws.simulation.judging.findings import Finding, Seen, judge
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Troubled


def sound(history: History) -> Finding:
    """No node logged an error, and no exception reached nobody. For runs in virtual time, where that is seen."""
    return judge("sound", "no node met a fault of its own", history, _samples(history))


def _samples(history: History) -> Iterator[Seen]:
    for _ in history.began.nodes:
        yield Seen(None, history.began)
    for record in history.records:
        if isinstance(record, Troubled):
            yield Seen(f"{record.node} met a fault of its own: {record.what}", record)
