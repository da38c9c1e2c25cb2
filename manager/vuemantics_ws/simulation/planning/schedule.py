"""What a simulated worker will publish of one upload: its runs, those that go back or break off, and its slips."""

import random
from collections.abc import Iterable
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
from vuemantics_ws.simulation.planning.slips import PlannedEvent, delayed, duplicates, reordered, stragglers

__all__ = ["PlannedEvent", "plan_events"]

TIDY = Messiness()

RETURNS_S = Spread(0.5, 5.0)
"""How long after the death of a worker another one takes its upload up."""


class _Run(NamedTuple):
    """What is announced from the start of a run to its end, or to the death of its worker."""

    announced: list[Announcement]
    lasts_s: float
    ends: bool = True


def plan_events(upload: Upload, name: str, start_s: float, seed: int) -> Iterable[PlannedEvent]:
    """All events of one upload in the order in which they are published."""
    messiness = upload.messiness
    ending = _draw_ending(upload, stream(seed, name, "outcome"))
    course, steps = _course(upload, ending), _steps(upload)
    pause_s = upload.regenerate.after if upload.regenerate else 0.0
    retries, crashes = stream(seed, name, "retries"), stream(seed, name, "crashes")
    events: list[PlannedEvent] = []
    begins_s, attempt = start_s, 0
    for _ in range(1 + (upload.regenerate.times if upload.regenerate else 0)):
        whole = _retried(course, steps) if retries.random() < messiness.retries else course
        for run in _crashed(whole, messiness, crashes):
            attempt += 1
            events += _events(run, begins_s, attempt, ending)
            begins_s += run.lasts_s
        begins_s += pause_s
    if messiness == TIDY:
        return events
    moved = reordered(events, messiness, stream(seed, name, "reorder"))
    moved = delayed(moved, messiness, stream(seed, name, "late"))
    slips = [
        *duplicates(moved, messiness, stream(seed, name, "duplicate")),
        *stragglers(events, messiness, stream(seed, name, "stragglers")),
    ]
    return sorted([*moved, *slips], key=lambda event: (event.at_s, event.attempt))


def _events(run: _Run, begins_s: float, attempt: int, ending: Ending) -> Iterable[PlannedEvent]:
    for seq, said in enumerate(run.announced, start=1):
        yield PlannedEvent(begins_s + said.at_s, "upload_progress", said.stage, said.percent, attempt, seq)
    if run.ends and ending.kind != "stalled":
        action: Action = "upload_completed" if ending.kind == "completed" else "upload_failed"
        last = run.announced[-1]
        yield PlannedEvent(begins_s + run.lasts_s, action, last.stage, last.percent, attempt, len(run.announced) + 1)


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
    stages = list(dict.fromkeys(said.stage for said in _course(upload, Ending(kind="completed")).announced))
    later = stages[1:] or stages
    return Ending(kind=ending.kind, at=later[int(place * len(later))])


def _steps(upload: Upload) -> tuple[Step, ...]:
    """The stages that it passes; none where it has a rate of progress."""
    pipeline = upload.pipeline
    if isinstance(pipeline, ProgressPipeline):
        return ()
    return tuple(Step(step.stage, step.for_s, step.steps) for step in pipeline)


def _course(upload: Upload, ending: Ending) -> _Run:
    """What is announced of one run in which nothing goes wrong, and how long it lasts."""
    pipeline = upload.pipeline
    if not isinstance(pipeline, ProgressPipeline):
        steps = _steps(upload)
        return _Run(announcements(steps, until=ending.at), ends_after_s(steps, until=ending.at))
    count = max(1, round(pipeline.progress * pipeline.for_s))
    announced = [
        Announcement(pipeline.for_s * number / count, at_percent(percent).stage, percent)
        for number in range(count)
        for percent in [100 * number // count]
    ]
    if ending.at is None:
        return _Run(announced, pipeline.for_s)
    order = list(PERCENTS)
    reached = [said for said in announced if order.index(said.stage) <= order.index(ending.at)] or announced[:1]
    beyond = announced[len(reached)].at_s if len(reached) < count else pipeline.for_s
    return _Run(reached, beyond)


def _retried(course: _Run, steps: tuple[Step, ...]) -> _Run:
    """The same with an audit that fails, and goes back to the stage that looks at the picture (PROTOCOL.md section 3)."""
    stages = [said.stage for said in course.announced]
    if Stage.DESCRIPTION_AUDIT not in stages or Stage.VISION_ANALYSIS not in stages:
        return course  # it does not come so far
    back = stages.index(Stage.VISION_ANALYSIS)
    audited_s = ends_after_s(steps, until=Stage.DESCRIPTION_AUDIT)
    again = [said for said in course.announced[back:] if said.at_s < audited_s]
    takes_s = audited_s - course.announced[back].at_s
    before = back + len(again)
    later = [said._replace(at_s=said.at_s + takes_s) for said in (*again, *course.announced[before:])]
    return _Run([*course.announced[:before], *later], course.lasts_s + takes_s)


def _crashed(run: _Run, messiness: Messiness, dice: random.Random) -> Iterable[_Run]:
    """The run; or where its worker dies after one of its announcements, what came until then, and what another one makes of it:
    a run from the beginning of the stage in which that was, or from the very beginning.
    """
    dies, place, moment, anew = dice.random() < messiness.crashes, dice.random(), dice.random(), dice.random() < 0.5
    pause_s = RETURNS_S.draw(dice)
    if not dies:
        return [run]
    said = int(place * len(run.announced))
    last = run.announced[said]
    until_s = run.announced[said + 1].at_s if said + 1 < len(run.announced) else run.lasts_s
    died_s = last.at_s + moment * (until_s - last.at_s)
    back = said
    while back and (anew or run.announced[back - 1].stage is last.stage):
        back -= 1
    from_s = run.announced[back].at_s
    rest = [announced._replace(at_s=announced.at_s - from_s) for announced in run.announced[back:]]
    return [_Run(run.announced[: said + 1], died_s + pause_s, ends=False), _Run(rest, run.lasts_s - from_s)]
