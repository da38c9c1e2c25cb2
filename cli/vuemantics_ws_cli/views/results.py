"""What came of what was played, as everything that shows it takes it."""

from collections.abc import Mapping
from typing import NamedTuple

from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.replaying import Difference
from vuemantics_ws.simulation.sweeping.sweep import SweepResult


class Virtual(NamedTuple):
    """What there is beside the report of a run in virtual time.

    ``settings`` are all that decided it beside the file. ``trace_hash`` is None where it did not come to its end. ``fault``
    says why it came to nothing, where it did. ``again`` is set where a trace was played again.
    """

    settings: Mapping[str, str]
    trace_hash: str | None = None
    fault: str | None = None
    again: bool = False


class Played(NamedTuple):
    """A run with the command line that plays it again.

    ``shrunk`` is the file with what is left of a smaller one, ``difference`` where it parts from the one that it should repeat.
    """

    report: Report
    replay: str
    virtual: Virtual | None = None
    shrunk: str | None = None
    difference: Difference | None = None

    @property
    def holds(self) -> bool:
        return self.report.holds and self.difference is None


class Swept(NamedTuple):
    """Many seeds of one scenario, with the run of the lowest that failed.

    ``other_hash`` is that seed's from the sweep, where the run of the same seed here came out otherwise.
    """

    scenario: str
    result: SweepResult
    replay: str
    settings: Mapping[str, str]
    failure: Played | None = None
    other_hash: str | None = None
    interrupted: bool = False

    @property
    def holds(self) -> bool:
        return self.result.holds
