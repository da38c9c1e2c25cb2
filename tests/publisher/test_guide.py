"""``docs/publishing.md`` does what it says."""

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.publisher.nodes import stored
from tests.redis_server import RedisServer
from vuemantics_ws_cli.app import app

GUIDE = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text(encoding="utf-8")
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
UPLOAD_ID = "5c4e2f0a-9a39-4d0e-8f5f-3f1f3c0a7d11"


def names_of(page: str, example: str, url: str) -> dict[str, Any]:
    """What the code of an example defines, with Redis where it is here."""
    found = re.search(rf"<!-- example: {example} -->\n```python\n(.+?)```", page, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1].replace("redis://localhost", url), names)
    return names


def test_the_example_with_an_event_loop_publishes(redis: RedisServer) -> None:
    names = names_of(GUIDE, "async", redis.url)

    asyncio.run(names["main"](redis.url))

    assert stored(redis, "vuemantics-ws:", UPLOAD_ID)["description"] == "A beach at dusk"


@pytest.mark.parametrize("page", [GUIDE, README], ids=["guide", "readme"])
def test_the_example_without_an_event_loop_publishes(redis: RedisServer, page: str) -> None:
    redis.cli("flushall")
    names = names_of(page, "sync" if page is GUIDE else "worker", redis.url)

    names["process"](UPLOAD_ID, "alice", [b"one", b"two"])
    names["publisher"].close()

    assert stored(redis, "vuemantics-ws:", UPLOAD_ID)["description"] == "A beach at dusk"


@pytest.mark.parametrize("command", re.findall(r"^vuemantics-ws .+", GUIDE, re.MULTILINE))
def test_every_command_on_the_page_parses(command: str) -> None:
    _, name, *arguments = shlex.split(command)

    typer.main.get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
