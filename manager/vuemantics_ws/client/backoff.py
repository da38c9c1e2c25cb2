"""How long a client that lost its connection waits before it comes back."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The application's own by default (PROTOCOL.md section 4): 1 s · 2ⁿ up to 30 s, plus up to 3 s, ten tries.

    Ten tries last 211 s at most, which is why a server keeps what a user follows for longer than that.
    """

    initial_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    jitter_s: float = 3.0
    tries_max: int = 10

    def delays(self, dice: random.Random) -> Iterator[float]:
        """The pause in seconds before each try. Begin anew after every success."""
        for tries in range(self.tries_max):
            yield min(self.max_s, self.initial_s * self.factor**tries) + dice.uniform(0.0, self.jitter_s)
