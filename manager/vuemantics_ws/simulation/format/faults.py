"""The faults of a scenario file. Their shape is checked; making them happen is not built yet."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from vuemantics_ws.simulation.format.amounts import Duration, DurationSpread, Model, refuse

FaultName = Literal[
    "connections.kill",
    "node.restart",
    "node.kill",
    "node.pause",
    "redis.down",
    "redis.hang",
    "redis.restart",
    "redis.flush",
    "redis.kill_pubsub",
    "partition",
    "network.change",
    "clock.jump",
]


class Fault(Model):
    """Something that goes wrong around the server."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"do": {"const": "partition"}}},
            "then": {"required": ["between"]},
            "else": {"not": {"required": ["between"]}},
        }
    )

    at: DurationSpread
    """When it happens."""
    do: FaultName
    """What happens."""
    target: str | None = None
    """To what: node:0, a client, or a share of the clients."""
    between: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    """Of a partition: the two that no longer reach each other."""
    how: str | None = None
    """In which way."""
    for_s: Duration | None = Field(alias="for", default=None)
    """How long it lasts."""
    down: Duration | None = None
    """Of a restart: how long the node is gone."""
    lose_data: bool | None = None
    """Of redis.restart: whether its data is gone."""
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often it happens."""
    every: Duration | None = None
    """How long it is from one time to the next."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.do == "partition") is (self.between is None):
            refuse("expected between with partition, and with nothing else")
        if self.times > 1 and self.every is None:
            refuse("expected every beside times")
        return self


def read_names_of_faults(value: Any) -> Any:
    """One name is a list of it."""
    return [value] if isinstance(value, str) else value


FaultNames = Annotated[
    list[FaultName], BeforeValidator(read_names_of_faults, json_schema_input_type=FaultName | list[FaultName])
]
