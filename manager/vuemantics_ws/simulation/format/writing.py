"""The plain data of a scenario as a file that a person reads: keys in the order of the format, small things on one line."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml

from vuemantics_ws.simulation.format.amounts import Model
from vuemantics_ws.simulation.format.clients import Client
from vuemantics_ws.simulation.format.faults import Fault
from vuemantics_ws.simulation.format.scenario import Scenario, Server
from vuemantics_ws.simulation.format.schema import EDITOR_LINE, keys_of
from vuemantics_ws.simulation.format.uploads import Upload

WIDTH = 124

_PLAIN = re.compile(r"(?=.*[A-Za-z%])[A-Za-z0-9~_./][A-Za-z0-9_./%+~-]*", re.ASCII)
"""Text that needs no quotes, wherever it stands: quantities, names and words."""

_SENTENCE = re.compile(r"[A-Za-z][A-Za-z0-9 ,.;()'/%+-]*[A-Za-z0-9.)]", re.ASCII)
"""Text that needs none at the end of a line of its own."""

_OTHERWISE = re.compile(r"(true|false|null|~|-?[0-9.]+)", re.ASCII)
"""Text that would be read as something else."""

_ORDER: dict[str, type[Model]] = {"uploads": Upload, "clients": Client, "faults": Fault, "server": Server}


def to_yaml(data: Mapping[str, Any], *, comment: str = "") -> str:
    """The text of a scenario file with this data: reading it gives the same.

    Args:
        data: as :func:`~vuemantics_ws.simulation.format.reader.examine` returns it.
        comment: what stands above it.
    """
    lines = [*(f"# {line}".rstrip() for line in comment.splitlines()), EDITOR_LINE]
    for key, value in _in_order(data, Scenario).items():
        lines += _entry(key, _sorted(value, _ORDER.get(key)), 0)
    return "\n".join(lines) + "\n"


def _sorted(value: Any, model: type[Model] | None) -> Any:
    if model is None:
        return value
    if isinstance(value, list):
        return [_sorted(item, model) for item in value]
    return _in_order(value, model) if isinstance(value, dict) else value


def _in_order(data: Mapping[str, Any], model: type[Model]) -> dict[str, Any]:
    """What the format does not know comes last."""
    order = [*keys_of(model), *data]
    return {key: data[key] for key in sorted(data, key=order.index)}


def _entry(key: str, value: Any, indent: int) -> Iterator[str]:
    head = f"{' ' * indent}{_text(key)}:"
    if isinstance(value, str) and _SENTENCE.fullmatch(value) and not _OTHERWISE.fullmatch(value):
        yield f"{head} {value}"
    elif not isinstance(value, list | dict) or not value or _fits(f"{head} {_flow(value)}", value, indent):
        yield f"{head} {_flow(value)}"
    elif isinstance(value, dict):
        yield head
        for inner, held in value.items():
            yield from _entry(inner, held, indent + 2)
    else:
        yield head
        for item in value:
            yield from _item(item, indent + 2)


def _item(value: Any, indent: int) -> Iterator[str]:
    whole = f"{' ' * indent}- {_flow(value)}"
    if not isinstance(value, dict) or not value or len(whole) <= WIDTH:
        yield whole
        return
    lines = [line for key, held in value.items() for line in _entry(key, held, indent + 2)]
    yield f"{' ' * indent}- {lines[0].lstrip()}"
    yield from lines[1:]


def _fits(line: str, value: Any, indent: int) -> bool:
    """Entries of a section have a line each, whatever their number."""
    return len(line) <= WIDTH and not (indent == 0 and isinstance(value, list))


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(held)}" for key, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(held) for held in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _decimal(value)
    return str(value) if isinstance(value, int) else _text(value)


def _decimal(value: float) -> str:
    """Never with an exponent, and always with a point: so is a number a number."""
    text = f"{Decimal(repr(value)):f}"
    return text if "." in text else f"{text}.0"


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and not _OTHERWISE.fullmatch(value):
        return value
    return str(yaml.safe_dump(value, default_style='"', allow_unicode=True, width=1 << 30)).rstrip("\n")
