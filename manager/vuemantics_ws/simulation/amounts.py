"""How values are written in a scenario file: every quantity with its unit, a range as ``a..b``, chance as ``~mean``."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.messages import Stage
from vuemantics_ws.quantities import parse_bandwidth, parse_duration, parse_rate, parse_share, parse_size
from vuemantics_ws.simulation.dice import Draw, Exponential, Spread
from vuemantics_ws.simulation.pipeline import PERCENTS

UNBUILT = "unbuilt"
"""The type of the error for what is right, and not built yet."""


class Model(BaseModel):
    """Takes what the format has, and nothing else. ``unbuilt`` are the keys that it has and that are not built yet."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    unbuilt: ClassVar[frozenset[str]] = frozenset()


def refuse(message: str) -> NoReturn:
    """End a validation with a sentence of ours."""
    raise PydanticCustomError("wrong", "{message}", {"message": message})


def not_built(what: str) -> NoReturn:
    """End a validation of something that the format knows and this version does not do."""
    raise PydanticCustomError(UNBUILT, "{message}", {"message": f"{what} is not built yet"})


def _quantity(value: Any, read: Callable[[str], float], example: str) -> float:
    if value == 0 and type(value) is int:
        return 0.0
    if not isinstance(value, str):
        refuse(f"expected {example}, got {_show(value)}")
    try:
        return read(value)
    except BadQuantity as error:
        refuse(error.message)


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, list) else "nothing" if value is None else repr(value)[:40]


def read_duration(value: Any) -> float:
    return _quantity(value, parse_duration, "a duration with its unit, such as 250ms or 30s")


def read_share(value: Any) -> float:
    return _quantity(value, parse_share, "a share such as 10%")


def read_rate(value: Any) -> float:
    rate = _quantity(value, parse_rate, "a rate such as 20/s")
    return rate if rate > 0 else refuse("expected a rate above 0/s")


def read_bandwidth(value: Any) -> float:
    bandwidth = _quantity(value, parse_bandwidth, "a bandwidth such as 40kB/s")
    return bandwidth if bandwidth > 0 else refuse("expected a bandwidth above 0B/s")


def read_spread(value: Any) -> Spread:
    """``5s`` or ``0s..5s``."""
    if not isinstance(value, str):
        return Spread(*[read_duration(value)] * 2)
    low, dots, high = value.partition("..")
    if not dots:
        return Spread(*[read_duration(value)] * 2)
    spread = Spread(read_duration(low), read_duration(high))
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
    refuse(f"expected a number, or a quantity such as 300kB, 12s, 60/s or 5%, got {_show(value)}")


def read_names(value: Any) -> Any:
    """``all`` becomes None, one name a list of it."""
    if value == "all":
        return None
    return [value] if isinstance(value, str) else value


def read_stage(value: Any) -> Stage:
    """A stage that lasts: ends are outcomes."""
    if value not in tuple(PERCENTS):
        refuse(f"expected one of {', '.join(PERCENTS)}, got {_show(value)}")
    return Stage(value)


Duration = Annotated[float, BeforeValidator(read_duration, json_schema_input_type=str)]
Share = Annotated[float, BeforeValidator(read_share, json_schema_input_type=str)]
Rate = Annotated[float, BeforeValidator(read_rate, json_schema_input_type=str)]
Bandwidth = Annotated[float, BeforeValidator(read_bandwidth, json_schema_input_type=str)]
Bound = Annotated[float, BeforeValidator(read_bound, json_schema_input_type=str | float)]
DurationDraw = Annotated[Draw, BeforeValidator(read_draw, json_schema_input_type=str)]
DurationSpread = Annotated[Spread, BeforeValidator(read_spread, json_schema_input_type=str)]
Names = Annotated[list[str] | None, BeforeValidator(read_names, json_schema_input_type=str | list[str])]
PipelineStage = Annotated[Stage, BeforeValidator(read_stage, json_schema_input_type=str)]
Action = Literal[
    "auth_success", "auth_error", "upload_progress", "upload_completed", "upload_failed", "ping", "subscribed", "error"
]
