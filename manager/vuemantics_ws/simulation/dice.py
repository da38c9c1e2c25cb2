"""Chance from named streams, so that adding one client changes nobody else's luck."""

import math
import random
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

_IDS = uuid5(NAMESPACE_URL, "https://vuemantics.example/simulation")


def stream(seed: int, entity: str, purpose: str) -> random.Random:
    """The dice of one entity for one purpose. The same three arguments give the same dice, on every machine."""
    return random.Random(f"{seed}/{entity}/{purpose}")  # noqa: S311 - the same luck again is what a simulation is for


def upload_id_of(seed: int, name: str) -> str:
    """The UUID that stands for an upload's name on the wire, since the browser wants a UUID there."""
    return str(uuid5(_IDS, f"{seed}/{name}"))


class Exponential(NamedTuple):
    """A quantity without memory, as the pauses between strangers are: mostly small, now and then large."""

    mean: float

    def draw(self, dice: random.Random) -> float:
        return self.mean * -math.log(1.0 - dice.random())


class Spread(NamedTuple):
    """A quantity that is fixed (``low`` equals ``high``) or drawn evenly from between the two, both included."""

    low: float
    high: float

    def draw(self, dice: random.Random) -> float:
        """Takes one number from the dice in either case, so that fixing a quantity shifts nothing that is drawn later."""
        return self.low + (self.high - self.low) * dice.random()


Draw = Spread | Exponential
"""Whatever a quantity of time may be in a file. Each takes one number from the dice."""


def drawn(quantity: Draw, seed: int, entity: str, purpose: str) -> float:
    """A quantity from dice that are thrown for nothing else: where it is fixed, none are made, since making them costs most."""
    if isinstance(quantity, Spread) and quantity.low == quantity.high:
        return quantity.low
    return quantity.draw(stream(seed, entity, purpose))
