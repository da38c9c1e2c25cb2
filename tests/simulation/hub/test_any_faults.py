"""Whatever befalls the middle in whatever order: versions only grow, and in the end everybody knows the newest state."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events import completed, failed, progress
from tests.simulation.hub.around import Around, Node, play, settled
from vuemantics_ws.core.upload import Head
from vuemantics_ws.simulation.dice import Draw, Exponential, Spread

UPLOADS = 3
NODES = 3

FAULTS = [
    "down", "up", "up, empty", "hang", "resume", "flush", "kill", "part", "join", "join", "lose", "lose nothing", "pause",
    "resume node", "restart", "crash",
]  # fmt: skip
Step = tuple[str, int, int, float]

STEP = st.tuples(
    st.sampled_from(["watch", "unwatch", *["progress"] * 4, "end", "plain", *FAULTS]),
    st.integers(0, NODES - 1),
    st.integers(0, UPLOADS - 1),
    st.sampled_from([0.0, 0.0, 0.001, 0.005, 0.3, 1.0, 4.0]),
)
DELAYS: list[Draw] = [Spread(0.0, 0.0), Spread(0.0002, 0.002), Spread(0.0, 0.1), Exponential(0.02)]


class Life:
    """Steps that are taken, and what comes of them."""

    def __init__(self, around: Around, nodes: tuple[Node, ...], *, fails_over: bool, versioned: bool) -> None:
        self.around = around
        self.nodes = list(nodes)
        self.fails_over = fails_over
        self.versioned = versioned
        self.publishing: list[asyncio.Task[bool]] = []
        self.paused: dict[int, None] = {}
        self.number = 0
        self.attempts: Counter[str] = Counter({f"u{upload}": 1 for upload in range(UPLOADS)})

    async def step(self, what: str, place: int, upload: int) -> None:
        hub, node, upload_id = self.around.hub, self.nodes[place], f"u{upload}"
        self.number += 1
        match what:
            case "watch" if place not in self.paused and upload_id not in node.found:
                node.watch(upload_id)
            case "unwatch" if place not in self.paused and upload_id in node.found:
                node.unwatch(upload_id)
            case "progress" | "end" | "plain" if place not in self.paused:
                self.say(what, node, upload_id)
            case "down":
                hub.down()
            case "up":
                hub.up()
            case "up, empty" if self.fails_over:
                hub.fail_over(1.0)
            case "up, empty":
                hub.up(lose_data=True)
            case "hang":
                hub.hang()
            case "resume":
                hub.resume()
            case "flush":
                hub.flush()
            case "kill":
                hub.kill_subscribers()
            case "part":
                hub.barrier(node.name).cut_off()
            case "join":
                hub.barrier(node.name).heal()
            case "lose":
                hub.lose(0.5)
            case "lose nothing":
                hub.lose(0.0)
            case "pause":
                self.around.loop.pause(node.process)
                self.paused[place] = None
            case "resume node":
                self.go_on(place)
            case "restart" | "crash":
                await self.restart(place, crash=what == "crash")

    def say(self, what: str, node: Node, upload_id: str) -> None:
        version = (self.attempts[upload_id], self.number) if self.versioned else None
        self.attempts[upload_id] += what == "end"  # nobody goes on in an attempt that has ended
        make: Any = failed if what == "end" and self.number % 2 else completed if what == "end" else progress
        said = make(upload_id=upload_id, number=self.number, version=version)
        if what == "plain" and not self.versioned:
            self.around.hub.say_plainly(said)
        else:
            self.publishing.append(asyncio.create_task(node.publishes(said), name=node.name))

    def go_on(self, place: int) -> None:
        if place in self.paused:
            self.around.loop.resume(self.nodes[place].process)
            del self.paused[place]

    async def restart(self, place: int, *, crash: bool) -> None:
        node = self.nodes[place]
        if crash:
            for _ in range(3):  # what is to be published leaves
                await asyncio.sleep(0)
            self.around.kill(node)
            for publishing in self.publishing:
                if publishing.get_name() == node.name:
                    publishing.cancel()
            self.paused.pop(place, None)
        else:
            self.go_on(place)
            await node.process.start(node.broker.stop())
        self.nodes[place] = await self.around.start(node.name)
        self.nodes[place].faults = node.faults

    async def heal(self) -> None:
        for place in range(NODES):
            self.go_on(place)
        self.around.hub.heal()
        await settled()
        assert all(publishing.done() for publishing in self.publishing)

    def check(self) -> None:
        """Every node that watches has what the middle has, which nobody knows better."""
        heads = self.around.hub.middle.store.heads
        for node in self.nodes:
            assert node.broker.health.ready
            for upload_id in node.found:
                assert len(node.found[upload_id]) == 1
                newest, kept = node.newest.get(upload_id), heads.get(upload_id)
                assert (newest and said(newest)) == (kept and said(kept))


def said(head: Head) -> tuple[bool, bytes]:
    """What people see: the same end says the same whenever it was said."""
    return head.terminal, head.outcome or head.frame.payload


def live(steps: list[Step], delays: Draw, *, seed: int, fails_over: bool, versioned: bool) -> None:
    async def act(around: Around, *nodes: Node) -> None:
        life = Life(around, nodes, fails_over=fails_over, versioned=versioned)
        for what, place, upload, pause_s in steps:
            await life.step(what, place, upload)
            await asyncio.sleep(pause_s)
        await life.heal()
        life.check()
        ended = [
            asyncio.ensure_future(life.nodes[0].publishes(completed(upload_id=f"u{n}", version=(99, 9)))) for n in range(3)
        ]
        assert all(await asyncio.gather(*ended))
        await settled()
        life.check()
        assert all(head.version == (99, 9) for node in life.nodes for head in node.newest.values())

    play(act, count=NODES, seed=seed, delays=delays, fails_over=fails_over, at_once=0.3)


LIVES = given(
    steps=st.lists(STEP, max_size=40),
    delays=st.sampled_from(DELAYS),
    seed=st.integers(0, 3),
    fails_over=st.booleans(),
    versioned=st.booleans(),
)


@settings(max_examples=15, deadline=None)
@LIVES
def test_in_the_end_everybody_who_watches_has_the_newest_state(
    steps: list[Step], delays: Draw, seed: int, fails_over: bool, versioned: bool
) -> None:
    live(steps, delays, seed=seed, fails_over=fails_over, versioned=versioned)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@LIVES
def test_so_it_is_in_many_more_lives(steps: list[Step], delays: Draw, seed: int, fails_over: bool, versioned: bool) -> None:
    live(steps, delays, seed=seed, fails_over=fails_over, versioned=versioned)
