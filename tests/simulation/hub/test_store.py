"""What the middle keeps, held against the scripts of the broker around Redis, which must do the same."""

import asyncio
import copy
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.brokers.redis.clocked import ClockedCommands
from tests.events import UPLOAD_ID, completed, failed, progress, read
from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.users import Stand
from vuemantics_ws.core.upload import Event, Head
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.hub.follows import FOLLOW, Change
from vuemantics_ws.simulation.hub.store import Store
from vuemantics_ws.simulation.hub.store import Stored as Known

_prefixes = itertools.count()

EVENT = st.builds(
    lambda make, number, version, owner, presumed: Event.read(
        make(number, version), owner=owner, presumed=presumed and version is not None
    ),
    st.sampled_from(
        [
            lambda number, version: progress("queued", number=number, version=version),
            lambda number, version: progress("indexing", number=number, version=version),
            lambda number, version: completed(text="ab"[number % 2], number=number, version=version),
            lambda number, version: failed(number=number, version=version),
        ]
    ),
    st.integers(0, 9),
    st.none() | st.none() | st.tuples(st.integers(1, 3), st.integers(1, 4)),
    st.sampled_from([None, None, "ann", "bob"]),
    st.booleans(),
)

STEP = st.tuples(
    st.sampled_from(["publish", "publish", "publish", "learn", "reconcile", "reconcile", "lose", "fall behind"]),
    EVENT,
    st.integers(0, 2),
    st.sampled_from([0.0, 0.25, 1.0, 9.75, 10.0, 61.0]),
)
"""What happens, an event for it, which of three nodes it concerns, and how long after what was before."""


class Scripts:
    """A Redis whose time is the test's."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.commands = ClockedCommands(RedisAddress.read(url))
        self.lose()

    def lose(self) -> None:
        number = next(_prefixes)
        keys = Keys(f"store-{number}:")
        self.keys = keys.head(UPLOAD_ID), keys.digests(UPLOAD_ID)
        self.heads = Heads(self.commands, keys, head_ttl_s=600, dice=random.Random(number))

    def copy(self) -> list[bytes | None]:
        """What a replica has at this moment."""
        return [self.runner.run(self.commands.execute("DUMP", key)) for key in self.keys]

    def fail_over(self, copied: list[bytes | None]) -> None:
        """The replica answers from now on."""
        for key, dumped in zip(self.keys, copied, strict=True):
            self.runner.run(self.commands.execute("DEL", key))
            if dumped is not None:
                self.runner.run(self.commands.execute("RESTORE", key, 0, dumped))


@pytest.fixture(scope="module")
def scripts(redis: RedisServer) -> Iterator[Scripts]:
    scripts = Scripts(redis.url)
    yield scripts
    scripts.runner.run(scripts.commands.close())
    scripts.runner.close()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, max_size=25))
def test_it_keeps_what_the_scripts_keep(scripts: Scripts, steps: list[tuple[str, Event, int, float]]) -> None:
    scripts.lose()
    store, now, numbers = Store(Limits()), 0.0, itertools.count()
    known: list[tuple[Stored, Known] | None] = [None, None, None]
    replicas = [(copy.deepcopy(store), scripts.copy())]
    for what, event, node, pause_s in steps:
        now += pause_s
        scripts.commands.now_s = now
        ours = known[node]
        match what:
            case "publish":
                receipt = scripts.runner.run(scripts.heads.publish(event))
                judgement, _ = store.publish(event, now, next(numbers), True)
                assert receipt[:2] == judgement
            case "learn":
                stored = store.read(UPLOAD_ID, now, is_watched=True)
                [theirs] = scripts.runner.run(scripts.heads.read([UPLOAD_ID], now))
                known[node] = (theirs, stored) if isinstance(theirs, Stored) and stored is not None else None
            case "reconcile" if ours is not None:
                [theirs] = scripts.runner.run(scripts.heads.reconcile([(UPLOAD_ID, ours[0])], now))
                _, stored = store.reconcile(UPLOAD_ID, ours[1], now, next(numbers))
                assert isinstance(theirs, Stored)
                assert said(theirs.head) == said(stored.head)
            case "lose":
                scripts.lose()
                store = Store(Limits())
            case "fall behind":
                replica, copied = replicas[-1 - min(node, len(replicas) - 1)]
                store = copy.deepcopy(replica)
                scripts.fail_over(copied)
        replicas.append((copy.deepcopy(store), scripts.copy()))
    [found] = scripts.runner.run(scripts.heads.read([UPLOAD_ID], now))
    assert not isinstance(found, Exception)
    kept = store.read(UPLOAD_ID, now, is_watched=True)
    assert (found and said(found.head)) == (kept and said(kept.head))


def said(head: Head) -> tuple[object, ...]:
    """All that it is, to the millisecond."""
    return (
        *(head.version, head.terminal, head.frame.payload, head.owner, head.digest, head.outcome),
        *(round(head.accepted_at, 3), head.presumed, head.versioned),
    )


def test_it_can_be_brought_back_to_how_it_was() -> None:
    store = Store(Limits(), keeps_journal=True)
    stand = Stand((), is_connected=True, given_up=())
    for at in range(10):
        store.publish(read(progress(number=at)), float(at), 1, False)
        store.look("ann", "a", [Change(at + 1, f"u{at}", FOLLOW)], stand, at, {"a": float(at)}, float(at), 2)

    undone, before = store.as_it_was(4.5)

    assert undone == 10
    assert before.heads[UPLOAD_ID].version == (1, 5)
    _, follows = before.look("ann", "b", [], Stand((), is_connected=False, given_up=()), 0, {}, 4.5, 3)
    assert list(follows.holders) == [f"u{at}" for at in range(5)]
    assert follows.born == 2
    assert store.heads[UPLOAD_ID].version == (1, 10)
    assert before.as_it_was(2.5)[1].heads[UPLOAD_ID].version == (1, 3), "and once more from there"
