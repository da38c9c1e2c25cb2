"""``from vuemantics_ws import …``: every name is there, for people and for type checkers, and none costs before it is used."""

import ast
import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vuemantics_ws
from vuemantics_ws import (
    Access,
    BadEvent,
    Broker,
    Clock,
    CloseCode,
    ConnectionManager,
    LimitReached,
    Limits,
    MemoryBroker,
    Receipt,
    Stage,
    Status,
    SystemClock,
    Verdict,
    VuemanticsError,
    anyone,
    owner_only,
)

SOURCE = Path(vuemantics_ws.__file__)


def test_every_public_name_is_what_its_own_module_calls_it() -> None:
    for name in vuemantics_ws.__all__:
        if name != "__version__":
            home = importlib.import_module(f"vuemantics_ws.{vuemantics_ws._HOME_OF[name]}")
            assert getattr(vuemantics_ws, name) is getattr(home, name)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.name: node.module.removeprefix("vuemantics_ws.")
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }

    assert seen == vuemantics_ws._HOME_OF
    assert set(vuemantics_ws.__all__) == {*seen, "__version__"}


def test_the_docstring_says_what_each_name_is_for() -> None:
    assert vuemantics_ws.__doc__ is not None
    named = set(re.findall(r":(?:class|func|data):`(\w+)`", vuemantics_ws.__doc__))

    assert named == set(vuemantics_ws._HOME_OF)


def test_importing_the_package_imports_nothing_else() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(SOURCE.parent.parent)!r})
before = set(sys.modules)
import vuemantics_ws
print(sorted(set(sys.modules) - before - {{"vuemantics_ws"}}))
print("ConnectionManager" in dir(vuemantics_ws), "msgspec" in sys.modules)
print(vuemantics_ws.owner_only("alice", "alice"), "msgspec" in sys.modules)
print(vuemantics_ws.ConnectionManager.__name__, "msgspec" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()

    loaded = {name.partition(".")[0] for name in ast.literal_eval(said[0])}
    assert loaded <= sys.stdlib_module_names - {"asyncio", "logging"}
    assert said[1:] == ["True False", "True False", "ConnectionManager True"]


@pytest.mark.parametrize(
    ("names", "never"),
    [
        ("ConnectionManager MemoryBroker Broker", {"redis", "hiredis"}),
        ("UploadProgressPublisher SyncUploadProgressPublisher RedisBroker", set[str]()),
    ],
)
def test_a_name_loads_no_server_and_only_redis_loads_redis(names: str, never: set[str]) -> None:
    server = {"fastapi", "uvicorn", "websockets", "pydantic", "httpx", "jwt", "yaml", "typer", "rich", "uvloop"}
    code = f"import sys; from vuemantics_ws import {', '.join(names.split())}; print(*sys.modules)"

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert not {*said.split()} & (server | never)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'vuemantics_ws' has no attribute 'Redis'"):
        vuemantics_ws.Redis  # noqa: B018


def test_the_version_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        assert name == "vuemantics-ws"
        return "1.2.3"

    monkeypatch.setattr("importlib.metadata.version", installed)
    assert vuemantics_ws._version() == "1.2.3"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert vuemantics_ws._version() == "0+unknown"
    assert isinstance(vuemantics_ws.__version__, str)


def test_the_names_are_used_as_an_application_uses_them() -> None:
    clock: Clock = SystemClock()
    broker: Broker = MemoryBroker(clock=clock)
    rules: list[Access] = [owner_only, anyone]
    manager = ConnectionManager(broker=broker, access=rules[0], limits=Limits(grace_s=60.0))
    receipt = Receipt(Verdict.ACCEPTED, None, None, owned=False)

    assert manager.limits.grace_s == 60.0
    assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert issubclass(LimitReached, VuemanticsError)
    assert issubclass(BadEvent, VuemanticsError)
    assert (Status.ANALYZING, Stage.QUEUED, CloseCode.SERVER_FULL) == ("analyzing", "queued", 1013)
