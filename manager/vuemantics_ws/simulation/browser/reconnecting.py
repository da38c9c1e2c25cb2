"""How the clients of a scenario come back."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.simulation.format.scenario import Reconnect


@dataclass(frozen=True, slots=True)
class FullJitter(Backoff):
    """Each pause is drawn evenly from nothing to all of it, which spreads a crowd best."""

    def delays(self, dice: random.Random) -> Iterator[float]:
        for tries in range(self.tries_max):
            yield dice.uniform(0.0, min(self.max_s, self.initial_s * self.factor**tries))


def backoff_of(reconnect: Reconnect) -> Backoff:
    """What the file says, as the browser does it."""
    kind = FullJitter if reconnect.jitter is None else Backoff
    return kind(reconnect.initial, reconnect.factor, reconnect.max, reconnect.jitter or 0.0, reconnect.attempts)
