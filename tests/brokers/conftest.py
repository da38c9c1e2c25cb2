"""Redis for everybody who needs one and does it no harm. Each test takes a prefix of its own."""

from collections.abc import Iterator

import pytest

from tests.memory_redis_server import MemoryRedisServer
from tests.redis_server import RedisCluster, RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def memory_redis_server() -> Iterator[MemoryRedisServer]:
    with MemoryRedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """The test's own, for brokers that are to be one system."""
    return f"{request.node.name}:"
