"""How a known bug is put into the production code: by a small wrong version of one of its functions."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from vuemantics_ws.simulation.virtual.run import BrokerKind

Plant = Callable[["Soil"], None]


@dataclass(frozen=True, slots=True)
class Bug:
    """Something that a person might write.

    Args:
        name: as the table has it.
        sentence: what is wrong.
        plant: puts it in.
        scenario: the bundled one that finds it.
        broker: around which its nodes are one; None is what the scenario has by default.
    """

    name: str
    sentence: str
    plant: Plant
    scenario: str
    broker: BrokerKind | None = None


class Soil:
    """The production code, in which functions are replaced until ``patch`` is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def replace(self, owner: Any, name: str, wrong: Callable[..., Any]) -> None:
        """Put ``wrong`` in the place of a function that stands in ``owner`` itself and takes the same arguments.

        Raises:
            AssertionError: it is another one by now, so the bug must be written anew.
        """
        right = vars(owner).get(name)
        where = f"{owner.__name__}.{name}"
        assert inspect.isfunction(right), f"there is no {where} any more"
        ours, theirs = ([*inspect.signature(each).parameters] for each in (wrong, right))
        assert ours == theirs, f"{where} takes {theirs} by now, and the bug takes {ours}"
        self._patch.setattr(owner, name, wrong)
