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
        self.keys = Keys(f"reconcile-{next(_prefixes)}:")
        self.heads = Heads(self.commands, self.keys, head_ttl_s=1_000_000, dice=random.Random(next(_prefixes)))

    def publish(self, event: Event, at_s: float) -> Verdict:
        self.commands.now_s = at_s
        return self.runner.run(self.heads.publish(event)).verdict

    def read(self, at_s: float) -> Stored | None:
        self.commands.now_s = at_s
        (stored,) = self.runner.run(self.heads.read([UPLOAD_ID], at_s))
        assert not isinstance(stored, Exception)
        return stored

    def reconcile(self, head: Head, at_s: float, incarnation: bytes = b"former") -> Stored:
        self.commands.now_s = at_s
        (stored,) = self.runner.run(self.heads.reconcile([(UPLOAD_ID, Stored(head, incarnation))], at_s))
        assert isinstance(stored, Stored)
        return stored

    def copy(self) -> list[bytes]:
        """What a replica has at this moment: the head, as names and values."""
        copied = self.runner.run(self.commands.execute("HGETALL", self.keys.head(UPLOAD_ID)))
        return [part for pair in copied.items() for part in pair] if isinstance(copied, dict) else copied

    def fail_over(self, copied: list[bytes]) -> None:
        """The replica answers from now on."""
        self.runner.run(self.commands.execute("DEL", self.keys.head(UPLOAD_ID), self.keys.digests(UPLOAD_ID)))
        if copied:
            self.runner.run(self.commands.execute("HSET", self.keys.head(UPLOAD_ID), *copied))


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


NODES = 3
_plain = st.one_of(
    st.builds(
        lambda stage, number: progress(stage, number=number), st.sampled_from(("queued", "indexing")), st.integers(0, 99)
    ),
    st.builds(lambda word, number: completed(text=word, number=number), st.sampled_from("ab"), st.integers(0, 99)),
    st.builds(lambda number: failed(number=number), st.integers(0, 99)),
)
_pauses_s = st.sampled_from((0.0, 0.0, 1.0, 9.75, 10.0, 30.0))


class TestAReplicaThatHadNotGotAll:
    """It took the place of its master, under the same incarnation."""

    def behind(self, bench: Bench, *published: bytes, by: int = 1) -> Stored:
        """All of these were judged, a second apart, and the replica lacks the last ones. What a node knows."""
        copies = []
        for at, event in enumerate(published):
            bench.publish(read(event), at)
            copies.append(bench.copy())
        known = bench.read(len(published) - 1)
        assert known is not None
        bench.fail_over(copies[-1 - by])
        return known

    def test_a_run_that_ended_is_not_queued_again(self, bench: Bench) -> None:
        known = self.behind(bench, progress("queued", number=1), completed(number=2))

        stored = bench.reconcile(known.head, 5.0, known.incarnation)

        assert text(stored) == with_version(completed(number=2), 1, 2)
        assert stored.incarnation == known.incarnation
        assert bench.publish(read(completed(number=2)), 5.0) is Verdict.DUPLICATE

    def test_progress_does_not_go_back(self, bench: Bench) -> None:
        known = self.behind(bench, progress(number=1), progress(number=2), progress(number=3), by=2)

        stored = bench.reconcile(known.head, 60.0, known.incarnation)

        assert text(stored) == with_version(progress(number=3), 1, 3)

    def test_clocks_that_differ_a_little_make_no_news_of_it(self, bench: Bench) -> None:
        known = self.behind(bench, progress("queued", number=1), completed(number=2))

        stored = bench.reconcile(known.head._replace(accepted_at=-0.05), 5.0, known.incarnation)

        assert text(stored) == with_version(completed(number=2), 1, 2)

    @pytest.mark.parametrize("last", [completed(number=9), progress("queued", number=9)])
    def test_what_it_accepted_itself_is_news(self, bench: Bench, last: bytes) -> None:
        known = self.behind(bench, progress(number=1), progress(number=2), progress(number=3), by=2)
        bench.publish(read(last), 4.0)

        stored = bench.reconcile(known.head, 5.0, known.incarnation)

        assert text(stored) == with_version(last, 1, 4)

    def test_who_owns_it_is_what_was_said_last(self, bench: Bench) -> None:
        bench.publish(read(progress(number=1), "ann"), 0.0)
        copied = bench.copy()
        bench.publish(read(progress(number=2), "bob"), 1.0)
        known = bench.read(1.0)
        bench.fail_over(copied)

        assert known is not None
        assert bench.reconcile(known.head, 2.0, known.incarnation).head.owner == "bob"

    def test_the_same_under_another_incarnation_is_another_history(self, bench: Bench) -> None:
        known = self.behind(bench, progress("queued", number=1), completed(number=2))

        stored = bench.reconcile(known.head, 5.0, b"former")

        assert text(stored) == with_version(progress("queued", number=1), 2, 1)

    @pytest.mark.slow
    @settings(max_examples=100)
    @given(data=st.data())
    def test_nodes_give_it_back_all_that_any_of_them_knows(self, shared_bench: Bench, data: st.DataObject) -> None:
        bench, now = shared_bench, 0.0
        bench.lose()
        history: list[tuple[Stored, list[bytes]]] = []
        for published in data.draw(st.lists(_plain, min_size=1, max_size=8)):
            now += data.draw(_pauses_s)
            bench.publish(read(published), now)
            stored = bench.read(now)
            assert stored is not None
            history.append((stored, bench.copy()))
        places = st.integers(0, len(history) - 1)
        behind, known = data.draw(places), data.draw(st.lists(places, min_size=1, max_size=NODES))

        bench.fail_over(history[behind][1])
        for place in known:
            late_s = data.draw(st.sampled_from((0.0, 0.02, 0.05)))
            head = history[place][0].head
            bench.reconcile(head._replace(accepted_at=head.accepted_at + late_s), now + 1.0, history[place][0].incarnation)

        stored = bench.read(now + 1.0)
        assert stored is not None
        assert text(stored) == text(history[max(behind, *known)][0])


class Step(NamedTuple):
    """A node reconciles; or there is none, and an event without a version is published, or a replica takes over."""

    pause_s: float
    node: int | None
    event: bytes
    heard_by: frozenset[int]
    behind: int | None = None
    """So many steps the replica is behind."""


_heard_by = st.frozensets(st.integers(0, NODES - 1), max_size=NODES)
_behind = st.none() | st.none() | st.none() | st.integers(0, 4)
_steps = st.builds(Step, _pauses_s, st.none() | st.integers(0, NODES - 1), _plain, _heard_by, _behind)


def expected(stored: Stored | None, ours: Stored) -> Head:
    """The rules once more, over the judge of core."""
    return ours.head if stored is None else met(stored.head, ours.head, one_incarnation=stored.incarnation == ours.incarnation)


def met(stored: Head, ours: Head, *, one_incarnation: bool) -> Head:
    owner = stored.owner or ours.owner
    ended = ours.terminal and stored.version.attempt == ours.version.attempt
    if (stored.version > ours.version and not ended) or (stored.version == ours.version and stored.digest == ours.digest):
        return stored._replace(owner=owner)
    if one_incarnation and stored.version < ours.version and stored.accepted_at <= ours.accepted_at:
        return ours._replace(owner=ours.owner or stored.owner)
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
    history: list[Stored | None] = [None]
    for published, owner in before:
        upload.judge(read(published, owner), 0.0)
        assert upload.head is not None
        history.append(Stored(upload.head, b"former"))
    nodes = [history[min(index, len(history) - 1)] for index in known]
    now = 0.0
    versions: list[Version] = []
    copies = [bench.copy()]

    for step in [*steps, *(Step(0.0, node, b"", frozenset()) for node in last)]:
        now += step.pause_s
        stored = bench.read(now)
        if step.node is None and step.behind is not None:
            bench.fail_over(copies[-1 - min(step.behind, len(copies) - 1)])
            versions.clear()
        elif step.node is None:
            bench.publish(read(step.event), now)
        elif (ours := nodes[step.node]) is not None:
            after = bench.reconcile(ours.head, now, ours.incarnation)
            assert same(after.head, expected(stored, ours))
            nodes[step.node] = _newer(ours, after)
        copies.append(bench.copy())
        stored = bench.read(now)
        if stored is not None and step.behind is None:
            versions.append(stored.head.version)
            for node in step.heard_by:
                nodes[node] = _newer(nodes[node], stored)

    stored = bench.read(now)
    assert versions == sorted(versions)
    for ours in nodes:
        if stored is None:
            assert ours is None
        else:
            assert _state(_newer(ours, stored).head) == _state(stored.head)


def _newer(ours: Stored | None, told: Stored) -> Stored:
    """What a node that judges again makes of what it is told: nothing follows an end within its attempt."""
    if ours is None:
        return told
    known, head = ours.head, told.head
    if head.version == known.version and head.digest == known.digest:
        return told
    ended = known.terminal and head.version.attempt == known.version.attempt
    return told if head.version > known.version and not ended else ours


def _state(head: Head) -> tuple[bool, bytes]:
    """What people see: an end says the same under each version."""
    return head.terminal, head.outcome or head.frame.payload
