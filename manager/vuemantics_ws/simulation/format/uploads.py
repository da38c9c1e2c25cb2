"""The uploads of a scenario file: who owns them, what their workers publish, and what goes wrong on the way."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, WithJsonSchema, model_validator

from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.amounts import (
    Duration,
    DurationDraw,
    Model,
    PipelineStage,
    Rate,
    Share,
    nearest,
    read_stage,
    refuse,
    show,
)
from vuemantics_ws.simulation.format.naming import Count, Name, Only, check_only
from vuemantics_ws.simulation.pipeline import PERCENTS, PipelineName, pipeline

ENDINGS = ("completed", "failed", "stalled", *(f"{kind}@{stage}" for kind in ("failed", "stalled") for stage in PERCENTS))
"""Every way of saying how an upload ends."""


class Arrive(Model):
    """Uploads begin one after the other, as strangers do: ``rate`` times ``for`` of them."""

    rate: Rate
    """How many begin a second on average."""
    for_s: Duration = Field(alias="for")
    """For how long they go on arriving."""

    @property
    def count(self) -> int:
        return max(1, round(self.rate * self.for_s))


class PipelineStep(Model):
    """A stage of an upload."""

    stage: PipelineStage
    """Which stage it is."""
    for_s: Duration = Field(alias="for")
    """How long it takes."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 1
    """In how many announcements, evenly spread, the first at its start."""


class ProgressPipeline(Model):
    """Progress at a steady rate, from 0 % to 100 %."""

    progress: Rate
    """How many announcements there are a second."""
    for_s: Duration = Field(alias="for")
    """How long it takes until the end."""


_Stages = Annotated[list[PipelineStep], Field(min_length=1)]
_STAGES: TypeAdapter[list[PipelineStep]] = TypeAdapter(_Stages)


def _read_pipeline(value: Any) -> list[PipelineStep] | ProgressPipeline:
    if value in ("image", "video"):
        return [PipelineStep.model_validate({"stage": step.stage, "for": f"{step.for_s}s"}) for step in pipeline(value)]
    if isinstance(value, list):
        return _STAGES.validate_python(value)
    if not isinstance(value, dict):
        names = ("image", "video")
        refuse(f"expected image, video, a list of stages or a rate of progress, got {show(value)}{nearest(value, names)}")
    return ProgressPipeline.model_validate(value)


class Ending(Model):
    """How an upload ends: ``at`` is the last stage that it reaches, None where that is drawn, or all are reached."""

    kind: Literal["completed", "failed", "stalled"]
    at: Stage | None = None


def _read_ending(value: Any) -> Ending:
    kind, at, stage = value.partition("@") if isinstance(value, str) else ("", "", "")
    if kind not in ("completed", "failed", "stalled") or (at and kind == "completed"):
        expected = "completed, failed, stalled, failed@STAGE or stalled@STAGE"
        refuse(f"expected {expected}, got {show(value)}{nearest(value, ENDINGS)}")
    return Ending.model_validate({"kind": kind, "at": read_stage(stage) if at else None})


class EndingShare(Model):
    """So many of the uploads of an entry end so."""

    ending: Ending
    share: Share


class Outcome(Model):
    """How the uploads of an entry end; the shares make the whole."""

    shares: Annotated[list[EndingShare], Field(min_length=1)]


EndingText = Annotated[Ending, PlainValidator(_read_ending), WithJsonSchema({"type": "string", "enum": list(ENDINGS)})]
_Shares = Annotated[dict[EndingText, Share], Field(min_length=1)]
_SHARES: TypeAdapter[dict[Ending, float]] = TypeAdapter(_Shares)


def _read_outcome(value: Any) -> Outcome:
    """Either one ending, or a share for each of several."""
    shares = _SHARES.validate_python(value) if isinstance(value, dict) else {_read_ending(value): 1.0}
    total = sum(shares.values())
    if abs(total - 1) > 1e-9:
        refuse(f"expected shares that make 100% together, got {total * 100:g}%")
    return Outcome.model_construct(
        shares=[EndingShare.model_construct(ending=ending, share=share) for ending, share in shares.items()]
    )


class Messiness(Model):
    """What goes wrong on the way from a worker to the server."""

    duplicate: Share = 0.0
    """The share of events that are published a second time, byte for byte, a little later."""
    reorder: Share = 0.0
    """The share of progress events that are published after the one that follows them. Ends keep their place."""
    late: Share = 0.0
    """The share of progress events that are held up for seconds, but not past the end of their run."""
    after_terminal: Annotated[int, Field(ge=0, le=100)] = 0
    """How many progress events still come after each end."""
    retries: Share = 0.0
    """The share of runs whose audit fails once: they go back to vision_analysis, and their percent falls."""
    crashes: Share = 0.0
    """The share of runs whose worker dies on its way. Another one begins a new attempt seconds later: where that one died, or
    from the start.
    """


class Regenerate(Model):
    """The user asks for the upload to be run again."""

    after: Duration
    """How long after its end."""
    times: Annotated[int, Field(ge=1, le=100)] = 1
    """How often."""


class Upload(Model):
    """One upload, or a fleet of them, with the worker that publishes its progress."""

    model_config = ConfigDict(
        json_schema_extra={
            "dependentSchemas": {
                "arrive": {"not": {"anyOf": [{"required": ["start"]}, {"required": ["count"]}]}},
                "only": {"anyOf": [{"required": ["count"]}, {"required": ["arrive"]}]},
            }
        }
    )

    id: Name
    """What the file calls it. Members of a fleet are called ID:0, ID:1 and so on."""
    owner: str
    """Whose it is: a key of users. Of a fleet, member i belongs to user i modulo the users."""
    count: Count | None = None
    """Makes a fleet of so many."""
    only: Only | None = None
    """Of a fleet just these members exist, such as [0, 17]. Nobody's name, user or luck changes by it."""
    start: DurationDraw = Spread(0.0, 0.0)
    """When it begins; each of a fleet draws its own time."""
    arrive: Arrive | None = None
    """Makes a fleet that begins as strangers do, in place of count and start."""
    pipeline: Annotated[
        list[PipelineStep] | ProgressPipeline,
        PlainValidator(_read_pipeline, json_schema_input_type=PipelineName | _Stages | ProgressPipeline),
    ]
    """What it passes: image (8 s), video (40 s), a list of stages, or progress at a steady rate."""
    outcome: Annotated[Outcome, PlainValidator(_read_outcome, json_schema_input_type=EndingText | _Shares)] = _read_outcome(
        "completed"
    )
    """completed, failed, stalled, failed@STAGE or stalled@STAGE; or several of them, each with its share. Without @STAGE the
    stage is drawn. What stalls falls silent.
    """
    messiness: Messiness = Messiness()
    """What goes wrong on the way from its worker."""
    regenerate: Regenerate | None = None
    """Runs it again after its end."""
    publisher: Literal["versioned", "plain", "none"] = "versioned"
    """plain: its events carry neither version nor owner. none: nothing is ever published, so there is no such upload."""

    @model_validator(mode="after")
    def _begins_once(self) -> Self:
        if self.arrive is not None and {"start", "count"} & self.model_fields_set:
            refuse("expected start and count, or arrive, which says both")
        check_only(self.only, self.members)
        return self

    @property
    def members(self) -> int | None:
        """How many a fleet has; None for one upload."""
        return self.arrive.count if self.arrive is not None else self.count

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.only) if self.only is not None else self.members or 1

    @property
    def events_max(self) -> int:
        """How many events all of them publish at most."""
        if isinstance(self.pipeline, ProgressPipeline):
            once = max(1, round(self.pipeline.progress * self.pipeline.for_s))
        else:
            once = sum(step.steps for step in self.pipeline)
        runs = 1 + (self.regenerate.times if self.regenerate else 0)
        once *= (2 if self.messiness.retries else 1) * (2 if self.messiness.crashes else 1)
        copies = 2 if self.messiness.duplicate else 1
        return self.size * runs * (copies * (1 + once) + self.messiness.after_terminal)
