"""A scenario at a glance: what it asks, how much there is of everything, how long it takes, and what it needs."""

from dataclasses import dataclass
from typing import Any

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.quantities import parse_duration
from vuemantics_ws.simulation.format.bundled import question_of
from vuemantics_ws.simulation.format.reader import Examined
from vuemantics_ws.simulation.format.source import show_path
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws.simulation.site import settings_of

STARTING_AND_STOPPING_S = 3.0
"""What goes around a run: a server starts, a last look is taken, and the server stops."""

FILES_FEW = 512
"""Up to so many sockets fit into every system's limit on open files."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is known of a scenario without playing it. The counts, and ``takes_s``, are None where it cannot be planned."""

    question: str
    description: str
    duration_s: float | None
    takes_s: float | None
    clients: int | None
    uploads: int | None
    events: int | None
    not_yet: tuple[str, ...]
    needs_redis: bool = False
    needs_virtual_time: bool = False

    @property
    def needs(self) -> str:
        """What it takes to play it, beside this program; empty where that is nothing."""
        if self.not_yet:
            return f"not yet: {', '.join(self.not_yet)}"
        if self.needs_virtual_time:
            return "needs virtual time"
        needs = ["redis-server"] if self.needs_redis else []
        needs += [f"{self.clients} open files"] if (self.clients or 0) > FILES_FEW else []
        return f"needs {' and '.join(needs)}" if needs else ""

    @property
    def takes(self) -> str:
        """How long it takes, roughly, or at most."""
        if self.takes_s is not None:
            return f"about {_roughly(self.takes_s)}"
        return f"up to {_roughly(self.duration_s)}" if self.duration_s is not None else "?"


def overview_of(text: str, examined: Examined) -> Overview:
    """Look at a scenario that was read, with the dice of its own seed."""
    scenario = examined.scenario
    plan = make_plan(scenario, scenario.seed) if scenario is not None else None
    not_yet = [problem.message.partition(" is not built yet")[0] for problem in examined.problems if problem.unbuilt]
    takes_s = None
    if plan is not None:
        takes_s = round(_happens_until_s(plan) + settings_of(plan).grace_s + STARTING_AND_STOPPING_S, 1)
    return Overview(
        question=question_of(text),
        description=str(_value(examined.data, "description") or ""),
        duration_s=scenario.duration if scenario is not None else _duration_s(examined.data),
        takes_s=takes_s,
        clients=len(plan.clients) if plan is not None else None,
        uploads=len(plan.uploads) if plan is not None else None,
        events=sum(len(upload.events) for upload in plan.uploads) if plan is not None else None,
        not_yet=tuple(dict.fromkeys(not_yet)),
        needs_redis=plan is not None and plan.needs_redis,
        needs_virtual_time=plan is not None and plan.needs_virtual_time,
    )


def problems_as_json(file: str, examined: Examined) -> dict[str, list[dict[str, Any]]]:
    """All that was found in a file, for scripts."""
    found = {"problems": examined.problems, "hints": examined.hints}
    return {
        name: [
            {
                "file": file,
                "line": problem.line,
                "path": show_path(problem.path),
                "message": problem.message,
                "not_yet": problem.unbuilt,
            }
            for problem in problems
        ]
        for name, problems in found.items()
    }


def _happens_until_s(plan: Plan) -> float:
    """When the last thing happens; of an upload that stalls it is that the server ends it, where it is told to."""
    stall_after_s = settings_of(plan).stall_after_s
    stalls = [upload.last.at_s + stall_after_s for upload in plan.uploads if upload.last is not None and not upload.ends]
    return min(max([plan.last_action_s, *stalls]), plan.scenario.duration)


def _value(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def _duration_s(data: Any) -> float | None:
    """As far as it can be told of a file that is no scenario yet."""
    try:
        return parse_duration(str(_value(data, "duration")))
    except BadQuantity:
        return None


def _roughly(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 100 else f"{round(seconds / 60)} min"
