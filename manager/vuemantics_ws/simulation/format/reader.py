"""Reads scenario files: every error at once, with its line, its key, and the nearest name that there is."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vuemantics_ws.errors import BadScenario
from vuemantics_ws.simulation.format.explaining import explain
from vuemantics_ws.simulation.format.fault_times import check_fault_times
from vuemantics_ws.simulation.format.references import check_names, check_settings, hints
from vuemantics_ws.simulation.format.scenario import Client, Scenario
from vuemantics_ws.simulation.format.source import FILE_BYTES_MAX, KeyPath, Problem, Source, read_source

EVENTS_MAX = 1_000_000
"""Events that one scenario may publish: a plan is held in memory."""

SUBSCRIBES_MAX = 1_000_000
"""Subscribes of all its clients together, for the same reason."""

MEMBERS_MAX = 20_000
"""Members of all fleets of one kind together."""


class NotBuiltYet(BadScenario):
    """A scenario that is right, and asks for what this version does not do."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a scenario's text holds: the scenario, or else the problems that keep it from being one, in the order of lines.

    ``hints`` are about what may be meant otherwise, and keep nothing from being played. ``data`` is the text as plain values,
    as far as it can be read.
    """

    scenario: Scenario | None
    problems: list[Problem]
    hints: list[Problem] = field(default_factory=list)
    data: Any = None

    @property
    def is_unbuilt(self) -> bool:
        """Whether nothing is wrong but that this version does not do all of it."""
        return bool(self.problems) and all(problem.unbuilt for problem in self.problems)


def load_scenario(path: Path, environment: Mapping[str, str] | None = None, *, file: str | None = None) -> Scenario:
    """Read a file; ``file`` is what errors call it, by default its path.

    Raises:
        BadScenario: it cannot be read, or has errors; NotBuiltYet where all of them are of that kind.
    """
    file = file or str(path)
    return parse_scenario(read_text(path, file), file=file, environment=environment)


def parse_scenario(text: str, *, file: str, environment: Mapping[str, str] | None = None) -> Scenario:
    """Read a scenario's text; ``file`` is what errors call it.

    Raises:
        BadScenario: it has errors; NotBuiltYet where all of them are of that kind.
    """
    examined = examine(text, environment)
    if examined.problems:
        kind = NotBuiltYet if examined.is_unbuilt else BadScenario
        raise kind([problem.at(file) for problem in examined.problems])
    assert examined.scenario is not None
    return examined.scenario


def read_text(path: Path, file: str) -> str:
    """The text of a file, of which no more is read than a scenario may have; ``file`` is what errors call it.

    Raises:
        BadScenario: it cannot be read.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise BadScenario([f"{file}: expected a file of at most {FILE_BYTES_MAX // 1024} KiB"])
        return data.decode("utf-8")
    except OSError as error:
        raise BadScenario([f"{file}: {(error.strerror or str(error)).lower()}"]) from None
    except UnicodeDecodeError:
        raise BadScenario([f"{file}: expected UTF-8"]) from None


def examine(text: str, environment: Mapping[str, str] | None = None) -> Examined:
    """Find everything that is wrong with a scenario's text. Never raises."""
    return _examine(read_source(text, os.environ if environment is None else environment))


def examine_data(data: Any) -> Examined:
    """The same of plain data that has no text: all its lines are 1, and nothing is filled in. Never raises."""
    return _examine(Source({}, data))


def _examine(source: Source) -> Examined:
    if source.data is None:
        return Examined(None, source.problems)
    problems = list(source.problems)
    scenario = None
    try:
        scenario = Scenario.model_validate(source.data)
    except ValidationError as invalid:
        problems += explain(invalid, source)
    for check in (_check_nothings, check_settings, check_names):
        told = {problem.path for problem in problems}
        problems += [problem for problem in check(source) if problem.path not in told]
    if scenario is not None:
        problems += _check_sizes(scenario, source)
        problems += check_fault_times(scenario, source)
    problems.sort(key=lambda problem: problem.line)
    if problems or scenario is None:
        return Examined(None, problems, data=source.data)
    return Examined(scenario, [], list(hints(scenario, source)), source.data)


def _check_nothings(source: Source) -> Iterator[Problem]:
    """A key without a value: the models would take it for a key that was left out."""
    waiting: list[tuple[KeyPath, Any]] = [((), source.data)]
    while waiting:
        path, value = waiting.pop()
        if value is None:
            yield Problem(source.line_of(path), path, "expected a value, got nothing")
        elif isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items() if key != "send"]
        elif isinstance(value, list):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]


def _check_sizes(scenario: Scenario, source: Source) -> Iterator[Problem]:
    """What a plan can hold: first the members, since all else follows from them."""
    users = {name: user.count or 1 for name, user in scenario.users.items()}
    members = {
        "users": sum(users.values()),
        "uploads": sum(upload.size for upload in scenario.uploads),
        "clients": sum(client.size for client in scenario.clients),
    }
    found = [
        (section, f"{MEMBERS_MAX} {section} in all, got {count}") for section, count in members.items() if count > MEMBERS_MAX
    ]
    if not found:
        events = sum(upload.events_max for upload in scenario.uploads)
        subscribes = sum(_subscribes_max(client, scenario, users) for client in scenario.clients)
        if events > EVENTS_MAX:
            found.append(("uploads", f"{EVENTS_MAX} events in all, got up to {events}"))
        if subscribes > SUBSCRIBES_MAX:
            found.append(("clients", f"{SUBSCRIBES_MAX} subscribes of all clients together, got up to {subscribes}"))
    for section, message in found:
        yield Problem(source.line_of((section,)), (section,), f"expected at most {message}")


def _subscribes_max(client: Client, scenario: Scenario, users: Mapping[str, int]) -> int:
    if client.subscribe is None:
        owned = (upload.members or 1 for upload in scenario.uploads if upload.owner == client.user)
        each = sum(-(-count // users.get(client.user, 1)) for count in owned)
    else:
        each = sum(upload.members or 1 for upload in scenario.uploads if upload.id in client.subscribe)
    return client.size * each
