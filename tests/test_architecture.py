"""Who may import whom. The rules are the house; a wrong one is changed here, with a reason in the commit."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "manager", ROOT / "cli"]

PLAIN = {"errors", "messages", "frame", "closing", "limits", "quantities", "ambient"}
"""Modules that everybody may import; of the clock and the dice, core takes neither."""

MAY_IMPORT: dict[str, set[str]] = {
    "core": {"core", *PLAIN} - {"ambient"},
    "brokers": {"brokers", "core", *PLAIN},
    "connection_manager": {"absences", "shared_delivery", "brokers", "core", "socket_writer", *PLAIN},
    "absences": PLAIN,
    "shared_delivery": {"brokers", "core", *PLAIN},
    "socket_writer": {"core", *PLAIN},
    "publisher": {"publisher", "brokers", "core", *PLAIN},
    "client": {"client", *PLAIN},
    "gateway": {"gateway", "brokers", "core", "connection_manager", "client", *PLAIN},
    "simulation": {"simulation", "gateway", "brokers", "core", "client", *PLAIN},
    "vuemantics_ws_cli": {"vuemantics_ws_cli", "vuemantics_ws", "simulation", "gateway", "publisher", "client", *PLAIN},
    **dict.fromkeys(PLAIN, PLAIN),
}  # fmt: skip
"""By the first part of a module's name below ``vuemantics_ws``; the command line is a package of its own."""

STANDARD_FOR_CORE = {
    "collections", "dataclasses", "enum", "functools", "hashlib", "itertools", "math", "operator", "re", "typing",
}  # fmt: skip
"""No asyncio, no time, no random, no socket, no logging: the rules are functions of what they are told."""

ONLY_IN: dict[str, set[str]] = {
    "typer": {"vuemantics_ws_cli"},
    "rich": {"vuemantics_ws_cli"},
    "fastapi": {"gateway"},
    "uvicorn": {"gateway"},
    "httpx": {"client"},
    "h11": {"client"},
    "websockets": {"gateway", "client", "simulation"},
    "pydantic": {"gateway", "simulation"},
    "uvloop": {"gateway"},
    "platformdirs": {"gateway"},
    "yaml": {"simulation"},
    "jwt": {"gateway", "client"},
    "prometheus_client": {"gateway"},
    "redis": {"brokers"},
    "hiredis": {"brokers", "simulation"},
}


def _modules() -> Iterator[tuple[str, Path]]:
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            yield ".".join(path.relative_to(source).with_suffix("").parts), path


def _imports(path: Path) -> Iterator[str]:
    """The full names of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: an import says the whole name"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _house(module: str) -> str:
    """The part of the house that a module belongs to."""
    package, _, rest = module.partition(".")
    if package != "vuemantics_ws":
        return package
    return rest.partition(".")[0] or package


MODULES = dict(_modules())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_part_of_the_house_may(module: str) -> None:
    house = _house(module)
    if house in ("vuemantics_ws", "__init__"):
        return  # the public names come from everywhere
    for name in _imports(MODULES[module]):
        if name.partition(".")[0] in ("vuemantics_ws", "vuemantics_ws_cli"):
            assert _house(name) in MAY_IMPORT[house], f"{module} may not import {name}"


@pytest.mark.parametrize("module", [module for module in MODULES if _house(module) == "core"])
def test_core_is_pure(module: str) -> None:
    for name in _imports(MODULES[module]):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            assert top in STANDARD_FOR_CORE, f"{module} may not import {name}"
        else:
            assert top in ("vuemantics_ws", "msgspec"), f"{module} may not import {name}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_where_it_belongs(module: str) -> None:
    for name in _imports(MODULES[module]):
        allowed = ONLY_IN.get(name.partition(".")[0])
        assert allowed is None or _house(module) in allowed, f"{module} may not import {name}"


WHICH_BROKER: dict[str, set[str]] = {
    "vuemantics_ws.gateway.run": {"memory", "redis.broker"},
    "vuemantics_ws.gateway.settings": {"redis.address"},
    "vuemantics_ws.publisher.publisher": {"redis.address", "redis.commands", "redis.heads", "redis.keys"},
    "vuemantics_ws.publisher.outgoing": {"redis.heads"},
    "vuemantics_ws.publisher.synchronous": {"redis.commands"},
    "vuemantics_ws.simulation.plain": {"redis.heads"},
    "vuemantics_ws.simulation.virtual.middle": {"memory"},
    "vuemantics_ws.simulation.virtual.around_redis": {"redis.broker"},
    "vuemantics_ws.simulation.resp.scripts.known": {"redis.commands"},
}
"""Who makes a broker knows which it is, and so does who speaks to Redis without one. All others know what a broker promises."""


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("vuemantics_ws.brokers.redis.")])
def test_only_who_must_knows_which_broker_it_is(module: str) -> None:
    if _house(module) == "__init__":
        return
    for name in _imports(MODULES[module]):
        _, _, home = name.rpartition(".")[0].partition("vuemantics_ws.brokers.")
        if home.partition(".")[0] in ("memory", "redis"):
            assert home in WHICH_BROKER.get(module, ()), f"{module} may not import {name}"


IN_A_SET = {"str", "int", "bytes", "float", "tuple", "type", "BaseException"}
"""What a table that is a set may hold: it is asked whether something is in it, and gone through by nobody."""


@pytest.mark.parametrize("module", MODULES)
def test_a_table_of_connections_or_tasks_is_in_order(module: str) -> None:
    """A set of objects is in the order of where they lie in memory, and what follows from that is no run again: use a dict."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        match node:
            case ast.AnnAssign(annotation=ast.Subscript(value=ast.Name("set"), slice=held)):
                names = {part.id for part in ast.walk(held) if isinstance(part, ast.Name)}
                assert names <= IN_A_SET, f"{module}: {ast.unparse(node)}"


IN_SIMULATION: dict[str, set[str]] = {
    # What a scenario file says, and what follows from it and a seed.
    "dice": set(),
    "pipeline": set(),
    "format": {"format", "dice", "pipeline"},
    "planning": {"planning", "format", "dice", "pipeline"},
    # What happened, and whether that is as it should be. Only the log joins playing and judging.
    "log": {"format"},
    "judging": {"judging", "planning", "format", "log"},
    # What the virtual world is made of.
    "clock": {"clock", "dice"},
    "network": {"network", "format", "dice", "clock"},
    "resp": {"resp", "dice"},
    "hub": {"hub", "dice"},
    # What a plan is played against, by whom, and both arms.
    "redis_line": set(),
    "plain": {"redis_line", "planning"},
    "browser": {"browser", "network", "format", "dice", "log"},
    "site": {"browser", "planning", "format", "dice"},
    "system": {"site", "planning", "network"},
    "playing": {
        *("playing", "system", "site", "browser", "network"),
        *("judging", "log", "planning", "format", "pipeline", "dice"),
    },
    "real": {
        *("real", "playing", "system", "site", "plain", "redis_line", "network"),
        *("judging", "log", "planning", "format", "dice"),
    },
    "virtual": {
        *("virtual", "playing", "system", "site", "plain", "redis_line", "clock", "network", "resp", "hub"),
        *("judging", "log", "planning", "format", "dice"),
    },
    # What is made of many runs, or of one more.
    "sweeping": {"sweeping", "virtual", "judging", "log", "planning", "format"},
    "shrinking": {"shrinking", "judging", "log", "planning", "format"},
    "replaying": {"log", "planning", "format"},
    # What is shown.
    "overview": {"site", "planning", "format"},
    "board": {"judging", "log"},
    "versions": set(),
}
"""A file is read, planned, played and judged: each part knows of those before it."""


@pytest.mark.parametrize("module", [module for module in MODULES if _house(module) == "simulation"])
def test_a_part_of_the_simulation_knows_only_what_comes_before_it(module: str) -> None:
    part = module.split(".")[2]
    for name in _imports(MODULES[module]):
        if _house(name) == "simulation":
            assert name.split(".")[2] in IN_SIMULATION[part], f"{module} may not import {name}"


def test_every_part_of_the_house_has_a_rule() -> None:
    houses = {_house(module) for module in MODULES} - {"vuemantics_ws", "__init__"}

    assert houses <= set(MAY_IMPORT)


def test_the_top_of_the_repository_holds_what_it_should() -> None:
    allowed = {
        "pyproject.toml", "README.md", "cli", "manager", "tests", "scenarios", "docs", "LICENSE", "CHANGELOG.md", "uv.lock",
        "dist", "build",
    }  # fmt: skip

    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} <= allowed
