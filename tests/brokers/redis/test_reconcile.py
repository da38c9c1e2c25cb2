"""Nodes give Redis what they know after it has lost it, and end with one state (SEMANTICS.md section 6)."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.brokers.redis.clocked import TimedCommands, clocked_redis
from tests.events import UPLOAD_ID, completed, failed, progress, read
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Head, Upload, Verdict, Version, judge
from vuemantics_ws.frame import Frame
from vuemantics_ws.messages import with_version

_prefixes = itertools.count()


class Bench:
    """One Redis whose time is the test's."""

    def __init__(self, commands: TimedCommands) -> None:
        self.runner = asyncio.Runner()
        self.commands = commands
        self.lose()

    def lose(self) -> None:
        """Everything that was stored."""
        self.heads = Heads(
            self.commands, Keys(f"reconcile-{next(_prefixes)}:"), head_ttl_s=1_000_000, dice=random.Random(next(_prefixes))
        )

    def publish(self, event: Event, at_s: float) -> Verdict:
        self.commands.now_s = at_s
        return self.runner.run(self.heads.publish(event)).verdict

    def read(self, at_s: float) -> Stored | None:
        self.commands.now_s = at_s
        (stored,) = self.runner.run(self.heads.read([UPLOAD_ID], at_s))
        assert not isinstance(stored, Exception)
        return stored

    def reconcile(self, head: Head, at_s: float) -> Stored:
        self.commands.now_s = at_s
        (stored,) = self.runner.run(self.heads.reconcile([(UPLOAD_ID, Stored(head, b"former"))], at_s))
        assert isinstance(stored, Stored)
        return stored


@pytest.fixture(scope="module", params=["real", "in memory"])
def shared_bench(redis: RedisServer, request: pytest.FixtureRequest) -> Iterator[Bench]:
    with clocked_redis(request.param, redis) as (_, commands):
        bench = Bench(commands)
        yield bench
        bench.runner.run(bench.commands.close())
        bench.runner.close()


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    shared_bench.lose()
    return shared_bench


def head_of(*published: bytes, owner: str | None = None, at_s: float = 0.0) -> Head:
    """What a node that heard these knows."""
    upload = Upload()
    for event in published:
        upload.judge(read(event, owner), at_s)
    assert upload.head is not None
    return upload.head


def text(stored: Stored) -> bytes:
    return stored.head.frame.payload


class TestNothingStored:
    def test_ours_is_stored_whole(self, bench: Bench) -> None:
        ours = head_of(progress(number=1), completed(number=2), owner="ann")

        stored = bench.reconcile(ours, 5.0)

        found = bench.read(5.0)
        assert found is not None
        assert same(stored.head, ours)
        assert same(found.head, ours)
        assert found.incarnation == stored.incarnation
        assert stored.incarnation != b"former"

    def test_an_event_that_comes_again_is_a_duplicate(self, bench: Bench) -> None:
        bench.reconcile(head_of(progress(number=1)), 5.0)

        assert bench.publish(read(progress(number=1)), 5.0) is Verdict.DUPLICATE

    def test_a_straggler_of_the_end_is_one_still(self, bench: Bench) -> None:
        bench.reconcile(head_of(completed()), 9.0)

        assert bench.publish(read(progress(number=1)), 9.5) is Verdict.AFTER_TERMINAL
        assert bench.publish(read(progress(number=2)), 10.0) is Verdict.ACCEPTED


class TestSomethingStored:
    def test_what_is_above_ours_stays(self, bench: Bench) -> None:
        bench.publish(read(progress(version=(1, 5))), 0)

        stored = bench.reconcile(head_of(progress(number=1, version=(1, 4))), 0)

        assert text(stored) == progress(version=(1, 5))
        assert stored.incarnation != b"former"

    def test_what_nobody_owns_gets_the_owner_that_we_know(self, bench: Bench) -> None:
        bench.publish(read(progress(version=(1, 5))), 0)

        stored = bench.reconcile(head_of(progress(number=1, version=(1, 4)), owner="ann"), 0)

        assert (stored.head.version, stored.head.owner) == ((1, 5), "ann")

    def test_an_event_with_a_lower_version_gives_way(self, bench: Bench) -> None:
        bench.publish(read(progress(version=(1, 3)), "bob"), 0)
        before = bench.read(0)

        stored = bench.reconcile(head_of(progress(number=1, version=(1, 4)), owner="ann"), 0)

        assert before is not None
        assert stored.incarnation == before.incarnation
        assert text(stored) == progress(number=1, version=(1, 4))
        assert stored.head.owner == "bob"

    def test_an_event_without_a_version_goes_on_from_ours(self, bench: Bench) -> None:
        bench.publish(read(progress(number=7)), 0)

        stored = bench.reconcile(head_of(progress(number=1), progress(number=2)), 0)

        assert text(stored) == with_version(progress(number=7), 1, 3)

    def test_an_end_is_no_straggler_of_its_own_run(self, bench: Bench) -> None:
        bench.publish(read(completed(number=9)), 0)

        stored = bench.reconcile(head_of(progress(number=1), completed(number=2)), 0)

        assert text(stored) == with_version(completed(number=2), 1, 2)

    def test_an_end_reaches_those_who_were_told_a_straggler_under_its_version(self, bench: Bench) -> None:
        bench.publish(read(progress(number=9)), 5.0)

        stored = bench.reconcile(head_of(completed(number=2)), 6.0)

        assert text(stored) == with_version(completed(number=2), 1, 2)

    def test_what_was_numbered_above_an_end_by_one_who_did_not_know_it_opens_a_run(self, bench: Bench) -> None:
        bench.publish(read(progress("queued", number=8)), 5.0)
        bench.publish(read(progress("queued", number=9)), 5.0)

        stored = bench.reconcile(head_of(completed(number=2)), 6.0)

        assert text(stored) == with_version(progress("queued", number=9), 2, 1)

    def test_the_same_end_stays(self, bench: Bench) -> None:
        bench.publish(read(progress(number=8)), 5.0)
        bench.publish(read(completed(number=9)), 5.0)

        stored = bench.reconcile(head_of(completed(number=2)), 6.0)

        assert text(stored) == with_version(completed(number=9), 1, 2)

    def test_a_queued_event_opens_a_run_whatever_came_before_it(self, bench: Bench) -> None:
        bench.publish(read(progress("queued", number=9)), 1.0)

        stored = bench.reconcile(head_of(completed(number=2)), 2.0)

        assert text(stored) == with_version(progress("queued", number=9), 2, 1)

    def test_a_straggler_that_came_in_time_is_none_however_late_we_reconcile(self, bench: Bench) -> None:
        bench.publish(read(progress(number=9)), 5.0)

        stored = bench.reconcile(head_of(completed(number=2)), 3600.0)

        assert text(stored) == with_version(completed(number=2), 1, 2)

    def test_once_more_changes_nothing(self, bench: Bench) -> None:
        ours = head_of(progress(number=1))
        first = bench.reconcile(ours, 0)

        second = bench.reconcile(ours, 0)

        assert same(first.head, second.head)
        assert first.incarnation == second.incarnation


class Step(NamedTuple):
    """A node reconciles, or an event without a version is published (node None)."""

    pause_s: float
    node: int | None
    event: bytes
    heard_by: frozenset[int]


NODES = 3
_plain = st.one_of(
    st.builds(
        lambda stage, number: progress(stage, number=number), st.sampled_from(("queued", "indexing")), st.integers(0, 99)
    ),
    st.builds(lambda word, number: completed(text=word, number=number), st.sampled_from("ab"), st.integers(0, 99)),
    st.builds(lambda number: failed(number=number), st.integers(0, 99)),
)
_pauses_s = st.sampled_from((0.0, 0.0, 1.0, 9.75, 10.0, 30.0))
_steps = st.builds(
    Step, _pauses_s, st.none() | st.integers(0, NODES - 1), _plain, st.frozensets(st.integers(0, NODES - 1), max_size=NODES)
)


def expected(stored: Head | None, ours: Head) -> Head:
    """The rules once more, over the judge of core."""
    if stored is None:
        return ours
    owner = stored.owner or ours.owner
    ended = ours.terminal and stored.version.attempt == ours.version.attempt
    if (stored.version > ours.version and not ended) or (stored.version == ours.version and stored.digest == ours.digest):
        return stored._replace(owner=owner)
    event = Event.read(_published(stored), presumed=stored.presumed)
    verdict, version = judge(ours, event, stored.accepted_at - ours.accepted_at, remembered=False)
    if verdict is Verdict.ACCEPTED:
        assert version is not None
        return _moved(stored, version)._replace(owner=owner)
    if stored.version < ours.version:
        return ours._replace(owner=owner)
    if verdict is Verdict.DUPLICATE:
        return stored._replace(owner=owner)
    return _moved(ours, Version(ours.version.attempt, stored.version.seq + 1))._replace(owner=owner)


def _moved(head: Head, version: Version) -> Head:
    """The same event under another version."""
    return head._replace(version=version, frame=Frame(with_version(_published(head), *version)))


def _published(head: Head) -> bytes:
    payload = head.frame.payload
    return payload if head.versioned else payload.replace(b'"attempt":%d,"seq":%d,' % head.version, b"", 1)


def same(one: Head, other: Head) -> bool:
    return one.frame.payload == other.frame.payload and one._replace(frame=other.frame) == other


@pytest.mark.slow
@settings(max_examples=300)
@given(
    before=st.lists(st.tuples(_plain, st.sampled_from((None, "ann"))), min_size=1, max_size=6),
    known=st.lists(st.integers(0, 6), min_size=NODES, max_size=NODES),
    steps=st.lists(_steps, max_size=12),
    last=st.permutations(range(NODES)),
)
def test_nodes_that_reconcile_end_with_one_state(
    shared_bench: Bench, before: list[tuple[bytes, str | None]], known: list[int], steps: list[Step], last: list[int]
) -> None:
    bench = shared_bench
    bench.lose()
    upload = Upload()
    history: list[Head | None] = [None]
    for published, owner in before:
        upload.judge(read(published, owner), 0.0)
        history.append(upload.head)
    nodes = [history[min(index, len(history) - 1)] for index in known]
    now = 0.0
    versions: list[Version] = []

    for step in [*steps, *(Step(0.0, node, b"", frozenset()) for node in last)]:
        now += step.pause_s
        stored = bench.read(now)
        if step.node is None:
            bench.publish(read(step.event), now)
        elif (ours := nodes[step.node]) is not None:
            after = bench.reconcile(ours, now)
            assert same(after.head, expected(stored.head if stored else None, ours))
        stored = bench.read(now)
        if stored is not None:
            versions.append(stored.head.version)
            for node in step.heard_by:
                nodes[node] = _newer(nodes[node], stored.head)

    stored = bench.read(now)
    assert versions == sorted(versions)
    for head in nodes:
        if stored is None:
            assert head is None
        else:
            assert _state(_newer(head, stored.head)) == _state(stored.head)


def _newer(ours: Head | None, told: Head) -> Head:
    """What a node that judges again makes of what it is told: nothing follows an end within its attempt."""
    if ours is None:
        return told
    ended = ours.terminal and told.version.attempt == ours.version.attempt
    return told if told.version > ours.version and not ended else ours


def _state(head: Head) -> tuple[bool, bytes]:
    """What people see: an end says the same under each version."""
    return head.terminal, head.outcome or head.frame.payload
