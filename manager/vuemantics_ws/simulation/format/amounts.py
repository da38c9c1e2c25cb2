"""How values are written in a scenario file: every quantity with its unit, a range as ``a..b``, chance as ``~mean``.

What reads a value stands beside the pattern with which the JSON Schema describes it.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.messages import Stage
from vuemantics_ws.quantities import parse_bandwidth, parse_duration, parse_rate, parse_share, parse_size
from vuemantics_ws.simulation.dice import Draw, Exponential, Spread
from vuemantics_ws.simulation.pipeline import PERCENTS

DURATION_MAX = "31d"
RATE_MAX = "1000000/s"
BANDWIDTH_MAX = "1000GB/s"
SEEDS_MAX = 1_000_000
"""Seeds of one sweep."""

CHOICES_MAX = 16
"""Names that one hint shows."""


class Model(BaseModel):
    """Takes what the format has, and nothing else. The docstring of a key is its description in the JSON Schema."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


def one_key_of(*keys: str) -> dict[str, Any]:
    """What a JSON Schema says where exactly one of these keys may stand."""
    return {"oneOf": [{"required": [key]} for key in keys]}


ONE_KEY: dict[str, Any] = {"minProperties": 1, "maxProperties": 1}
MIN_OR_MAX: dict[str, Any] = {"anyOf": [{"required": ["min"]}, {"required": ["max"]}]}
"""What a JSON Schema says of a model of which one key must stand, and of one that has bounds."""


class Seeds(NamedTuple):
    """A range of seeds, both included."""

    first: int
    last: int


def refuse(message: str) -> NoReturn:
    """End a validation with a sentence of ours."""
    raise PydanticCustomError("wrong", "{message}", {"message": message})


def nearest(name: object, names: Iterable[str]) -> str:
    """A hint with the nearest of the names, ready to stand at the end of a sentence; empty where none is near."""
    near = get_close_matches(str(name)[:100], list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def choice(name: object, names: Iterable[str]) -> str:
    """Like :func:`nearest`; where none is near, the hint has all of them, as far as they are few."""
    there_are = list(names)
    more = ", …" if len(there_are) > CHOICES_MAX else ""
    return nearest(name, there_are) or f" (there is: {', '.join(there_are[:CHOICES_MAX])}{more})"


def show(value: Any) -> str:
    """A value of a file as an error quotes it."""
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value[:40])
    return "a list" if isinstance(value, list) else "nothing" if value is None else repr(value)[:40]


def _quantity(value: Any, read: Callable[[str], float], expected: str, unit: str, most: str) -> float:
    if value == 0 and type(value) is int:
        return 0.0
    if not isinstance(value, str):
        hint = f" (did you mean {value}{unit}?)" if type(value) in (int, float) else ""
        refuse(f"expected {expected}, got {show(value)}{hint}")
    try:
        found = read(value)
    except BadQuantity as error:
        refuse(error.message)
    return found if found <= read(most) else refuse(f"expected at most {most}, got {value[:40]!r}")


def read_duration(value: Any) -> float:
    return _duration(value, "s")


def read_latency(value: Any) -> float:
    """A duration that whoever leaves the unit out means in milliseconds."""
    return _duration(value, "ms")


def _duration(value: Any, unit: str) -> float:
    return _quantity(value, parse_duration, "a duration with its unit, such as 250ms or 30s", unit, DURATION_MAX)


def read_share(value: Any) -> float:
    return _quantity(value, parse_share, "a share such as 10%", "%", "100%")


def read_rate(value: Any) -> float:
    rate = _quantity(value, parse_rate, "a rate such as 20/s", "/s", RATE_MAX)
    return rate if rate > 0 else refuse("expected a rate above 0/s")


def read_bandwidth(value: Any) -> float:
    bandwidth = _quantity(value, parse_bandwidth, "a bandwidth such as 40kB/s", "kB/s", BANDWIDTH_MAX)
    return bandwidth if bandwidth > 0 else refuse("expected a bandwidth above 0B/s")


def read_spread(value: Any) -> Spread:
    """``5s`` or ``0s..5s``."""
    return _spread(value, read_duration)


def read_latency_spread(value: Any) -> Spread:
    """``5ms`` or ``2ms..8ms``."""
    return _spread(value, read_latency)


def _spread(value: Any, read: Callable[[Any], float]) -> Spread:
    low, dots, high = value.partition("..") if isinstance(value, str) else (value, "", "")
    if not dots:
        return Spread(*[read(value)] * 2)
    spread = Spread(read(low), read(high))
    if spread.low > spread.high:
        refuse(f"expected a range from the smaller to the larger, got {value[:40]!r}")
    return spread


def read_draw(value: Any) -> Draw:
    """``5s``, ``0s..5s``, or ``~5s``: exponential with this mean."""
    if isinstance(value, Spread | Exponential):
        return value
    if isinstance(value, str) and value.startswith("~"):
        return Exponential(read_duration(value.removeprefix("~")))
    return read_spread(value)


def read_bound(value: Any) -> float:
    """What a metric may be at most or at least: a number, a size, a duration, a rate or a share."""
    if type(value) in (int, float):
        return float(value)
    for read in (parse_duration, parse_size, parse_rate, parse_share):
        try:
            return float(read(value if isinstance(value, str) else ""))
        except BadQuantity:
            continue
    refuse(f"expected a number, or a quantity such as 300kB, 12s, 60/s or 5%, got {show(value)}")


def read_seeds(value: Any) -> Seeds:
    """``1..500``."""
    first, dots, last = value.partition("..") if isinstance(value, str) else ("", "", "")
    if not (dots and all(seed.isascii() and seed.isdigit() and len(seed) <= 18 for seed in (first, last))):
        refuse(f"expected a range of seeds such as 1..500, got {show(value)}")
    seeds = Seeds(int(first), int(last))
    if seeds.first > seeds.last:
        refuse(f"expected a range from the smaller to the larger, got {value!r}")
    if seeds.last - seeds.first >= SEEDS_MAX:
        refuse(f"expected at most {SEEDS_MAX} seeds, got {seeds.last - seeds.first + 1}")
    return seeds


def read_names(value: Any) -> Any:
    """``all`` becomes None, one name a list of it."""
    if value == "all":
        return None
    if value == []:
        refuse("expected all, a name, or a list of names that is not empty")
    return [value] if isinstance(value, str) else value


def read_stage(value: Any) -> Stage:
    """A stage that lasts: ends are outcomes."""
    if not isinstance(value, str) or value not in tuple(PERCENTS):
        refuse(f"expected one of {', '.join(PERCENTS)}, got {show(value)}{nearest(value, PERCENTS)}")
    return Stage(value)


# How the JSON Schema says the same. The messages are for editors, most of which show them.

_NUMBER = r"[0-9]+(\.[0-9]+)?"
_ONE = rf"\s*(0|({_NUMBER}(ms|min|s|m|h|d))+)\s*"
_SIZE = r"(B|kB|KiB|MB|MiB|GB|GiB)"


def _text(pattern: str, expected: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({pattern})$", "patternErrorMessage": f"expected {expected}"}


def _text_or_0(pattern: str, expected: str) -> dict[str, Any]:
    """0 needs no unit."""
    return {"anyOf": [_text(pattern, expected), {"const": 0}]}


DURATION_SCHEMA = _text_or_0(_ONE, "a duration with its unit, such as 250ms or 30s")
SIZE_SCHEMA = _text(rf"\s*{_NUMBER}\s*{_SIZE}\s*", "a size such as 64KiB")
RATE_SCHEMA = _text(rf"\s*{_NUMBER}\s*/s\s*", "a rate such as 20/s")
_RANGE = rf"{_ONE}(\.\.{_ONE})?"

Duration = Annotated[float, BeforeValidator(read_duration), WithJsonSchema(DURATION_SCHEMA)]
Latency = Annotated[float, BeforeValidator(read_latency), WithJsonSchema(DURATION_SCHEMA)]
Share = Annotated[
    float, BeforeValidator(read_share), WithJsonSchema(_text_or_0(rf"\s*{_NUMBER}\s*%\s*", "a share such as 10%"))
]
Rate = Annotated[float, BeforeValidator(read_rate), WithJsonSchema(RATE_SCHEMA)]
Bandwidth = Annotated[
    float,
    BeforeValidator(read_bandwidth),
    WithJsonSchema(_text(rf"\s*{_NUMBER}\s*{_SIZE}/s\s*", "a bandwidth such as 40kB/s")),
]
Bound = Annotated[
    float,
    BeforeValidator(read_bound),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number"},
                _text(rf"{_ONE}|\s*{_NUMBER}\s*({_SIZE}|/s|%)\s*", "a number, or a quantity such as 300kB, 12s, 60/s or 5%"),
            ]
        }
    ),
]
_SPREAD_SCHEMA = _text_or_0(_RANGE, "a duration such as 30s, or a range such as 0s..5s")
DurationSpread = Annotated[Spread, BeforeValidator(read_spread), WithJsonSchema(_SPREAD_SCHEMA)]
LatencySpread = Annotated[Spread, BeforeValidator(read_latency_spread), WithJsonSchema(_SPREAD_SCHEMA)]
DurationDraw = Annotated[
    Draw,
    BeforeValidator(read_draw),
    WithJsonSchema(_text_or_0(f"~{_ONE}|{_RANGE}", "a duration such as 30s, a range such as 0s..5s, or a mean such as ~5s")),
]
SeedRange = Annotated[
    Seeds,
    BeforeValidator(read_seeds),
    WithJsonSchema(_text(r"[0-9]{1,18}\.\.[0-9]{1,18}", "a range of seeds such as 1..500")),
]
Names = Annotated[
    list[str] | None,
    BeforeValidator(read_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
PipelineStage = Annotated[Stage, BeforeValidator(read_stage), WithJsonSchema({"enum": [stage.value for stage in PERCENTS]})]
Action = Literal[
    "auth_success",
    "auth_error",
    "upload_progress",
    "upload_completed",
    "upload_failed",
    "ping",
    "subscribed",
    "unsubscribed",
    "error",
]
