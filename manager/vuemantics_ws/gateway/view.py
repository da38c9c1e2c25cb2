"""What a table is that a person may look at.

A view is made for one look. Its fields say how a filter or an order reads them of a row; what only shows is made for the rows
that are shown. Rows are objects of the live tables, so they may have ended before they are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.gateway.connection import Connection
from vuemantics_ws.gateway.query import Fields, Read
from vuemantics_ws.gateway.sightings import Sightings
from vuemantics_ws.gateway.timers import Timers

R = TypeVar("R")


class Looked(Protocol):
    """What of a node is looked at."""

    @property
    def manager(self) -> ConnectionManager: ...
    @property
    def broker(self) -> Broker: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def timers(self) -> Timers: ...
    @property
    def sightings(self) -> Sightings: ...
    @property
    def connections(self) -> Mapping[Connection, None]: ...
    @property
    def name(self) -> str:
        """What people call the node."""
        ...

    def report(self) -> dict[str, Any]:
        """How the node does, as one of ``nodes`` in a frame."""
        ...


class View(Protocol[R]):
    """One table, as it is at the moment of a look."""

    kinds: ClassVar[Fields]

    def __init__(self, node: Looked) -> None: ...
    @property
    def fields(self) -> Mapping[str, Read]:
        """How each of the kinds is read of a row."""
        ...

    def rows(self) -> Iterator[R]:
        """All of them, oldest first; those that were there when the iterator was first asked."""
        ...

    def order(self, row: R) -> Any:
        """What the default order sorts by; rows with the same stay as they came."""
        ...

    def as_json(self, row: R) -> dict[str, Any]: ...
    def for_merging(self, row: R) -> dict[str, Any]:
        """What is told beside where rows of several nodes become one."""
        return {}

    def find(self, name: str) -> R | None:
        """What this node knows of an upload, or of a user, that is a row of another node; for views where it may be."""
        return None
