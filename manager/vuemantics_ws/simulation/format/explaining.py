"""What the models find wrong in a scenario file, in our words: what was expected, what came, and the nearest that there is."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vuemantics_ws.simulation.format.amounts import Model, choice, nearest, show
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.format.source import KeyPath, Problem, Source

_EXAMPLES = {
    "version": "version: 1",
    "name": "name: my-scenario",
    "description": "description: What it shows.",
    "duration": "duration: 30s",
    "users": "users: {alice: {}}",
    "clients": "clients: [{id: tab, user: alice}]",
    "pipeline": "pipeline: image",
    "owner": "owner: alice",
    "user": "user: alice",
    "codes": "codes: [1000]",
    "action": "action: upload_progress",
    "after": "after: 5s",
    "for": "for: 30s",
}
"""How a key that is missing may be written."""


def explain(invalid: ValidationError, source: Source) -> Iterator[Problem]:
    """One problem for each mistake."""
    found = [(_path_of(details), details) for details in invalid.errors(include_url=False)]
    meant = set()
    for path, details in found:
        if details["type"] == "extra_forbidden":
            known = _keys_at(path[:-1])
            near = nearest(path[-1], known)
            meant.add((*path[:-1], near.removeprefix(" (did you mean ").removesuffix("?)")))
            yield Problem(source.line_of(path), path, f"there is no such key{choice(path[-1], known)}")
    for path, details in found:
        if details["type"] == "missing" and path not in meant:
            key = str(path[-1])
            example = f", such as {_EXAMPLES[key]}" if key in _EXAMPLES else ""
            yield Problem(source.line_of(path[:-1]), path[:-1], f"expected the key {key}{example}")
        elif details["type"] not in ("missing", "extra_forbidden"):
            yield Problem(source.line_of(path), path, _sentence(details, path))


def _path_of(details: ErrorDetails) -> KeyPath:
    return tuple(part for part in details["loc"] if part != "[key]")


def _keys_at(path: KeyPath) -> list[str]:
    """The keys that may stand at this path."""
    found: list[Any] = [Scenario]
    for part in path:
        found = [inner for annotation in found for inner in _inside(annotation, part)]
    return [key for annotation in found for model in _models(annotation) for key in _keys(model)]


def _keys(model: type[Model]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: Any, part: str | int) -> list[Any]:
    """What stands at a key, or at an index, of what is annotated so."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [inner for key, inner in _keys(annotation).items() if key == part]
    if get_origin(annotation) in (list, dict):
        return [get_args(annotation)[-1]] if isinstance(part, int) is (get_origin(annotation) is list) else []
    return [found for inner in _alternatives(annotation) for found in _inside(inner, part)]


def _models(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    if get_origin(annotation) in (list, dict):
        return []
    return [model for inner in _alternatives(annotation) for model in _models(inner)]


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Of a union its parts, of what is annotated the thing itself, of anything else none."""
    return get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda context: "expected text",
    "int_type": lambda context: "expected a whole number",
    "float_type": lambda context: "expected a number",
    "bool_type": lambda context: "expected true or false",
    "list_type": lambda context: "expected a list",
    "dict_type": lambda context: "expected keys and values",
    "model_type": lambda context: "expected keys and values",
    "literal_error": lambda context: f"expected {context['expected']}",
    "greater_than_equal": lambda context: f"expected at least {context['ge']}",
    "less_than_equal": lambda context: f"expected at most {context['le']}",
    "too_short": lambda context: f"expected at least {context['min_length']} of them",
    "too_long": lambda context: f"expected at most {context['max_length']} of them",
    "string_too_short": lambda context: "expected text that is not empty",
    "string_too_long": lambda context: f"expected at most {context['max_length']} characters",
    "string_pattern_mismatch": lambda context: f"expected text of the pattern {context['pattern']}",
}


def _sentence(details: ErrorDetails, path: KeyPath) -> str:
    sentence = _SENTENCES.get(details["type"])
    if sentence is None:
        return details["msg"]
    context, got = details.get("ctx", {}), details["input"]
    if "too_" in details["type"]:
        return sentence(context)
    known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    example = _EXAMPLES.get(str(path[-1])) if path and details["type"].endswith("_type") else None
    return f"{sentence(context)}{f', such as {example}' if example else ''}, got {show(got)}{nearest(got, known)}"
