"""The smallest scenario that still fails in the same way: with fewer clients, uploads and faults, then with less of all else.

Since nobody's luck depends on who else is there, those who are left do what they did.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from vuemantics_ws.simulation.format.reader import examine_data
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.shrinking.reducing import (
    Member,
    fewest,
    members_of,
    optional_keys,
    removed,
    replaced,
    smaller_values,
    with_list,
    with_members,
    without_loose_ends,
    without_needless_only,
)

TRIES_MAX = 500
NAME_LENGTH_MAX = 64
DESCRIPTION_LENGTH_MAX = 1_000
SUFFIX = "-shrunk"

Fails = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A scenario that fails, as plain data, and how much of everything it has. ``tries`` is how many were played until then.

    ``is_done`` says that nothing is left to try: it is the smallest that was found, and not where the tries ran out.
    """

    data: Any
    tries: int
    clients: int
    uploads: int
    faults: int
    is_done: bool = False


class _OutOfTriesError(Exception):
    pass


def shrink(
    data: Any,
    seed: int,
    fails: Fails,
    *,
    told: Callable[[Shrunk], None] | None = None,
    tries_max: int = TRIES_MAX,
    suspects: Collection[str] = (),
    why: str = "",
) -> Shrunk:
    """Take away from a scenario that fails whatever it fails without.

    Deterministic, where ``fails`` is. What comes of it has the seed in it, and a name and a description of its own.

    Args:
        data: the plain data of the file; with this seed it fails.
        fails: whether a scenario, given as plain data, still fails in the same way. It is asked of valid ones alone.
        told: is called with whatever is smaller and still fails, as soon as it is known.
        tries_max: how often ``fails`` may be asked.
        suspects: names of clients and uploads that are likely to be enough: they are tried first.
        why: what fails, for the description.
    """
    search = _Search({key: value for key, value in {**data, "seed": seed}.items() if key != "sweep"}, fails, told, tries_max)
    is_done = True
    try:
        search.run(suspects)
    except _OutOfTriesError:
        is_done = False
    return replace(search.found(), data=_renamed(search.data, seed, why), is_done=is_done)


class _Search:
    """Holds the smallest that is known to fail, and tries smaller ones."""

    def __init__(self, data: Any, fails: Fails, told: Callable[[Shrunk], None] | None, tries_max: int) -> None:
        self.data = data
        scenario = examine_data(data).scenario
        assert scenario is not None, "only what is right can be made smaller"
        self.scenario: Scenario = scenario
        self._fails = fails
        self._told = told
        self._tries_max = tries_max
        self._tries = 0
        self._known = {_key(data)}
        """What needs no second try."""

    def found(self) -> Shrunk:
        clients, uploads = (len(members_of(self.scenario, section)) for section in ("clients", "uploads"))
        return Shrunk(self.data, self._tries, clients, uploads, len(self.scenario.faults))

    def run(self, suspects: Collection[str]) -> None:
        """Until nothing is left to try."""
        if suspects:
            self._suspect(suspects)
        before = None
        while before != self.data:
            before = self.data
            self._members("clients", least=1)
            self._members("uploads", least=0)
            for section in ("faults", "expect"):
                self._list(section)
            self._keys()
            self._values()

    def _try(self, candidate: Any) -> bool:
        """Whether it fails; then it is what is made smaller from here on.

        Raises:
            _OutOfTriesError: it may not be played any more.
        """
        key = _key(candidate)
        if key in self._known:
            return False
        self._known.add(key)
        scenario = examine_data(candidate).scenario
        if scenario is None:
            return False
        if self._tries >= self._tries_max:
            raise _OutOfTriesError
        self._tries += 1
        if not self._fails(candidate):
            return False
        self.data, self.scenario = candidate, scenario
        if self._told is not None:
            self._told(self.found())
        return True

    def _suspect(self, suspects: Collection[str]) -> None:
        """Those alone, with the faults, and without."""
        data, scenario = self.data, self.scenario
        for section in ("clients", "uploads"):
            kept = [member for member in members_of(scenario, section) if member.name in suspects]
            if kept or section == "uploads":
                data = with_members(data, scenario, section, kept)
        if not self._try({key: value for key, value in data.items() if key != "faults"}):
            self._try(data)

    def _members(self, section: Literal["clients", "uploads"], *, least: int) -> None:
        data, scenario = self.data, self.scenario

        def still_fails(kept: Sequence[Member]) -> bool:
            return self._try(with_members(data, scenario, section, kept))

        fewest(members_of(scenario, section), still_fails, least=least)

    def _list(self, section: str) -> None:
        data = self.data

        def still_fails(kept: Sequence[int]) -> bool:
            return self._try(without_loose_ends(with_list(data, section, kept)))

        fewest(range(len(data.get(section, []))), still_fails)

    def _keys(self) -> None:
        """Without the keys that it can do without. What has gone with another is not looked for."""
        for path in list(optional_keys(self.data)):
            try:
                candidate = removed(self.data, path)
            except (KeyError, IndexError, TypeError):
                continue
            self._try(without_loose_ends(candidate))

    def _values(self) -> None:
        """Simpler values, each as often as that goes on."""
        tried: set[str] = set()
        while True:
            places = (place for place in smaller_values(self.data, self.scenario) if str(place) not in tried)
            path, values = next(places, (None, []))
            if path is None:
                return
            tried.add(str((path, values)))
            any(self._try(replaced(self.data, path, value)) for value in values)


def _key(data: Any) -> str:
    return json.dumps(data, sort_keys=True)


def _renamed(data: Any, seed: int, why: str) -> Any:
    name = str(data["name"]).removesuffix(SUFFIX)
    described = f"The smallest part of {name} that was found to fail with seed {seed}{f', {why}' if why else ''}."
    return {
        **without_needless_only(data),
        "name": name[: NAME_LENGTH_MAX - len(SUFFIX)] + SUFFIX,
        "description": described[:DESCRIPTION_LENGTH_MAX],
    }
