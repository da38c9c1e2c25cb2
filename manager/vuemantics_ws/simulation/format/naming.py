"""Names and numbers of entries in a scenario file."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from vuemantics_ws.simulation.format.amounts import refuse, show

COUNT_MAX = 10_000
"""Members of one fleet. Sockets run out before."""

_NODE = re.compile(r"^node:(0|[1-9][0-9]{0,3})$")
_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_NAME = re.compile(_PATTERN, re.ASCII)


def _read_name(value: Any) -> Any:
    if value == "all":
        refuse("expected another name: all stands for everybody")
    if isinstance(value, str) and not _NAME.fullmatch(value):
        refuse(f"expected a name of at most 64 letters, digits, hyphens and underscores, got {show(value)}")
    return value


Name = Annotated[
    str, BeforeValidator(_read_name), WithJsonSchema({"type": "string", "pattern": f"^{_PATTERN}$", "not": {"const": "all"}})
]


def _read_node(value: Any) -> Any:
    if isinstance(value, str) and not _NODE.fullmatch(value):
        refuse(f"expected a node such as node:0, got {show(value)}")
    return value


NodeName = Annotated[str, BeforeValidator(_read_node), WithJsonSchema({"type": "string", "pattern": _NODE.pattern})]
"""How nodes are called, everywhere: from node:0 on."""

Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]


def _read_only(value: list[int]) -> list[int]:
    twice = next((number for place, number in enumerate(value) if number in value[:place]), None)
    return value if twice is None else refuse(f"expected each member once, got {twice} twice")


Only = Annotated[
    list[Annotated[int, Field(ge=0, lt=COUNT_MAX)]],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_read_only),
]
"""The members of a fleet that exist, by their numbers. The others are left out, and nobody's name, user or luck changes."""


def check_only(only: list[int] | None, members: int | None) -> None:
    """That there are such members: of a fleet, and of this one."""
    if only is not None and members is None:
        refuse("expected only beside what makes a fleet")
    if only is not None and members is not None and max(only) >= members:
        refuse(f"expected members below {members} for only, got {max(only)}")
