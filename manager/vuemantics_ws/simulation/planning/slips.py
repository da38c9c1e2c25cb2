"""What goes wrong on the way from a worker to the server: the slips of a messy worker.

Each event takes the same numbers from the dice, whatever becomes of it.
"""

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.scenario import Messiness
from vuemantics_ws.simulation.pipeline import PERCENTS, Action

SLIPS_S = Spread(0.005, 0.2)
"""How long after the right one a duplicate comes, and at most how long after the event that overtook it a reordered one."""

STRAGGLES_S = Spread(0.05, 2.0)
"""How long after the end a late event comes: well within the time in which the judge knows it for a straggler."""

LATE_S = Spread(0.5, 5.0)
"""How long an event is held up that comes late."""


class PlannedEvent(NamedTuple):
    """One event of a worker. ``stage`` is the one that it announces, or in which the upload ended; ``seq`` counts from 1.

    ``messy`` events are slips: the judge may refuse them. ``copy`` is one that was published before, byte for byte.
    """

    at_s: float
    action: Action
    stage: Stage
    percent: int
    attempt: int
    seq: int
    messy: bool = False
    copy: bool = False


def reordered(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> list[PlannedEvent]:
    """Some progress events come after the one that follows them, and before whatever follows that.

    One that overtakes stays where it is, so at most every second event is moved. The last two of a run keep their places, so
    nothing is moved past an end.
    """
    moved = list(events)
    is_moved = False
    for number, event in enumerate(events):
        late, pause = dice.random() < messiness.reorder, dice.random()
        run = [other for other in events[number + 1 : number + 3] if other.attempt == event.attempt]
        gap_s = run[1].at_s - run[0].at_s if len(run) == 2 else 0.0
        is_moved = late and not is_moved and gap_s > 0
        if is_moved:
            slip_s = min(gap_s, SLIPS_S.high) * (0.25 + pause / 2)
            moved[number] = event._replace(at_s=run[0].at_s + slip_s, messy=True)
    return moved


def delayed(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> list[PlannedEvent]:
    """Some progress events come late, and still before the last of their run: nothing is moved past an end."""
    ends_s = {event.attempt: event.at_s for event in events}
    moved = []
    for event in events:
        late, pause_s = dice.random() < messiness.late, LATE_S.draw(dice)
        at_s = min(event.at_s + pause_s, event.at_s + 0.9 * (ends_s[event.attempt] - event.at_s))
        moved.append(event._replace(at_s=at_s, messy=True) if late and at_s > event.at_s and not event.messy else event)
    return moved


def duplicates(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> Iterable[PlannedEvent]:
    """Some events come twice."""
    for event in events:
        twice, slip_s = dice.random() < messiness.duplicate, SLIPS_S.draw(dice)
        if twice:
            yield event._replace(at_s=event.at_s + slip_s, messy=True, copy=True)


def stragglers(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> Iterable[PlannedEvent]:
    """Progress that comes after each end, and before the next run begins.

    None of it says that the upload is queued, which from a plain publisher would be the beginning of another run.
    """
    for event, after in pairwise([*events, None]):
        if event is None or event.action == "upload_progress":
            continue
        latest_s = min(STRAGGLES_S.high, after.at_s - event.at_s) if after is not None else STRAGGLES_S.high
        straggles_s = Spread(min(STRAGGLES_S.low, latest_s), latest_s)
        stage, percent = event.stage, event.percent
        if stage is Stage.QUEUED:
            stage, percent = Stage.VISION_ANALYSIS, PERCENTS[Stage.VISION_ANALYSIS]
        times = sorted(event.at_s + straggles_s.draw(dice) for _ in range(messiness.after_terminal))
        for place, at_s in enumerate(times, start=1):
            yield PlannedEvent(at_s, "upload_progress", stage, percent, event.attempt, event.seq + place, messy=True)
