"""What one node asks of the others around the same broker."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

About = Callable[[], dict[str, Any]]
"""What a node says of itself, at least its ``name`` and its ``state``."""

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one kind of question. It is cancelled when whoever asked waits no longer."""


class Answers(NamedTuple):
    """What the other nodes said, by their names in order; ``missing`` names those that said nothing of use in time."""

    answers: list[dict[str, Any]]
    missing: list[str]


class Nodes(Protocol):
    """The nodes around one broker, seen from one of them.

    Nothing here waits for a node that is gone, and nothing raises because one is: what is missing is said.
    """

    @property
    def node_id(self) -> str:
        """This process's own, which no other has and no other start of it."""
        ...

    def introduce(self, about: About, handlers: Mapping[str, Handler]) -> None:
        """Say who this node is and what it answers, by the names of questions. To be called before the broker starts.

        One that never does, as an application's process, is no node to the others: they neither show nor ask it.
        """
        ...

    def changed(self) -> None:
        """What this node says of itself is another thing now: tell it soon."""
        ...

    def others(self) -> list[dict[str, Any]]:
        """What the others said of themselves at last, each with its ``id`` and ``seen_s``, for how long that is ago."""
        ...

    async def ask(self, question: str, arguments: dict[str, Any], *, node_id: str | None = None) -> Answers:
        """Ask all other nodes, or the one with this id, and wait for about a second at most."""
        ...
