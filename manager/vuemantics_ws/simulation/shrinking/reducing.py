"""Parts of a scenario's plain data, and the scenario with fewer of them: what shrinking tries.

Nothing here changes what it is given. What comes of it need not be a scenario: whoever tries it has to look.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from vuemantics_ws.errors import BadQuantity
from vuemantics_ws.quantities import format_duration, parse_duration
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.planning.plan import make_plan

T = TypeVar("T")
Path = tuple[str | int, ...]

MUST_STAY = frozenset({"version", "name", "description", "seed", "duration", "users", "clients", "uploads", "faults", "expect"})
"""Keys of a file that are left as they are, or are made smaller in other ways."""

SHORT_S = 0.1
"""What is as short as this is left so."""

_KEYS_BEGIN: dict[str | int, int] = {
    "server": 1,
    "uploads": 2,
    "clients": 2,
    "faults": 2,
    "users": 2,
    "network": 2,
    "expect": 3,
}
"""How deep in each section keys begin that are no names."""

_COUNTS = frozenset({"count", "nodes", "steps", "times", "after_terminal"})
_RANGE = re.compile(r"(.+)\.\.(.+)", re.DOTALL)


class Member(NamedTuple):
    """A client or an upload: an entry of the file, and which one of it where that is a fleet."""

    entry: str
    number: int | None

    @property
    def name(self) -> str:
        return self.entry if self.number is None else f"{self.entry}:{self.number}"


def fewest(parts: Sequence[T], fails: Callable[[list[T]], bool], *, least: int = 0) -> list[T]:
    """Some of the parts with which it still fails, and with any one fewer it does not (Zeller's ddmin).

    With all of them it must fail. The order of the parts stays.
    """
    kept = list(parts)
    if len(kept) > least == 0 and fails([]):
        return []
    pieces = 2
    while len(kept) > max(1, least):
        size = -(-len(kept) // pieces)
        chunks = [kept[start : start + size] for start in range(0, len(kept), size)]
        without = [[part for other in chunks if other is not chunk for part in other] for chunk in chunks]
        if smaller := next((chunk for chunk in chunks if len(chunk) >= least and fails(chunk)), None):
            kept, pieces = smaller, 2
        elif smaller := next((rest for rest in without if len(chunks) > 2 and len(rest) >= least and fails(rest)), None):
            kept, pieces = smaller, max(2, len(chunks) - 1)
        elif size == 1:
            break
        else:
            pieces = min(len(kept), 2 * pieces)
    return kept


def members_of(scenario: Scenario, section: str) -> list[Member]:
    """All that there are of ``clients`` or ``uploads``."""
    entries = scenario.clients if section == "clients" else scenario.uploads
    return [
        Member(entry.id, number)
        for entry in entries
        for number in (
            [None] if entry.members is None else sorted(entry.only) if entry.only is not None else range(entry.members)
        )
    ]


def with_members(data: Any, scenario: Scenario, section: str, kept: Sequence[Member]) -> Any:
    """The file with just these of a section, and without what speaks of entries that are gone."""
    fleets = {entry.id: entry.members for entry in (scenario.clients if section == "clients" else scenario.uploads)}
    numbers: dict[str, list[int]] = {}
    for member in kept:
        numbers.setdefault(member.entry, []).extend([] if member.number is None else [member.number])
    entries = []
    for entry in data.get(section, []):
        if entry["id"] not in numbers:
            continue
        rest = {key: value for key, value in entry.items() if key != "only"}
        if fleets[entry["id"]] not in (None, len(numbers[entry["id"]])):
            rest["only"] = numbers[entry["id"]]
        entries.append(rest)
    return without_loose_ends(_with(data, section, entries))


def _with(data: Any, section: str, value: Any) -> Any:
    """The file with this section; without it where it is empty."""
    rest = {key: held for key, held in data.items() if key != section}
    return {**rest, section: value} if value else rest


def with_list(data: Any, section: str, kept: Sequence[int]) -> Any:
    """The file with just these of the faults, or of what it expects, by their places."""
    return _with(data, section, [data[section][place] for place in kept])


def without_loose_ends(data: Any) -> Any:
    """The file without what speaks of uploads, clients, users and networks that there are not, as far as it can do without."""
    uploads = {entry["id"] for entry in data.get("uploads", [])}
    clients = {entry["id"] for entry in data.get("clients", [])}
    data = _with(data, "clients", [_asking_for(client, uploads) for client in data.get("clients", [])])
    expected = [_expecting(each, {"uploads": uploads, "clients": clients}) for each in data.get("expect", [])]
    data = _with(data, "expect", [each for each in expected if each is not None])
    data = _with(data, "faults", [fault for fault in data.get("faults", []) if not _befalls_nobody(fault, clients)])
    used = {entry.get("user") for entry in data.get("clients", [])} | {entry.get("owner") for entry in data.get("uploads", [])}
    data = {**data, "users": {name: user for name, user in data["users"].items() if name in used}}
    ways = {entry.get("network") for entry in data.get("clients", [])} | {fault.get("how") for fault in data.get("faults", [])}
    return _with(data, "network", {name: profile for name, profile in data.get("network", {}).items() if name in ways})


def without_needless_only(data: Any) -> Any:
    """The file without ``only`` where it names all of a fleet."""
    for section in ("uploads", "clients"):
        entries = [
            {key: value for key, value in entry.items() if key != "only" or sorted(value) != list(range(entry.get("count", 0)))}
            for entry in data.get(section, [])
        ]
        data = _with(data, section, entries)
    return data


def _asking_for(client: Any, uploads: set[str]) -> Any:
    subscribe = client.get("subscribe")
    if not isinstance(subscribe, list):
        return client
    return {**client, "subscribe": [name for name in subscribe if name in uploads] or "none"}


def _expecting(expectation: Any, there_are: dict[str, set[str]]) -> Any:
    """None where it is about nobody any more."""
    ((key, expected),) = expectation.items()
    changed = dict(expected)
    for section, names in there_are.items():
        said = expected.get(section, "all")
        if said == "all":
            continue
        left = [name for name in ([said] if isinstance(said, str) else said) if name in names]
        if not left:
            return None
        changed[section] = left if isinstance(said, list) else said
    return {key: changed}


def _befalls_nobody(fault: Any, clients: set[str]) -> bool:
    named = [fault.get("target"), *fault.get("between", [])]
    beside = (None, "redis")
    return any(
        name not in clients and name not in beside and not name.startswith("node:") and not name.endswith("%") for name in named
    )


def optional_keys(data: Any) -> Iterator[Path]:
    """Every key that a file might do without, those that hold the most first."""
    yield from ((key,) for key in data if key not in MUST_STAY)
    waiting: list[Path] = [(section,) for section in _KEYS_BEGIN if section in data]
    while waiting:
        path = waiting.pop(0)
        value = at(data, path)
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        waiting += [(*path, key) for key in keys]
        if isinstance(value, dict) and len(path) >= _KEYS_BEGIN[path[0]]:
            fleet = ("id", "only") if path[0] == "users" else ("id", "only", "count")
            yield from ((*path, key) for key in keys if key not in fleet)


def smaller_values(data: Any, scenario: Scenario) -> Iterator[tuple[Path, list[Any]]]:
    """Places of a file with values that would be simpler there, the simplest first."""
    yield ("duration",), _shorter(data["duration"])
    for path in _places(data):
        found = _simpler(path, at(data, path), data, scenario)
        if found:
            yield path, found


def _places(data: Any) -> Iterator[Path]:
    waiting: list[Path] = [
        (section,) for section in ("server", "uploads", "clients", "faults", "users", "network") if section in data
    ]
    while waiting:
        path = waiting.pop(0)
        value = at(data, path)
        if path[-1] in ("only", "id", "send", "config"):
            continue
        yield path
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        waiting += [(*path, key) for key in keys]


def _simpler(path: Path, value: Any, data: Any, scenario: Scenario) -> list[Any]:
    key = path[-1]
    if key == "join" and isinstance(value, dict):
        return _joins(path, scenario)
    if key == "outcome" and isinstance(value, dict):
        return list(value)
    if key == "pipeline" and value == "video":
        return ["image"]
    if key in _COUNTS and type(value) is int and value > 1:
        least = max(at(data, path[:-1]).get("only", [0])) + 1 if key == "count" else 1
        return [number for number in dict.fromkeys([least, value // 2]) if least <= number < value]
    return _shorter(value) if isinstance(value, str) else []


def _joins(path: Path, scenario: Scenario) -> list[str]:
    """The time at which a single client joins, in place of what leads to it."""
    entry = scenario.clients[int(path[1])]
    if entry.size != 1 or entry.join.count is not None:
        return []
    plan = make_plan(scenario, scenario.seed)
    join_s = next(client.join_s for client in plan.clients if client.entry == entry.id)
    return [format_duration(join_s)]


def _shorter(text: Any) -> list[str]:
    """What is drawn becomes fixed, and what is fixed half as long."""
    if not isinstance(text, str):
        return []
    spread = _RANGE.fullmatch(text)
    if spread:
        return [spread[1]] if _seconds(spread[1]) is not None else []
    seconds = _seconds(text.removeprefix("~"))
    if not seconds:
        return []
    if text.startswith("~"):
        return [text[1:]]
    half = format_duration(_two_digits(seconds / 2))
    return [half] if seconds > SHORT_S else []


def _seconds(text: str) -> float | None:
    try:
        return parse_duration(text)
    except BadQuantity:
        return None


def _two_digits(seconds: float) -> float:
    return float(f"{seconds:.2g}") if seconds < 60 else float(round(seconds))


def at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def replaced(data: Any, path: Path, value: Any) -> Any:
    """The same with another value there."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(data, list):
        return [replaced(item, rest, value) if place == key else item for place, item in enumerate(data)]
    return {name: replaced(item, rest, value) if name == key else item for name, item in data.items()}


def removed(data: Any, path: Path) -> Any:
    """The same without that key."""
    holder = at(data, path[:-1])
    left = {key: value for key, value in holder.items() if key != path[-1]}
    return replaced(data, path[:-1], left)
