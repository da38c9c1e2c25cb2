"""What generated programs note, as one number. It needs no library, so that any Python can tell it."""

import hashlib
import random
from typing import Any

from tests.simulation.clock.programs import VERBS, Action, Trace, play, traced
from vuemantics_ws.simulation.clock.loop import VirtualLoop

Plans = list[list[Action]]


def played(plans: Plans, **options: Any) -> Trace:
    async def program(loop: VirtualLoop, trace: Trace) -> None:
        await play(plans, trace)

    return traced(program, **options)


def many_plans() -> list[Plans]:
    """Always the same.

    Where there are groups nobody is cancelled: before Python 3.13 a group whose member failed at that instant forgot it.
    """
    dice = random.Random("plans")
    plans = []
    for number in range(200):
        verbs = [verb for verb in VERBS if verb not in ("later", "cancel" if number % 2 else "group")]
        plans.append(
            [
                [Action(dice.choice(verbs), dice.randrange(10), dice.randrange(4)) for _ in range(dice.randrange(8))]
                for _ in range(dice.randrange(1, 8))
            ]
        )
    return plans


def fingerprint() -> str:
    traces = [played(plans, seed=seed) for seed, plans in enumerate(many_plans())]
    return hashlib.sha256(repr(traces).encode()).hexdigest()
