"""The faults of a scenario with their dice thrown: what befalls whom, when, and until when."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.faults import LOSES_DATA, OF_CLIENTS, REDIS, Fault, FaultName, share_of
from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.format.scenario import Scenario


class PlannedFault(NamedTuple):
    """One time that a fault happens. ``number`` tells it from all others of a run.

    ``lasts_s`` is how long it lasts: None for good, which only a killed node and a changed network do; a restart of a node
    lasts longer, by what its stop and its start take. ``node`` is whom it befalls, None for all of them or for none, or whom
    it parts from ``other``: Redis or an entry of clients. ``clients`` are the names of those whom it befalls.
    """

    number: int
    at_s: float
    do: FaultName
    lasts_s: float | None
    node: str | None = None
    other: str | None = None
    clients: frozenset[str] = frozenset()
    network: NetworkProfile | None = None
    loses_data: bool = False
    jumps_s: float = 0.0
    """By how much the clock jumps; below 0 it jumps back."""
    behind_s: float = 0.0
    """How much of the newest a replica had not heard."""

    @property
    def ends_s(self) -> float:
        """When it ends at the soonest."""
        return self.at_s + (self.lasts_s or 0.0)

    @property
    def forgets(self) -> bool:
        """Whether Redis has less afterwards than it was told."""
        return self.loses_data or self.behind_s > 0

    @property
    def is_for_redis(self) -> bool:
        """Whether it makes no sense without Redis."""
        return self.do.startswith("redis.") or self.other == REDIS

    @property
    def target(self) -> str:
        """Whom it befalls, in words."""
        if self.do.startswith("redis."):
            return REDIS
        if self.other is not None:
            return f"{self.node} and {self.other}"
        if self.node is not None:
            return self.node
        return f"{len(self.clients)} client{'s' * (len(self.clients) != 1)}" if self.do in OF_CLIENTS else "all nodes"


def plan_faults(
    scenario: Scenario, seed: int, clients: Sequence[tuple[str, str]], networks: dict[str, NetworkProfile]
) -> list[PlannedFault]:
    """Every time of every fault, in the order in which they begin.

    The dice of a fault are named by what it says, so that one that is left out changes nobody else's luck.

    Args:
        clients: of each its name and its entry.
    """
    found: list[PlannedFault] = []
    before = Counter[str]()
    for fault in scenario.faults:
        said = _said(fault)
        before[said] += 1
        name = f"fault {said} {before[said]}"
        begins_s = fault.at.draw(stream(seed, name, "time"))
        for time in range(fault.times):
            whom = frozenset(_whom(fault, f"{name}/{time}", seed, clients))
            found.append(_planned(fault, begins_s + time * (fault.every or 0.0), whom, networks))
    found.sort(key=lambda planned: planned.at_s)
    return [planned._replace(number=number) for number, planned in enumerate(found, start=1)]


def _said(fault: Fault) -> str:
    """What happens to whom, and when, as the file has it."""
    low, high = fault.at
    return f"{fault.do} {low:g}..{high:g} {fault.target or ' '.join(fault.between or ())}"


def _planned(fault: Fault, at_s: float, whom: frozenset[str], networks: dict[str, NetworkProfile]) -> PlannedFault:
    node, other, jumps_s = None, None, 0.0
    if fault.between is not None:
        node, other = sorted(fault.between, key=lambda one: not one.startswith("node:"))
    elif fault.do.startswith("node."):
        node = fault.target or "node:0"
    elif fault.do == "clock.jump":
        node, jumps_s = fault.target, (fault.for_s or 0.0) * (-1.0 if fault.how == "back" else 1.0)
    return PlannedFault(
        number=0,
        at_s=at_s,
        do=fault.do,
        lasts_s=fault.lasts_s,
        node=node,
        other=other,
        clients=whom,
        network=networks[fault.how] if fault.do == "network.change" and fault.how is not None else None,
        loses_data=fault.do == "redis.flush" or (fault.do in LOSES_DATA and bool(fault.lose_data)),
        jumps_s=jumps_s,
        behind_s=fault.behind or 0.0,
    )


def _whom(fault: Fault, purpose: str, seed: int, clients: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The clients that it befalls, drawn anew each time where it is a share of them."""
    if fault.do not in OF_CLIENTS:
        return
    target = fault.target
    if fault.between is not None:
        target = next((one for one in fault.between if not one.startswith("node:")), None)
    share = share_of(target) if target is not None else 1.0
    for name, entry in clients:
        if share is None:
            if entry == target:
                yield name
        elif stream(seed, name, purpose).random() < share:
            yield name
