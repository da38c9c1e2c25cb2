"""Reads scenario files: every error at once, with its line, its key, and the nearest name that there is."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vuemantics_ws.errors import BadQuantity, BadScenario, BadSetting
from vuemantics_ws.gateway.settings import Settings, setting_named
from vuemantics_ws.simulation.amounts import UNBUILT, Model
from vuemantics_ws.simulation.scenario import Scenario
from vuemantics_ws.simulation.schedule import events_max
from vuemantics_ws.simulation.source import KeyPath, Problem, Source, read_source

_OURS = frozenset({"host", "port", "control_host", "control_port", "secret", "trusted_proxy", "log_level"})
"""Settings that a simulation chooses itself."""

EVENTS_MAX = 1_000_000
"""Events that one scenario may publish: a plan is held in memory."""


class NotBuiltYet(BadScenario):
    """A scenario that is right, and asks for what this version does not do."""


def load_scenario(path: Path, environment: Mapping[str, str] | None = None) -> Scenario:
    """Read a file.

    Raises:
        BadScenario: it cannot be read, or has errors; NotBuiltYet where all of them are of that kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadScenario([f"{path}: {(error.strerror or str(error)).lower()}"]) from None
    except UnicodeDecodeError:
        raise BadScenario([f"{path}: expected UTF-8"]) from None
    return parse_scenario(text, file=str(path), environment=environment)


def parse_scenario(text: str, *, file: str, environment: Mapping[str, str] | None = None) -> Scenario:
    """Read a scenario's text; ``file`` is what errors call it.

    Raises:
        BadScenario: it has errors; NotBuiltYet where all of them are of that kind.
    """
    source = read_source(text, os.environ if environment is None else environment)
    problems = list(source.problems)
    scenario = None
    if source.data is not None:
        try:
            scenario = Scenario.model_validate(source.data)
        except ValidationError as invalid:
            problems += [_explain(details, source) for details in invalid.errors(include_url=False)]
        problems += _check_settings(source)
        problems += _check_names(source)
    events = sum(map(events_max, scenario.uploads)) if scenario is not None else 0
    if events > EVENTS_MAX:
        message = f"expected at most {EVENTS_MAX} events in all, got {events}"
        problems.append(Problem(source.line_of(("uploads",)), ("uploads",), message))
    if problems:
        kind = NotBuiltYet if all(problem.unbuilt for problem in problems) else BadScenario
        raise kind([problem.at(file) for problem in sorted(problems, key=lambda problem: problem.line)])
    assert scenario is not None
    return scenario


# What the models find, in our words.


def _explain(details: ErrorDetails, source: Source) -> Problem:
    path = tuple(part for part in details["loc"] if part != "[key]")
    line = source.line_of(path)
    kind = details["type"]
    if kind == UNBUILT:
        return Problem(line, path, details["msg"], unbuilt=True)
    if kind == "extra_forbidden":
        return _explain_unknown(path, line)
    if kind == "missing":
        return Problem(line, path[:-1], f"expected the key {path[-1]}")
    return Problem(line, path, _sentence(kind, details))


def _explain_unknown(path: KeyPath, line: int) -> Problem:
    key = str(path[-1])
    model = _model_at(path[:-1])
    if key in model.unbuilt:
        return Problem(line, path, f"{key} is not built yet", unbuilt=True)
    known = [field.alias or name for name, field in model.model_fields.items()]
    return Problem(line, path, "there is no such key" + _nearest(key, [*known, *model.unbuilt]))


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda context: "expected text",
    "int_type": lambda context: "expected a whole number",
    "float_type": lambda context: "expected a number",
    "list_type": lambda context: "expected a list",
    "dict_type": lambda context: "expected keys and values",
    "model_type": lambda context: "expected keys and values",
    "literal_error": lambda context: f"expected {context['expected']}",
    "greater_than_equal": lambda context: f"expected at least {context['ge']}",
    "less_than_equal": lambda context: f"expected at most {context['le']}",
    "too_short": lambda context: f"expected at least {context['min_length']} of them",
}


def _sentence(kind: str, details: ErrorDetails) -> str:
    explain = _SENTENCES.get(kind)
    if explain is None:
        return details["msg"]
    got = details["input"]
    shown = f", got {got!r}"[:60] if isinstance(got, str | int | float) or got is None else ""
    return explain(details.get("ctx", {})) + shown.replace("None", "nothing")


def _model_at(path: KeyPath) -> type[Model]:
    """The model that describes what stands at this path."""
    found: Any = Scenario
    for part in path:
        if get_origin(found) in (list, dict):
            found = get_args(found)[-1]
        else:
            found = next(field.annotation for name, field in found.model_fields.items() if (field.alias or name) == part)
        if get_origin(found) is UnionType:  # Model | None
            found = get_args(found)[0]
    model: type[Model] = found
    return model


def _nearest(name: str, names: Iterable[str]) -> str:
    nearest = get_close_matches(name, list(names), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


# What the models cannot see. All of this looks at the data, since other errors may have kept the models from being made.


def _check_settings(source: Source) -> list[Problem]:
    config = _at(source.data, "server", "config")
    if not isinstance(config, dict):
        return []
    problems = []
    for name, value in config.items():
        path = ("server", "config", name)
        line = source.line_of(path)
        if name in _OURS:
            problems.append(Problem(line, path, "expected no such setting: a simulation chooses it"))
        else:
            problems += _check_setting(path, line, name, value)
    wrong = {problem.path[-1] for problem in problems}
    try:
        Settings.from_mapping({name: value for name, value in config.items() if name not in wrong})
    except BadSetting as error:
        path = ("server", "config", error.setting)
        unbuilt = "not built yet" in (error.hint or "")
        message = f"{config.get(error.setting)} is not built yet" if unbuilt else _with_hint(error)
        problems.append(Problem(source.line_of(path), path, message.removeprefix(f"{error.setting}: "), unbuilt))
    return problems


def _check_setting(path: KeyPath, line: int, name: str, value: object) -> list[Problem]:
    try:
        setting_named(name).read(value)
    except BadSetting as error:
        return [Problem(line, path, "there is no such setting" + (f" ({error.hint})" if error.hint else ""))]
    except BadQuantity as error:
        return [Problem(line, path, _with_hint(error))]
    return []


def _with_hint(error: BadQuantity | BadSetting) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


def _check_names(source: Source) -> list[Problem]:
    data = source.data
    users = _at(data, "users")
    names = {
        "user": list(users) if isinstance(users, dict) else [],
        "upload": _ids(_at(data, "uploads")),
        "client": _ids(_at(data, "clients")),
    }
    problems: list[Problem] = []

    def look_up(kind: str, path: KeyPath, value: Any) -> None:
        for where, name in _names_in(path, value) if names[kind] else ():  # where nothing can be named, that is the error
            if name not in names[kind]:
                message = f"there is no {kind} {name[:40]!r}{_nearest(name, names[kind])}"
                problems.append(Problem(source.line_of(where), where, message))

    for index, upload in _entries(data, "uploads"):
        look_up("user", ("uploads", index, "owner"), upload.get("owner"))
        problems += _check_upload(source, index, upload)
    for index, client in _entries(data, "clients"):
        look_up("user", ("clients", index, "user"), client.get("user"))
        if client.get("subscribe") not in ("own", "none"):
            look_up("upload", ("clients", index, "subscribe"), client.get("subscribe"))
    for index, expectation in _entries(data, "expect"):
        for key, expected in expectation.items():
            for plural, kind in (("clients", "client"), ("uploads", "upload")):
                value = expected.get(plural) if isinstance(expected, dict) else None
                if value != "all":
                    look_up(kind, ("expect", index, key, plural), value)
    for section in ("uploads", "clients"):
        problems += _check_twins(source, section)
    return problems


def _check_upload(source: Source, index: int, upload: Mapping[str, Any]) -> Iterable[Problem]:
    outcome, steps = upload.get("outcome"), upload.get("pipeline")
    kind, _, stage = outcome.partition("@") if isinstance(outcome, str) else ("", "", "")
    path: KeyPath = ("uploads", index, "outcome")
    line = source.line_of(path)
    if kind == "stalled" and upload.get("regenerate") is not None:
        yield Problem(line, path, "expected an outcome that ends: what stalls is never regenerated")
    passed = ("queued", "vision_analysis", "description_audit", "embedding_generation", "indexing")
    stages: Collection[Any] = ()
    if steps in ("image", "video"):
        stages = (*passed, "extracting_frames") if steps == "video" else passed
    elif isinstance(steps, list):
        stages = [step.get("stage") for step in steps if isinstance(step, dict)]
    if stage and stages and stage not in stages:
        yield Problem(line, path, f"expected a stage of the pipeline, got {stage[:40]!r}{_nearest(stage, map(str, stages))}")
    plain = upload.get("publisher") == "plain"
    if plain and (_at(source.data, "server", "config", "access") or "owner") == "owner":
        path = ("uploads", index, "publisher")
        message = "a plain publisher names no owner, so nobody would get anything (server: {config: {access: open}})"
        yield Problem(source.line_of(path), path, message)


def _check_twins(source: Source, section: str) -> Iterable[Problem]:
    first: dict[str, int] = {}
    for index, entry in _entries(source.data, section):
        path = (section, index, "id")
        name = entry.get("id")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            line = source.line_of((section, first[name], "id"))
            yield Problem(source.line_of(path), path, f"{name[:40]!r} stands twice, first in line {line}")


def _at(data: Any, *path: str) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _entries(data: Any, section: str) -> list[tuple[int, dict[str, Any]]]:
    entries = _at(data, section)
    return (
        [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, dict)] if isinstance(entries, list) else []
    )


def _ids(entries: Any) -> list[str]:
    found = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in found if isinstance(name, str)]


def _names_in(path: KeyPath, value: Any) -> Iterable[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, name in enumerate(value):
            if isinstance(name, str):
                yield (*path, index), name
