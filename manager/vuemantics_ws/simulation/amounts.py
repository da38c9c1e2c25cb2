"""How values are written in a scenario file: every quantity with its unit, a range as ``a..b``."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.messages import Stage
from vuemantics_ws.quantities import parse_duration
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.pipeline import PERCENTS

UNBUILT = "unbuilt"
"""The type of the error for what is right, and not built yet."""


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


def read_spread(value: Any) -> Spread:
    """``5s`` or ``0s..5s``."""
    if isinstance(value, dict):
        not_built("anything but a duration or a range here")
    if not isinstance(value, str):
        return Spread(*[read_duration(value)] * 2)
    if value.startswith("~"):
        not_built("an exponential spread (~)")
    low, dots, high = value.partition("..")
    if not dots:
        return Spread(*[read_duration(value)] * 2)
    spread = Spread(read_duration(low), read_duration(high))
    if spread.low > spread.high:
        refuse(f"expected a range from the smaller to the larger, got {value[:40]!r}")
    return spread


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
DurationSpread = Annotated[Spread, BeforeValidator(read_spread, json_schema_input_type=str)]
Names = Annotated[list[str] | None, BeforeValidator(read_names, json_schema_input_type=str | list[str])]
PipelineStage = Annotated[Stage, BeforeValidator(read_stage, json_schema_input_type=str)]
Action = Literal[
    "auth_success", "auth_error", "upload_progress", "upload_completed", "upload_failed", "ping", "subscribed", "error"
]
