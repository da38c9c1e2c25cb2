"""How long hypothesis looks for a counterexample, and the Redis that tests share."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.redis_server import RedisCluster, RedisServer, SentinelSet

# A moment here, and the same moment every time where CI is set.
settings.register_profile("here", deadline=None, max_examples=50)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked as planted takes long, and is run where somebody asks for it alone.

    Where several processes share the work the files that take long come first, so that none is left alone with one at the end.
    """
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow") is not None)
        items.sort(key=lambda item: -slow[item.path])
    if "planted" in config.getoption("markexpr"):
        return
    asked_for = [item for item in items if item.get_closest_marker("planted") is None]
    if len(asked_for) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("planted") is not None])
        items[:] = asked_for


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One for the tests of a module; each takes a prefix of its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """For a test that stops it, kills it or fills it."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def sentinels() -> Iterator[SentinelSet]:
    with SentinelSet() as sentinels:
        yield sentinels


@pytest.fixture
def prefix() -> str:
    return f"test-{next(_numbers)}:"
