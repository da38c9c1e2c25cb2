"""What a simulated worker will publish of one upload, with the slips of a messy one."""

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.format.scenario import Ending, Messiness, ProgressPipeline, Upload
from vuemantics_ws.simulation.pipeline import (
    PERCENTS,
    Action,
    Announcement,
    Step,
    announcements,
    at_percent,
    ends_after_s,
)

SLIPS_S = Spread(0.005, 0.2)
"""How long after the right one a duplicate comes, and at most how long after the event that overtook it a reordered one."""

STRAGGLES_S = Spread(0.05, 2.0)
"""How long after the end a late event comes: well within the time in which the judge knows it for a straggler."""


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


def plan_events(upload: Upload, name: str, start_s: float, seed: int) -> Iterable[PlannedEvent]:
    """All events of one upload in the order in which they are published."""
    ending = _draw_ending(upload, stream(seed, name, "outcome"))
    announced, lasts_s = _course(upload, ending)
    runs = 1 + (upload.regenerate.times if upload.regenerate else 0)
    pause_s = upload.regenerate.after if upload.regenerate else 0.0
    events: list[PlannedEvent] = []
    for attempt in range(1, runs + 1):
        begins_s = start_s + (attempt - 1) * (lasts_s + pause_s)
        for seq, said in enumerate(announced, start=1):
            events.append(PlannedEvent(begins_s + said.at_s, "upload_progress", said.stage, said.percent, attempt, seq))
        if ending.kind != "stalled":
            action: Action = "upload_completed" if ending.kind == "completed" else "upload_failed"
            stage, percent = announced[-1].stage, announced[-1].percent
            events.append(PlannedEvent(begins_s + lasts_s, action, stage, percent, attempt, len(announced) + 1))
    reordered = _reorder(events, upload.messiness, stream(seed, name, "reorder"))
    slips = [
        *_duplicates(reordered, upload.messiness, stream(seed, name, "duplicate")),
        *_stragglers(events, upload.messiness, stream(seed, name, "stragglers")),
    ]
    return sorted([*reordered, *slips], key=lambda event: (event.at_s, event.attempt))


def _draw_ending(upload: Upload, dice: random.Random) -> Ending:
    """How it ends, and where, which is drawn evenly from the stages that come after the first."""
    luck, place = dice.random(), dice.random()
    for share in upload.outcome.shares:
        luck -= share.share
        if luck < 0:
            break
    ending = share.ending
    if ending.at is not None or ending.kind == "completed":
        return ending
    announced, _ = _course(upload, Ending(kind="completed"))
    stages = list(dict.fromkeys(said.stage for said in announced))
    later = stages[1:] or stages
    return Ending(kind=ending.kind, at=later[int(place * len(later))])


def _course(upload: Upload, ending: Ending) -> tuple[list[Announcement], float]:
    """What is announced of one run, and how long it lasts."""
    pipeline = upload.pipeline
    if not isinstance(pipeline, ProgressPipeline):
        steps = tuple(Step(step.stage, step.for_s, step.steps) for step in pipeline)
        return announcements(steps, until=ending.at), ends_after_s(steps, until=ending.at)
    count = max(1, round(pipeline.progress * pipeline.for_s))
    announced = [
        Announcement(pipeline.for_s * number / count, at_percent(percent).stage, percent)
        for number in range(count)
        for percent in [100 * number // count]
    ]
    if ending.at is None:
        return announced, pipeline.for_s
    order = list(PERCENTS)
    reached = [said for said in announced if order.index(said.stage) <= order.index(ending.at)] or announced[:1]
    beyond = announced[len(reached)].at_s if len(reached) < count else pipeline.for_s
    return reached, beyond


# What goes wrong on the way. Each event takes the same numbers from the dice, whatever becomes of it.


def _reorder(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> list[PlannedEvent]:
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


def _duplicates(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> Iterable[PlannedEvent]:
    """Some events come twice."""
    for event in events:
        twice, slip_s = dice.random() < messiness.duplicate, SLIPS_S.draw(dice)
        if twice:
            yield event._replace(at_s=event.at_s + slip_s, messy=True, copy=True)


def _stragglers(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> Iterable[PlannedEvent]:
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
