"""The format of scenario files as a JSON Schema, made from the models, so that an editor knows what the reader knows.

What one key says of another is in it as far as a schema can say that; names that point elsewhere in a file are not.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vuemantics_ws.gateway.setting import COUNT, DURATION, RATE, SIZE, SWITCH, YES_OR_NO, Kind, Setting
from vuemantics_ws.gateway.settings import SETTINGS
from vuemantics_ws.quantities import format_duration
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.amounts import (
    DURATION_SCHEMA,
    RATE_SCHEMA,
    SIZE_SCHEMA,
    Model,
    read_duration,
    read_latency,
    read_names,
    read_share,
)
from vuemantics_ws.simulation.format.bundled import SCHEMA_NAME
from vuemantics_ws.simulation.format.clients import Client, Join, Reconnect, Token
from vuemantics_ws.simulation.format.references import OURS
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.format.uploads import Outcome

EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA_NAME}"
"""The comment with which a scenario file tells an editor where its schema is."""

_SHORT_FORMS = {Join: "0s", Reconnect: "default", Token: "valid", Outcome: "completed"}


def schema_text() -> str:
    """The schema as the file that ships."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def scenario_schema() -> dict[str, Any]:
    """The schema of a scenario file, draft 2020-12."""
    made = Scenario.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in models_of(Scenario)}
    for name, described in {**made["$defs"], "Scenario": made}.items():
        _say_defaults(described, models[name])
    made["$defs"]["Server"]["properties"]["config"] = _settings_schema()
    tidy = _tidy(made)
    definitions = tidy.pop("$defs")
    used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps([tidy, definitions])))  # what is read by hand leaves some behind
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A scenario of vuemantics-ws",
        **tidy,
        "$defs": {name: described for name, described in definitions.items() if name in used},
    }


def models_of(model: type[Model]) -> list[type[Model]]:
    """The model and all that stand in it, each once, in the order of the file."""
    found: dict[type[Model], None] = {}

    def visit(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Model) and annotation not in found:
            found[annotation] = None
            for field in annotation.model_fields.values():
                visit(field.annotation)
        for inner in get_args(annotation):
            visit(inner)

    visit(model)
    return list(found)


def keys_of(model: type[Model]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys that the file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def default_of(model: type[Model], field: FieldInfo) -> str | int | float | None:
    """What leaving a key out means, as it would be written; None where it cannot be left out, or means that there is none."""
    default = field.get_default()
    readers = list(_readers(field.annotation, field.metadata))
    if isinstance(default, BaseModel):
        return _SHORT_FORMS.get(type(default))
    if isinstance(default, Spread):
        return format_duration(default.low)
    if (read_duration in readers or read_latency in readers) and isinstance(default, float):
        return format_duration(default)
    if read_share in readers and isinstance(default, float):
        return f"{default * 100:g}%"
    if default is None and read_names in readers:
        return "all"
    if default is None and field is Client.model_fields["subscribe"]:
        return "own"
    return default if isinstance(default, str | int | float) else None


def _readers(annotation: Any, metadata: Any) -> Iterator[Any]:
    """The functions that read what is annotated so."""
    for part in metadata:
        yield getattr(part, "func", None)
    for inner in get_args(annotation):
        yield from _readers(inner, getattr(inner, "__metadata__", ()))


def _say_defaults(described: dict[str, Any], model: type[Model]) -> None:
    for key, field in keys_of(model).items():
        if key in described["properties"]:
            described["properties"][key]["default"] = default_of(model, field)


def _tidy(value: Any) -> Any:
    """Without titles, which repeat the key, without null, which nobody writes, and with text as Markdown has it."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy: dict[str, Any] = {}
    for key, inner in value.items():
        if key in ("properties", "$defs"):
            tidy[key] = {name: _tidy(described) for name, described in inner.items()}
        elif key == "patternProperties":
            tidy |= {key: _tidy(inner), "additionalProperties": False}
        elif key == "anyOf":
            parts = [_tidy(part) for part in inner if part != {"type": "null"}]
            tidy |= parts[0] if len(parts) == 1 else {"anyOf": parts}
        elif key == "description":
            tidy[key] = " ".join(inner.replace("``", "`").split())
        elif key != "title" and not (key == "default" and inner is None):
            tidy[key] = _tidy(inner)
    return tidy


def _settings_schema() -> dict[str, Any]:
    """``server.config``: the settings of the gateway, less those that a simulation chooses."""
    known = {name: _setting_schema(setting) for name, setting in SETTINGS.items() if name not in OURS}
    return {
        "type": "object",
        "additionalProperties": False,
        "description": "Settings of the gateway by their names.",
        "properties": known,
    }


def _setting_schema(setting: Setting) -> dict[str, Any]:
    one: dict[str, Any] = {"type": "string"}
    quantities: dict[Kind, dict[str, Any]] = {DURATION: DURATION_SCHEMA, SIZE: SIZE_SCHEMA, RATE: RATE_SCHEMA}
    if setting.choices:
        one = {"enum": [*setting.choices, *(("claims", "http") if setting.name == "access" else ())]}
    elif setting.kind in quantities:
        one = quantities[setting.kind]
    elif setting.kind is COUNT:
        one = {"type": ["integer", "string"], "pattern": "^[0-9]{1,19}$", "minimum": setting.least or 0}
    elif setting.kind is SWITCH:
        one = {"enum": [True, False, "on", "off", "auto"]}
    elif setting.kind is YES_OR_NO:
        one = {"enum": [True, False, "on", "off"]}
    if setting.several:
        one = {"anyOf": [one, {"type": "array", "items": one}]}
    default = {"default": setting.default_text} if setting.default_text else {}
    return {**one, **default, "description": setting.about[0].upper() + setting.about[1:] + "."}
