"""What a stage means where a job says no more: its status, the percents that it spans, its words."""

from typing import NamedTuple

from vuemantics_ws.messages import Stage, Status


class Span(NamedTuple):
    """``begins`` is the percent at which the stage is announced, ``ends`` the one at which the next is."""

    status: Status
    begins: int
    ends: int
    words: str


SPANS: dict[str, Span] = {
    Stage.QUEUED: Span(Status.ANALYZING, 0, 10, "Waiting to start"),
    Stage.EXTRACTING_FRAMES: Span(Status.ANALYZING, 10, 20, "Extracting frames"),
    Stage.VISION_ANALYSIS: Span(Status.ANALYZING, 20, 50, "Looking at what is in it"),
    Stage.DESCRIPTION_AUDIT: Span(Status.ANALYZING, 50, 60, "Checking the description"),
    Stage.EMBEDDING_GENERATION: Span(Status.EMBEDDING, 60, 90, "Generating embeddings"),
    Stage.INDEXING: Span(Status.EMBEDDING, 90, 100, "Adding it to the index"),
    Stage.COMPLETED: Span(Status.COMPLETED, 100, 100, "Completed"),
    Stage.FAILED: Span(Status.FAILED, 100, 100, "Failed"),
}
"""PROTOCOL.md section 3. The last two are progress that says so; an end is another message."""
