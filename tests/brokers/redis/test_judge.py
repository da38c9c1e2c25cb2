"""The judge that runs in Redis says what the one of core says: to the shared vectors, and to random histories.

So does what stands in its place in a Redis in memory.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given

from tests.brokers.redis.clocked import TimedCommands, clocked_redis
from tests.core import judge_vectors
from tests.core.histories import Published, histories
from tests.events import UPLOAD_ID, completed, progress, read
from tests.memory_redis_server import MemoryRedisServer
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Head, Upload, Verdict

MILLISECOND_S = 0.001

_prefixes = itertools.count()


class Bench:
    """A loop, a connection and a clock, for as many histories as a test plays; each has keys of its own."""

    def __init__(self, server: RedisServer | MemoryRedisServer, commands: TimedCommands) -> None:
        self.server = server
        self._runner = asyncio.Runner()
        self._commands = commands
        self.begin()

    def begin(self) -> None:
        self.keys = Keys(f"judge-{next(_prefixes)}:")
        self._heads = Heads(self._commands, self.keys, head_ttl_s=1_000_000, dice=random.Random(0))

    def publish(self, event: Event, at_s: float) -> tuple[Verdict, tuple[int, int] | None, bool]:
        self._commands.now_s = at_s
        receipt = self._runner.run(self._heads.publish(event))
        return receipt.verdict, receipt.version, receipt.owned

    def head(self, at_s: float) -> Head:
        self._commands.now_s = at_s
        (stored,) = self._runner.run(self._heads.read([UPLOAD_ID], at_s))
        assert isinstance(stored, Stored)
        return stored.head

    def close(self) -> None:
        self._runner.run(self._commands.close())
        self._runner.close()


@pytest.fixture(scope="module", params=["real", "in memory"])
def bench(redis: RedisServer, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with clocked_redis(request.param, redis) as (server, commands):
        bench = Bench(server, commands)
        yield bench
        bench.close()


def assert_same(head: Head, expected: Head) -> None:
    """All but when, which Redis counts in milliseconds, and the frame, whose bytes are compared."""
    assert abs(head.accepted_at - expected.accepted_at) <= MILLISECOND_S
    assert head.frame.payload == expected.frame.payload
    assert head._replace(accepted_at=0, frame=expected.frame) == expected._replace(accepted_at=0)


@pytest.mark.parametrize("name", judge_vectors.names())
def test_a_history_is_judged_as_written(bench: Bench, name: str) -> None:
    bench.begin()

    for step in judge_vectors.steps_of(name):
        verdict, version, owned = bench.publish(read(step.published, step.owner), step.at_s)

        assert verdict == step.verdict
        assert step.head in (None, version)
        if step.owned_by is not None:
            assert owned
            assert bench.head(step.at_s).owner == step.owned_by
        if step.leaves is not None and verdict is Verdict.ACCEPTED:
            assert bench.head(step.at_s).frame.payload == step.leaves


@pytest.mark.slow
@given(histories())
def test_a_random_history_is_judged_as_core_judges_it(bench: Bench, history: list[Published]) -> None:
    bench.begin()
    upload = Upload()

    for at_s, published in history:
        event = read(published)
        verdict, version, _ = bench.publish(event, at_s)

        assert (verdict, version) == upload.judge(event, at_s)

    assert upload.head is not None
    assert_same(bench.head(history[-1].at_s), upload.head)


def test_no_event_is_a_straggler_of_an_end_that_was_presumed(bench: Bench) -> None:
    bench.begin()
    bench.publish(Event.read(completed(), presumed=True), 0)

    verdict, version, _ = bench.publish(read(progress()), 0)

    assert (verdict, version) == (Verdict.ACCEPTED, (2, 1))
    assert not bench.head(0).presumed


def test_what_is_remembered_goes_with_its_head(bench: Bench) -> None:
    bench.begin()
    bench.publish(read(progress()), 0)
    assert bench.server.cli("del", bench.keys.head(UPLOAD_ID).decode()) == "1\n"

    verdict, version, _ = bench.publish(read(progress()), 0)

    assert (verdict, version) == (Verdict.ACCEPTED, (1, 1))
