"""One server for all tests of the command line that only need one."""

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.cli.program import Server, server

_NUMBERS = count()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's own, no colours, and the narrowest terminal that is promised."""
    for variable in [name for name in os.environ if name.startswith("VUEMANTICS_WS_")]:
        monkeypatch.delenv(variable)
    for variable in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="session")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In development mode, where everybody may follow everything."""
    with server(tmp_path_factory.mktemp("state")) as ready:
        yield ready


@pytest.fixture
def upload_id() -> str:
    """An upload of this test's own."""
    return f"00000000-0000-4000-8000-{next(_NUMBERS):012d}"
