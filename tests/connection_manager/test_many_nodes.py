"""One user on three nodes, whatever comes in whatever order (SEMANTICS.md section 2)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle, repeat

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.connection_manager.joined import Middle, Node, Tab
from tests.connection_manager.loops import run
from tests.connection_manager.sockets import sizes
from vuemantics_ws.limits import Limits

USER = "alice"
LIMITS = Limits(grace_s=100.0, uploads_per_user_max=5)
UPLOADS = ("u", "v", "w")
PLACES = 6
SETTLED_S = 5.0
GONE_S = 140.0  # the grace time, the period of renewal, and what is under way

Step = tuple[str, int, int, bool]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "join", "follow", "follow", "follow", "give up", "give up", "leave", "end", "lose", "long wait"]
        ),
        st.integers(0, PLACES - 1),
        st.integers(0, len(UPLOADS) - 1),
        st.booleans(),
    ),
    max_size=25,
)
DELAYS = st.lists(st.sampled_from([0.0, 0.001, 0.002, 0.01, 0.03]), min_size=1, max_size=20)


class House:
    """Three nodes and six places for tabs, two a node, with the rules over again in sentences about sets."""

    def __init__(self, delays: list[float]) -> None:
        self.middle = Middle(cycle(delays))
        self.nodes = [Node(self.middle, f"n{number}", LIMITS) for number in range(3)]
        self.tabs: list[Tab | None] = [None] * PLACES
        self.follows: set[str] = set()
        self.given_up: dict[Tab, set[str]] = {}
        self.names = (f"tab {number}" for number in range(1_000_000))

    def node(self, place: int) -> Node:
        return self.nodes[place % 3]

    def act(self, verb: str, place: int, upload: int, whole: bool) -> None:
        """A step of the user, at the node and by the model."""
        manager, upload_id, tab = self.node(place).manager, UPLOADS[upload], self.tabs[place]
        match verb:
            case "join" if tab is None:
                tab = self.tabs[place] = Tab(next(self.names))
                self.given_up[tab] = set()
                manager.join(USER, tab)
            case "leave" if tab is not None:
                self.tabs[place] = None
                del self.given_up[tab]
                manager.leave(USER, tab)
            case "follow" if whole or tab is not None:
                asker = None if whole else tab
                manager.follow(USER, upload_id, asker, lambda known: None)
                first = upload_id not in self.follows
                self.follows.add(upload_id)
                for other in self.given_up if first else self.tabs_of(place) if asker is None else [asker]:
                    self.given_up[other].discard(upload_id)
            case "give up" if tab is not None:
                manager.give_up(USER, upload_id, tab)
                if upload_id in self.follows:
                    self.given_up[tab].add(upload_id)
                    if all(upload_id in given_up for given_up in self.given_up.values()):
                        self.end(upload_id)
            case "lose":
                self.lose_all()
            case "end":
                manager.give_up(USER, upload_id, None)
                self.end(upload_id)

    def lose_all(self) -> None:
        """As a Redis that was restarted empty: it knows nothing, and every node notices."""
        self.middle.lose_all()
        for node in self.nodes:
            node.deafen()
            node.undeafen()
        if not any(USER in node.manager.registry.users for node in self.nodes):
            self.follows.clear()

    def tabs_of(self, place: int) -> list[Tab]:
        return [tab for tab in self.tabs[place % 3 :: 3] if tab is not None]

    def end(self, upload_id: str) -> None:
        self.follows.discard(upload_id)
        for given_up in self.given_up.values():
            given_up.discard(upload_id)

    async def pass_time(self, verb: str) -> None:
        await asyncio.sleep(GONE_S if verb == "long wait" else SETTLED_S)
        if verb == "long wait" and not self.given_up:
            self.follows.clear()

    def check(self) -> None:
        """Every node follows what the user follows, and every tab receives it less what that tab gave up."""
        for number, node in enumerate(self.nodes):
            user = node.manager.registry.users.get(USER)
            if user is None:
                assert not self.tabs_of(number)
                continue
            assert set(user.follows) == self.follows
            for tab in self.tabs_of(number):
                assert {upload for upload in UPLOADS if user.holds(tab, upload)} == self.follows - self.given_up[tab]
        assert self.middle.live().get(f"user:{{{USER}}}", []) == sorted(self.follows)

    def check_agreed(self) -> None:
        """Every node that has the user follows the same, and the holders are those who hold."""
        kept = self.middle.live().get(f"user:{{{USER}}}", [])
        for node in self.nodes:
            user = node.manager.registry.users.get(USER)
            assert user is None or sorted(user.follows) == kept
            for upload_id in kept:
                holders = self.middle.hashes[f"user:{{{USER}}}".encode()].holders[upload_id.encode()]
                held = user is not None and any(user.holds(connection, upload_id) for connection in user.connections)
                assert (node.node_id.encode() in holders) is held

    async def check_end(self) -> None:
        """Everybody leaves: nothing is left anywhere."""
        for place, tab in enumerate(self.tabs):
            if tab is not None:
                self.node(place).manager.leave(USER, tab)
        await asyncio.sleep(GONE_S)
        await asyncio.sleep(GONE_S)
        assert self.middle.live() == {}
        for node in self.nodes:
            assert sizes(node.manager) == {}
            assert (len(node.users), node.wanted) == (0, {})


@asynccontextmanager
async def opened(delays: list[float]) -> AsyncIterator[House]:
    house = House(delays)
    for node in house.nodes:
        await node.manager.__aenter__()
    yield house
    for node in house.nodes:
        await node.manager.__aexit__(None, None, None)


@settings(max_examples=100)
@given(steps=STEPS, delays=DELAYS)
def test_one_after_the_other_the_nodes_do_what_one_node_would(steps: list[Step], delays: list[float]) -> None:
    async def main() -> None:
        async with opened(delays) as house:
            for verb, place, upload, whole in steps:
                house.act(verb, place, upload, whole)
                await house.pass_time(verb)
                house.check()
                house.check_agreed()
            await house.check_end()

    run(main())


TROUBLES = ["pause", "pause", "deafen", "undeafen", "away", "back", "lose"]
TROUBLE = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "follow", "follow", "follow", "give up", "leave", "end", *TROUBLES]),
        st.integers(0, PLACES - 1),
        st.integers(0, len(UPLOADS) - 1),
        st.booleans(),
    ),
    max_size=40,
)
LOSSES = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.03, 0.05]), min_size=1, max_size=20).map(
    lambda delays: [*delays, 0.0]  # so that something is answered at last
)


async def go_through(house: House, steps: list[Step], *, apart: bool) -> None:
    """Trouble, and its end. ``apart``: each upload is touched at one node only."""
    for verb, place, upload, whole in steps:
        match verb:
            case "pause":
                await asyncio.sleep((0.0, 0.005, 0.05)[upload])
            case "deafen":
                house.node(place).deafen()
            case "undeafen":
                house.node(place).undeafen()
            case "away" | "back":
                house.middle.is_away = verb == "away"
            case _:
                house.act(verb, place, place % 3 if apart else upload, whole)
    house.middle.is_away = False
    house.middle.delays = repeat(0.001)
    for node in house.nodes:
        node.undeafen()
    await asyncio.sleep(SETTLED_S)


@settings(max_examples=100)
@given(steps=TROUBLE, delays=LOSSES)
def test_in_any_trouble_the_nodes_agree_in_the_end(steps: list[Step], delays: list[float]) -> None:
    async def main() -> None:
        async with opened(delays) as house:
            await go_through(house, steps, apart=False)
            house.check_agreed()
            await house.check_end()

    run(main())


@settings(max_examples=100)
@given(steps=TROUBLE.map(lambda steps: [step for step in steps if step[0] not in ("give up", "lose")]), delays=LOSSES)
def test_in_any_trouble_what_was_done_last_counts(steps: list[Step], delays: list[float]) -> None:
    async def main() -> None:
        async with opened(delays) as house:
            await go_through(house, steps, apart=True)
            house.check()
            await house.check_end()

    run(main())
