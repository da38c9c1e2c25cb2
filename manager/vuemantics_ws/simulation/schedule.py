"""What a simulated worker will publish of one upload, with the slips of a messy one."""

import random
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.pipeline import (
    PERCENTS,
    Action,
    Announcement,
    Step,
    announcements,
    at_percent,
    ends_after_s,
)
from vuemantics_ws.simulation.scenario import Ending, Messiness, ProgressPipeline, Upload

SLIP_S = Spread(0.005, 0.2)
"""How long after the right one a duplicate comes, and a reordered event after the one that overtook it."""

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
    return _make_messy(events, upload.messiness, stream(seed, name, "messiness"))


def events_max(upload: Upload) -> int:
    """How many events the uploads of an entry publish at most, without planning them."""
    pipeline = upload.pipeline
    if isinstance(pipeline, ProgressPipeline):
        once = max(1, round(pipeline.progress * pipeline.for_s))
    else:
        once = sum(step.steps for step in pipeline)
    runs = 1 + (upload.regenerate.times if upload.regenerate else 0)
    copies = 2 if upload.messiness.duplicate else 1
    return (upload.members or 1) * runs * (copies * (1 + once) + upload.messiness.after_terminal)


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
    stages = [stage for stage, _ in groupby(said.stage for said in announced)]
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


def _make_messy(events: list[PlannedEvent], messiness: Messiness, dice: random.Random) -> list[PlannedEvent]:
    """Add the slips. Each event takes its own three numbers from the dice, whatever becomes of it."""
    messy: list[PlannedEvent] = []
    for number, event in enumerate(events):
        twice, late, pause = dice.random() < messiness.duplicate, dice.random() < messiness.reorder, dice.random()
        slip_s = SLIP_S.low + (SLIP_S.high - SLIP_S.low) * pause
        after = events[number + 1] if number + 1 < len(events) else None
        if late and event.action == "upload_progress" and after is not None and after.attempt == event.attempt:
            event = event._replace(at_s=after.at_s + slip_s, messy=True)
        messy.append(event)
        if twice:
            messy.append(event._replace(at_s=event.at_s + slip_s, messy=True, copy=True))
        if event.action != "upload_progress":
            for place in range(messiness.after_terminal):
                late_s, seq = event.at_s + STRAGGLES_S.draw(dice), event.seq + 1 + place
                messy.append(event._replace(at_s=late_s, action="upload_progress", seq=seq, messy=True))
    return sorted(messy, key=lambda event: event.at_s)
