"""What the models of a scenario file cannot see: names that point elsewhere in it, and the settings of the gateway.

All of it looks at the plain data, since other errors may have kept the models from being made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vuemantics_ws.errors import BadQuantity, BadSetting
from vuemantics_ws.gateway.settings import SETTINGS, Settings, setting_named
from vuemantics_ws.simulation.format.amounts import choice, nearest, show
from vuemantics_ws.simulation.format.faults import REDIS, share_of
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.scenario import NODES_MAX, Scenario
from vuemantics_ws.simulation.format.source import KeyPath, Problem, Source

OURS = frozenset(
    {
        *("host", "port", "control_host", "control_port", "secret", "trusted_proxy", "log_level"),
        *("redis", "redis_prefix", "plain_prefix", "adopt", "node_name"),
    }
)
"""Settings that a simulation chooses itself."""

_PASSED = ("queued", "vision_analysis", "description_audit", "embedding_generation", "indexing")


def check_settings(source: Source) -> list[Problem]:
    """Everything that is wrong under ``server.config``."""
    config = _at(source.data, "server", "config")
    if not isinstance(config, dict):
        return []
    problems = [problem for name, value in config.items() for problem in _check_setting(source, name, value)]
    wrong = {problem.path[-1] for problem in problems}
    rest = {name: value for name, value in config.items() if name not in wrong}
    while rest:  # what is wrong with them together, one after the other
        try:
            Settings.from_mapping(rest)
            break
        except BadSetting as error:
            path: KeyPath = ("server", "config", error.setting)
            unbuilt = "not built yet" in (error.hint or "")
            message = f"{rest.get(error.setting)} is not built yet" if unbuilt else _with_hint(error)
            problems.append(Problem(source.line_of(path), path, message.removeprefix(f"{error.setting}: "), unbuilt))
            if rest.pop(error.setting, None) is None:
                break
    return problems


def _check_setting(source: Source, name: str, value: object) -> Iterator[Problem]:
    path: KeyPath = ("server", "config", name)
    line = source.line_of(path)
    if name in OURS:
        yield Problem(line, path, "expected no such setting: a simulation chooses it")
    elif name not in SETTINGS:
        yield Problem(line, path, f"there is no such setting{nearest(name, SETTINGS.keys() - OURS)}")
    else:
        try:
            setting_named(name).read(value)
        except (BadSetting, BadQuantity) as error:
            yield Problem(line, path, _with_hint(error))


def _with_hint(error: BadQuantity | BadSetting) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


class _Names:
    """The names of a file by their kinds, and the looking up of one."""

    def __init__(self, source: Source) -> None:
        data = source.data
        self._source = source
        self._names: dict[str, list[str]] = {
            "user": _keys(_at(data, "users")),
            "upload": _ids(_at(data, "uploads")),
            "client": _ids(_at(data, "clients")),
            "network": [*_keys(_at(data, "network")), *BUILT_IN_NETWORKS],
            "node": [f"node:{number}" for number in range(_nodes(data))],
        }

    def problem(self, path: KeyPath, message: str) -> Problem:
        return Problem(self._source.line_of(path), path, message)

    def of(self, kind: str) -> list[str]:
        return self._names[kind]

    def look_up(self, kind: str, path: KeyPath, value: Any) -> Iterator[Problem]:
        """``value`` is a name, a list of names, or something that the models have refused already."""
        names = self._names[kind]
        if not names and kind != "upload":
            return  # that nothing can be named is the error
        for where, name in _names_in(path, value):
            if name not in names:
                hint = choice(name, names) if names else ""
                yield Problem(self._source.line_of(where), where, f"there is no {kind} {show(name)}{hint}")


def check_names(source: Source) -> list[Problem]:
    """Every name that leads nowhere, and every one that stands for two."""
    data, names = source.data, _Names(source)
    problems: list[Problem] = []
    for index, upload in _entries(data, "uploads"):
        problems += names.look_up("user", ("uploads", index, "owner"), upload.get("owner"))
        problems += _check_upload(source, index, upload)
    for index, client in _entries(data, "clients"):
        path: KeyPath = ("clients", index)
        problems += names.look_up("user", (*path, "user"), client.get("user"))
        problems += names.look_up("network", (*path, "network"), client.get("network"))
        if isinstance(client.get("subscribe"), list):
            problems += names.look_up("upload", (*path, "subscribe"), client["subscribe"])
        around = _at(client, "join", "around")
        if isinstance(around, str) and around.count(".") == 1:
            problems += names.look_up("upload", (*path, "join", "around"), around.partition(".")[0])
        problems += names.look_up("node", (*path, "node"), client.get("node"))
    for index, fault in _entries(data, "faults"):
        problems += _check_fault(names, ("faults", index), fault)
    for index, expectation in _entries(data, "expect"):
        problems += names.look_up("node", ("expect", index, "health", "node"), _at(expectation, "health", "node"))
        for key, expected in expectation.items():
            for plural, kind in (("clients", "client"), ("uploads", "upload")):
                value = expected.get(plural) if isinstance(expected, dict) else None
                if value != "all":
                    problems += names.look_up(kind, ("expect", index, key, plural), value)
    for section in ("uploads", "clients"):
        problems += _check_twins(source, section)
    return problems


def hints(scenario: Scenario, source: Source) -> Iterator[Problem]:
    """What a script says of uploads that are none of the file's, and looks like one of them: perhaps it is meant so."""
    fleets = {upload.id: upload.members for upload in scenario.uploads}
    for index, client in enumerate(scenario.clients):
        for number, step in enumerate(client.script or ()):
            named = (step.send or {}).get("upload_id")
            if not isinstance(named, str) or _is_one_of(named, fleets):
                continue
            near = f" (did you mean {named}:0?)" if named in fleets else nearest(named, fleets)
            if near:
                path: KeyPath = ("clients", index, "script", number, "send", "upload_id")
                message = f"no upload of the file is called {show(named)}, so it is sent as it stands{near}"
                yield Problem(source.line_of(path), path, message)


def _is_one_of(named: str, fleets: Mapping[str, int | None]) -> bool:
    """Whether this is the name of an upload, or of a member of a fleet."""
    entry, colon, number = named.partition(":")
    count = fleets.get(entry)
    if not colon or count is None:
        return entry in fleets and count is None and not colon
    return number.isdecimal() and len(number) < 9 and int(number) < count


def _nodes(data: Any) -> int:
    """How many there are, as far as that can be told."""
    count = _at(data, "server", "nodes")
    return count if type(count) is int and 1 <= count <= NODES_MAX else 1


def _check_fault(names: _Names, path: KeyPath, fault: Mapping[str, Any]) -> Iterator[Problem]:
    """That there is whatever it befalls. Whether it can be befallen is looked at first."""
    do, target, between = fault.get("do"), fault.get("target"), fault.get("between")
    if do in ("connections.kill", "network.change"):
        if isinstance(target, str) and share_of(target) is None:
            yield from names.look_up("client", (*path, "target"), target)
    elif do in ("node.restart", "node.kill", "node.pause", "clock.jump"):
        yield from names.look_up("node", (*path, "target"), target)
    if do == "network.change":
        yield from names.look_up("network", (*path, "how"), fault.get("how"))
    if do == "partition" and isinstance(between, list) and len(between) == 2:
        yield from _check_partition(names, (*path, "between"), between)


def _check_partition(names: _Names, path: KeyPath, between: Sequence[Any]) -> Iterator[Problem]:
    """One of the two is a node, the other Redis or clients."""
    nodes = [place for place, one in enumerate(between) if isinstance(one, str) and one.startswith("node:")]
    if len(nodes) != 1:
        yield names.problem(path, "expected a node, and redis or the id of clients")
        return
    (place,) = nodes
    yield from names.look_up("node", (*path, place), between[place])
    other = between[1 - place]
    if other != REDIS:
        yield from names.look_up("client", (*path, 1 - place), other)


def _check_upload(source: Source, index: int, upload: Mapping[str, Any]) -> Iterator[Problem]:
    outcome = upload.get("outcome")
    path: KeyPath = ("uploads", index, "outcome")
    endings = {(*path, ending): ending for ending in outcome} if isinstance(outcome, dict) else {path: outcome}
    for where, ending in endings.items():
        if isinstance(ending, str):
            yield from _check_ending(source, where, ending, upload)
    if _at(upload, "messiness", "retries") and not _can_be_retried(upload.get("pipeline")):
        path = ("uploads", index, "messiness", "retries")
        message = "expected no retries where there is no stage vision_analysis with a description_audit after it"
        yield Problem(source.line_of(path), path, message)
    plain = upload.get("publisher") == "plain"
    if plain and (_at(source.data, "server", "config", "access") or "owner") == "owner":
        path = ("uploads", index, "publisher")
        message = "a plain publisher names no owner, so nobody would get anything (server: {config: {access: open}})"
        yield Problem(source.line_of(path), path, message)


def _check_ending(source: Source, path: KeyPath, ending: str, upload: Mapping[str, Any]) -> Iterator[Problem]:
    kind, _, stage = ending.partition("@")
    line = source.line_of(path)
    if kind == "stalled" and upload.get("regenerate") is not None:
        yield Problem(line, path, "expected an outcome that ends: what stalls is never regenerated")
    stages = _stages(upload.get("pipeline"))
    if stage and stages and stage not in stages:
        yield Problem(line, path, f"expected a stage of the pipeline, got {show(stage)}{choice(stage, stages)}")


def _stages(pipeline: Any) -> Sequence[str]:
    """What an upload passes, as far as that can be told."""
    if isinstance(pipeline, list):
        return [step["stage"] for step in pipeline if isinstance(step, dict) and isinstance(step.get("stage"), str)]
    if pipeline == "image" or isinstance(pipeline, dict):
        return _PASSED
    return (*_PASSED, "extracting_frames") if pipeline == "video" else ()


def _can_be_retried(pipeline: Any) -> bool:
    """Whether it has the stages between which a failed audit goes back, as far as that can be told."""
    stages = list(_stages(pipeline))
    if isinstance(pipeline, dict) or "vision_analysis" not in stages:
        return False
    return "description_audit" in stages[stages.index("vision_analysis") :]


def _check_twins(source: Source, section: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, entry in _entries(source.data, section):
        path = (section, index, "id")
        name = entry.get("id")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            line = source.line_of((section, first[name], "id"))
            yield Problem(source.line_of(path), path, f"{show(name)} stands twice, first in line {line}")


def _at(data: Any, *path: str) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _entries(data: Any, section: str) -> list[tuple[int, dict[str, Any]]]:
    entries = _at(data, section)
    found = enumerate(entries) if isinstance(entries, list) else ()
    return [(index, entry) for index, entry in found if isinstance(entry, dict)]


def _ids(entries: Any) -> list[str]:
    found = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in found if isinstance(name, str)]


def _names_in(path: KeyPath, value: Any) -> Iterable[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, name in enumerate(value):
            if isinstance(name, str):
                yield (*path, index), name
