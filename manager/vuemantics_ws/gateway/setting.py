"""One setting: how it is called, read and written wherever it can be given."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.gateway.addresses import read_network, read_origin
from vuemantics_ws.quantities import format_duration, format_size, parse_duration, parse_rate, parse_size

VARIABLE_PREFIX = "VUEMANTICS_WS_"

_SINGULAR = {"origins": "origin", "trusted_proxies": "trusted_proxy"}


class Kind(NamedTuple):
    """How values of one kind are read, written, and called in help.

    ``types`` says what else than text YAML may give; it is taken as it is.
    """

    metavar: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    types: tuple[type, ...] = ()


def _read_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadQuantity(f"expected a whole number, got {text[:40]!r}")
    return int(text)


_SWITCHES = {"auto": None, "on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def _read_switch(text: str) -> bool | None:
    if text.lower() not in _SWITCHES:
        raise BadQuantity(f"expected on, off or auto, got {text[:40]!r}")
    return _SWITCHES[text.lower()]


def _read_yes_or_no(text: str) -> bool:
    if (on := _SWITCHES.get(text.lower())) is None:
        raise BadQuantity(f"expected on or off, got {text[:40]!r}")
    return on


def _write_switch(on: bool | None) -> str:
    return "auto" if on is None else "on" if on else "off"


def _write_duration(seconds: float) -> str:
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else f"{seconds:.9f}s"


def _write_rate(rate: float) -> str:
    return f"{rate:.9f}".rstrip("0").rstrip(".") + "/s"


DURATION = Kind("DURATION", parse_duration, _write_duration)
SIZE = Kind("SIZE", parse_size, format_size)
RATE = Kind("RATE", parse_rate, _write_rate)
COUNT = Kind("COUNT", _read_count, str, (int,))
PORT = Kind("PORT", _read_count, str, (int,))
SWITCH = Kind("on|off|auto", _read_switch, _write_switch, (bool,))
YES_OR_NO = Kind("on|off", _read_yes_or_no, _write_switch, (bool,))
TEXT = Kind("TEXT", str, str)
REDIS = Kind("URL", str, str)
ORIGIN = Kind("ORIGIN", read_origin, str)
NETWORK = Kind("ADDRESS", read_network, str)

_BY_FIELD = {"uvloop": SWITCH, "origins": ORIGIN, "trusted_proxies": NETWORK, "adopt": YES_OR_NO, "redis": REDIS}
_BY_UNIT = {"_per_s": RATE, "_s": DURATION, "_bytes_max": SIZE, "_max": COUNT, "port": PORT}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        field: its name in the dataclass.
        name: its name everywhere else, in snake case; the key in a scenario file.
        choices: the only texts allowed; empty where any may come.
        several: it may be given several times, and its value is a tuple.
        panel: the heading under which help shows it.
    """

    field: str
    name: str
    kind: Kind
    default: Any
    about: str
    least: float | None
    secret: bool
    choices: tuple[str, ...]
    several: bool
    panel: str

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return VARIABLE_PREFIX + self.name.upper()

    @property
    def metavar(self) -> str:
        return "|".join(self.choices) or self.kind.metavar

    @property
    def default_text(self) -> str:
        """The default as a person would write it; empty where there is none."""
        return "" if self.default in (None, ()) and self.kind is not SWITCH else self.write(self.default)

    def read(self, value: object) -> Any:
        """A value of the field's own type, from text or from what YAML makes of it. Several may be parted by commas.

        Raises:
            BadQuantity: with what was expected; a secret is never quoted.
        """
        if not self.several:
            return self._read_one(value)
        if isinstance(value, str):
            return tuple(self._read_one(part.strip()) for part in value.split(","))
        return tuple(map(self._read_one, value if isinstance(value, list | tuple) else [value]))

    def write(self, value: Any) -> str:
        """The text that :meth:`read` reads as the same value."""
        return ",".join(map(self.kind.write, value)) if self.several else self.kind.write(value)

    def _read_one(self, value: object) -> Any:
        if type(value) in self.kind.types:
            return value
        if self.kind is DURATION and type(value) is int and value == 0:
            return 0.0
        if not isinstance(value, str):
            shown = "no text" if self.secret else repr(value)[:40]
            raise BadQuantity(f"expected {self.metavar}, got {shown}", hint=self._example)
        read = self.kind.read(value)
        if self.least is not None and read < self.least:
            raise BadQuantity(f"expected at least {self.kind.write(self.least)}, got {value[:40]!r}")
        return read

    @property
    def _example(self) -> str | None:
        return f"with its unit, such as {self.default_text}" if self.kind in (DURATION, SIZE, RATE) else None


def name_of(field: str) -> str:
    """The one name of a setting, from its field's."""
    return _SINGULAR.get(field) or (field if field.endswith("_per_s") else field.removesuffix("_s"))


def collect(declared: type, panels: Mapping[str, Sequence[str]], rest: str) -> dict[str, Setting]:
    """The settings that a dataclass declares, by name, in the order of their panels; what is in none is under ``rest``."""
    fields = {field.name: field for field in dataclasses.fields(declared)}
    shown = [(name, panel) for panel, names in panels.items() for name in names]
    placed = {name for name, _ in shown}
    shown += [(name, rest) for name in fields if name not in placed]
    return {name_of(name): _describe(fields[name], panel) for name, panel in shown}


def table(settings: Iterable[Setting]) -> str:
    """Settings as a table in Markdown."""
    rows = ["| option | variable | default | what it is |", "| --- | --- | --- | --- |"]
    for setting in settings:
        default = f"`{setting.default_text}`" if setting.default_text else "none"
        rows.append(f"| `{setting.option}` | `{setting.variable}` | {default} | {setting.about} |")
    return "\n".join(rows) + "\n"


def _describe(field: "dataclasses.Field[Any]", panel: str) -> Setting:
    kind = _BY_FIELD.get(field.name) or next((kind for unit, kind in _BY_UNIT.items() if field.name.endswith(unit)), TEXT)
    return Setting(
        field=field.name,
        name=name_of(field.name),
        kind=kind,
        default=field.default,
        about=field.metadata["about"],
        least=field.metadata["least"],
        secret=field.metadata["secret"],
        choices=_choices(field.type),
        several=isinstance(field.default, tuple),
        panel=panel,
    )


def _choices(annotation: Any) -> tuple[str, ...]:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return get_args(part)
    return ()
