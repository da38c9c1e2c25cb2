"""What a checker found: how many samples it saw, and the first that broke the rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import Published, Received, Record

Verdict = Literal["held", "violated", "vacuous", "does not apply", "not judged here"]


@dataclass(frozen=True, slots=True)
class Violation:
    """The first record that breaks a rule, with what led to it; ``context`` ends with ``record``."""

    at: float
    message: str
    record: Record
    context: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker found.

    ``applies`` is False where the scenario gives the rule nothing to hold for, ``judged`` where the file leaves it out of runs
    of this arm. ``figures`` are what was measured, by names that end in their unit.
    """

    name: str
    about: str
    samples: int
    violation: Violation | None = None
    applies: bool = True
    judged: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        if not self.judged:
            return "not judged here"
        if self.violation is not None:
            return "violated"
        if self.samples:
            return "held"
        return "vacuous" if self.applies else "does not apply"

    @property
    def is_good(self) -> bool:
        return self.verdict not in ("violated", "vacuous")


class Seen(NamedTuple):
    """One sample. ``wrong`` says what is wrong with it, None where nothing is; ``record`` is the one to show then."""

    wrong: str | None
    record: Record
    connection: int | None = None
    upload_id: str | None = None


def judge(
    name: str,
    about: str,
    history: History,
    samples: Iterable[Seen],
    *,
    applies: bool = True,
    figures: Mapping[str, float] | None = None,
) -> Finding:
    """Count samples, and keep the violation that came first in time. ``figures`` may be filled while samples are drawn."""
    count = 0
    first: Seen | None = None
    for seen in samples:
        count += 1
        if seen.wrong is not None and (first is None or seen.record.at < first.record.at):
            first = seen
    violation = None
    if first is not None:
        assert first.wrong is not None
        context = history.about(first.connection, first.upload_id, until=first.record)
        violation = Violation(first.record.at, first.wrong, first.record, tuple(context))
    return Finding(name, about, count, violation, applies, figures=figures or {})


def show(state: Received | Published) -> str:
    """A state by its version."""
    return f"({state.attempt}, {state.seq})"
