"""Tables that lose their order again: a set iterates by hashes, and those of objects come from where they lie in memory."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vuemantics_ws.core.registry import Upload, User
from vuemantics_ws.gateway.server import Gateway

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_keys, dict_values

PLACES: dict[str, tuple[type, str]] = {
    "connections of a user": (User, "connections"),
    "connections of a node": (Gateway, "connections"),
    "followers of an upload": (Upload, "followers"),
}
"""By name: a class, and the table of its instances. Followers would be in the order of their names' hashes, so in another one
only where another process hashes otherwise.
"""


def plant(made: type, table: str, replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """From now on this table is a set, in whatever is made."""
    make = made.__init__  # type: ignore[misc]

    def make_without_order(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        setattr(self, table, AsASet())

    replace(made, "__init__", make_without_order)


class AsASet(dict[Any, Any]):
    """A dict in the order of a set."""

    def __iter__(self) -> Iterator[Any]:
        return iter(set(super().keys()))

    def keys(self) -> "dict_keys[Any, Any]":
        return {key: self[key] for key in self}.keys()

    def values(self) -> "dict_values[Any, Any]":
        return {key: self[key] for key in self}.values()

    def items(self) -> "dict_items[Any, Any]":
        return {key: self[key] for key in self}.items()
