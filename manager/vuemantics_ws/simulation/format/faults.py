"""The faults of a scenario file: what goes wrong around the server, when, to what, and for how long."""

from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.quantities import parse_share
from vuemantics_ws.simulation.format.amounts import Duration, DurationSpread, Model, nearest, refuse, show

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
    "redis.failover",
    "partition",
    "network.change",
    "clock.jump",
]


class FaultKind(NamedTuple):
    """What a fault does, and which keys say more of it, beside those that all have."""

    about: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    hows: tuple[str, ...] = ()
    """What ``how`` may be, where that is no name of the file's."""


FAULTS: dict[FaultName, FaultKind] = {
    "connections.kill": FaultKind("connections of clients are reset, on both sides", takes=("target", "how"), hows=("reset",)),
    "node.restart": FaultKind("a node is told to stop, and is started again", takes=("target", "down")),
    "node.kill": FaultKind("a node is killed, and started again where down says when", takes=("target", "down")),
    "node.pause": FaultKind("a node stands still: it keeps its sockets and answers nobody", ("for",), ("target",)),
    "redis.down": FaultKind("Redis is killed, and started again afterwards", ("for",), ("lose_data",)),
    "redis.hang": FaultKind("Redis stands still: it keeps its sockets and answers nobody", ("for",)),
    "redis.restart": FaultKind("Redis is killed, and started again at once", takes=("lose_data",)),
    "redis.flush": FaultKind("everything in Redis is gone, and nobody is told"),
    "redis.kill_pubsub": FaultKind("Redis ends the connections of all subscribers"),
    "redis.failover": FaultKind(
        "Redis is gone, and then a replica answers that had not heard the newest: in virtual time alone", ("for",), ("behind",)
    ),
    "partition": FaultKind("nothing passes between two, and neither is told", ("between", "for")),
    "network.change": FaultKind("clients are on another network, whose name how says", ("how",), ("target", "for")),
    "clock.jump": FaultKind(
        "the wall clock jumps by so much: in virtual time alone", ("for",), ("target", "how"), ("forward", "back")
    ),
}
"""What each of them does."""

OF_CLIENTS: frozenset[FaultName] = frozenset({"connections.kill", "partition", "network.change"})
"""Those that can befall the clients of a server that runs already."""

VIRTUAL_ALONE: frozenset[FaultName] = frozenset({"redis.failover", "clock.jump"})
"""Those that nobody can cause among real processes."""

_ALL = ("target", "between", "how", "for", "down", "lose_data", "behind")

REDIS = "redis"
AT_ONCE_S = 0.0


LOSES_DATA = ("redis.down", "redis.restart")


def share_of(target: str) -> float | None:
    """The share of the clients that a target stands for; None where it is no share."""
    if not target.endswith("%"):
        return None
    try:
        return parse_share(target)
    except BadQuantity:
        return None


def _rules() -> list[Any]:
    """Which key goes with which fault, as a schema has it."""
    return [
        {
            "if": {"properties": {"do": {"const": name}}, "required": ["do"]},
            "then": {
                "required": list(kind.needs),
                "properties": {
                    **{key: False for key in _ALL if key not in (*kind.needs, *kind.takes)},
                    **({"how": {"enum": [*kind.hows]}} if kind.hows else {}),
                },
            },
        }
        for name, kind in FAULTS.items()
    ]


def _read_target(value: Any) -> Any:
    if isinstance(value, str) and value.endswith("%") and not share_of(value):
        refuse(f"expected a share above 0%, and at most 100%, got {show(value)}")
    return value


class Fault(Model):
    """Something that goes wrong around the server."""

    model_config = ConfigDict(json_schema_extra={"allOf": _rules()})

    at: DurationSpread
    """When it happens."""
    do: FaultName
    """What happens."""
    target: Annotated[str | None, BeforeValidator(_read_target), WithJsonSchema({"type": "string"})] = None
    """To what: node:0 (as by default, but of clock.jump all nodes), or of clients an id, or a share such as 20%; by default all
    of them.
    """
    between: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    """Of a partition: the two that no longer reach each other: a node, and redis or the id of clients."""
    how: Annotated[str, Field(min_length=1)] | None = None
    """Of connections.kill: reset. Of network.change: the name of the network. Of clock.jump: forward (the default) or back."""
    for_s: Duration | None = Field(alias="for", default=None)
    """How long it lasts; of clock.jump, which is a moment, by how much the clock jumps."""
    down: Duration | None = None
    """Of node.restart and node.kill: how long the node is gone; one that was killed is gone for good by default."""
    lose_data: bool | None = None
    """Of redis.down and redis.restart: whether what was in Redis is gone."""
    behind: Duration | None = None
    """Of redis.failover: how much of the newest the replica had not heard; by default nothing."""
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often it happens."""
    every: Duration | None = None
    """How long it is from one time to the next."""

    @property
    def lasts_s(self) -> float | None:
        """How long each time lasts; None for good, which only a killed node and a changed network do."""
        if self.do in ("node.kill", "node.restart"):
            return self.down if self.do == "node.kill" else self.down or AT_ONCE_S
        kind = FAULTS[self.do]
        if self.do == "clock.jump":
            return AT_ONCE_S
        return self.for_s if "for" in (*kind.needs, *kind.takes) else AT_ONCE_S

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        kind = FAULTS[self.do]
        given = {type(self).model_fields[name].alias or name for name in self.model_fields_set}
        for key in kind.needs:
            if key not in given:
                refuse(f"expected {key} with {self.do}")
        wrong = [key for key in _ALL if key in given and key not in (*kind.needs, *kind.takes)]
        if wrong:
            refuse(f"expected no {wrong[0]} with {self.do}")
        if kind.hows and self.how is not None and self.how not in kind.hows:
            refuse(f"expected {' or '.join(kind.hows)} for how, got {show(self.how)}{nearest(self.how, kind.hows)}")
        if self.times > 1 and self.every is None:
            refuse("expected every beside times")
        return self


def read_names_of_faults(value: Any) -> Any:
    """One name is a list of it."""
    return [value] if isinstance(value, str) else value


FaultNames = Annotated[
    list[FaultName], BeforeValidator(read_names_of_faults, json_schema_input_type=FaultName | list[FaultName])
]

assert get_args(FaultName) == tuple(FAULTS)
