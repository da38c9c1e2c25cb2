"""One user on three nodes around a simulated middle, whatever comes in whatever order (SEMANTICS.md section 2).

The steps and the rules over again are those of the nodes around Redis.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.connection_manager.joined import Tab
from tests.connection_manager.sockets import sizes
from tests.connection_manager.test_many_nodes import LIMITS, SETTLED_S, STEPS, TROUBLE, House, Step, go_through
from tests.events import completed, progress
from vuemantics_ws.connection_manager import ConnectionManager
from vuemantics_ws.core.access import anyone
from vuemantics_ws.limits import Limits
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.running import run_virtually
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import Draw, Spread
from vuemantics_ws.simulation.hub.follows import Follows
from vuemantics_ws.simulation.hub.hub import Hub

DELAYS = st.sampled_from([Spread(0.0, 0.0), Spread(0.001, 0.001), Spread(0.0, 0.03), Spread(0.02, 0.05)])


class JoinedNode:
    """A manager around the middle, as the house knows a node."""

    def __init__(self, hub: Hub, name: str, limits: Limits) -> None:
        clock = VirtualClock(asyncio.get_running_loop())
        self.name = name
        self.broker = hub.broker(name, clock=clock, limits=limits)
        self.users = self.broker.users
        self.node_id = self.broker.node_id
        self.manager = ConnectionManager(broker=self.broker, access=anyone, limits=limits, clock=clock)
        self._hub = hub

    @property
    def wanted(self) -> dict[str, None]:
        return self.broker.peer.users

    def deafen(self) -> None:
        self._hub.barrier(self.name).cut_off()

    def undeafen(self) -> None:
        self._hub.barrier(self.name).heal()


class JoinedMiddle:
    """The hub, as the house knows what stands where Redis would."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.delays: Any = None

    @property
    def is_away(self) -> bool:
        return not self.hub.middle.is_up

    @is_away.setter
    def is_away(self, away: bool) -> None:
        self.hub.down() if away else self.hub.up()

    def lose_all(self) -> None:
        self.hub.flush()

    def live(self) -> dict[str, list[str]]:
        return {f"user:{{{user_id}}}": sorted(follows.holders) for user_id, follows in self._follows().items()}

    @property
    def hashes(self) -> dict[bytes, Any]:
        return {f"user:{{{user_id}}}".encode(): _Hash(follows) for user_id, follows in self._follows().items()}

    def _follows(self) -> dict[str, Follows]:
        middle, now = self.hub.middle, asyncio.get_running_loop().time()
        every = middle.store._follows
        return {id_: each for id_, each in every.items() if not middle.store._is_over(each, middle.heard_at, now)}


class _Hash:
    def __init__(self, follows: Follows) -> None:
        self.holders = {upload_id.encode(): [id_.encode() for id_ in ids] for upload_id, ids in follows.holders.items()}


class JoinedHouse(House):
    def __init__(self, delays: Draw, limits: Limits = LIMITS) -> None:
        super().__init__([0.0])
        hub = Hub(seed=1, delays=delays, limits=limits)
        self.middle = JoinedMiddle(hub)  # type: ignore[assignment]
        self.nodes = [JoinedNode(hub, f"n{number}", limits) for number in range(3)]  # type: ignore[misc]


@asynccontextmanager
async def opened(delays: Draw, limits: Limits = LIMITS) -> AsyncIterator[JoinedHouse]:
    house = JoinedHouse(delays, limits)
    for node in house.nodes:
        await node.manager.__aenter__()
    await asyncio.sleep(1)
    yield house
    for node in house.nodes:
        await node.manager.__aexit__(None, None, None)


def play(act: Callable[[JoinedHouse], Awaitable[None]], delays: Draw, limits: Limits = LIMITS) -> None:
    raised: list[dict[str, Any]] = []

    async def main(loop: VirtualLoop) -> None:
        loop.set_exception_handler(lambda loop, context: raised.append(context))
        async with opened(delays, limits) as house:
            await act(house)
        await asyncio.sleep(SETTLED_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main)
    assert raised == []


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, delays=DELAYS)
def test_one_after_the_other_the_nodes_do_what_one_node_would(steps: list[Step], delays: Draw) -> None:
    async def act(house: JoinedHouse) -> None:
        for verb, place, upload, whole in steps:
            house.act(verb, place, upload, whole)
            await house.pass_time(verb)
            house.check()
            house.check_agreed()
        await house.check_end()

    play(act, delays)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(steps=TROUBLE, delays=DELAYS)
def test_in_any_trouble_the_nodes_agree_in_the_end(steps: list[Step], delays: Draw) -> None:
    async def act(house: JoinedHouse) -> None:
        await go_through(house, steps, apart=False)
        house.check_agreed()
        await house.check_end()

    play(act, delays)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(steps=TROUBLE.map(lambda steps: [step for step in steps if step[0] not in ("give up", "lose")]), delays=DELAYS)
def test_in_any_trouble_what_was_done_last_counts(steps: list[Step], delays: Draw) -> None:
    async def act(house: JoinedHouse) -> None:
        await go_through(house, steps, apart=True)
        house.check()
        await house.check_end()

    play(act, delays)


NEAR = Spread(0.0002, 0.002)


def follow(node: Any, upload_id: str, tab: Tab | None = None, user_id: str = "alice") -> None:
    node.manager.follow(user_id, upload_id, tab, lambda known: None)


def follows(node: Any, user_id: str = "alice") -> set[str]:
    return set(node.manager.user_subscriptions.get(user_id, set()))


def joined(node: Any, name: str = "tab", user_id: str = "alice") -> Tab:
    tab = Tab(name)
    node.manager.join(user_id, tab)
    return tab


def test_a_message_reaches_the_connections_on_all_nodes_once() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, third = house.nodes
        tab, far, foreign = joined(one), joined(other), joined(third, user_id="mallory")
        follow(other, "u", far)
        await asyncio.sleep(1)
        await one.manager.send_to_user("alice", {"action": "note"})
        await asyncio.sleep(1)
        assert (len(tab.direct), len(far.direct), len(foreign.direct)) == (1, 1, 0)
        await third.manager.send_to_upload_subscribers("u", {"action": "note"})
        await asyncio.sleep(1)
        assert (len(tab.direct), len(far.direct), len(foreign.direct)) == (2, 2, 0)

    play(act, NEAR)


def test_the_oldest_finished_upload_makes_room_on_every_node() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        tab, _ = joined(one), joined(other)
        await one.manager.publish(completed(upload_id="done"))
        for upload_id in ("done", "u", "v"):
            follow(one, upload_id, tab)
            await asyncio.sleep(1)

        assert follows(one) == follows(other) == {"u", "v"}

    play(act, NEAR, Limits(uploads_per_user_max=2))


def test_what_a_dead_node_held_holds_nothing_once_its_time_is_over() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        follow(one, "u", joined(one))
        far = joined(other)
        await asyncio.sleep(1)
        house.middle.hub.sever("n0")  # type: ignore[attr-defined]
        await asyncio.sleep(1)
        other.manager.give_up("alice", "u", far)
        await asyncio.sleep(1)
        assert follows(other) == {"u"}, "it may come back"

        follow(other, "u", far)
        await asyncio.sleep(20)
        other.manager.give_up("alice", "u", far)
        await asyncio.sleep(1)
        assert follows(other) == set()

    play(act, NEAR)


def test_who_was_on_a_node_that_died_finds_all_on_another_within_the_grace_time_and_no_later() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, third = house.nodes
        follow(one, "u", joined(one))
        await asyncio.sleep(1000)
        house.middle.hub.sever("n0")  # type: ignore[attr-defined]
        await asyncio.sleep(90)
        tab = joined(other)
        await asyncio.sleep(1)
        assert follows(other) == {"u"}

        house.middle.hub.sever("n1")  # type: ignore[attr-defined]
        await asyncio.sleep(300)
        joined(third)
        await asyncio.sleep(1)
        assert follows(third) == set()
        assert tab.name == "tab"

    play(act, NEAR)


def test_a_node_that_leaves_ends_within_seconds_whoever_can_be_reached() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        follow(one, "u", joined(one))
        await asyncio.sleep(1)
        house.middle.is_away = True
        began_at = asyncio.get_running_loop().time()
        await one.manager.disconnect_all()
        assert asyncio.get_running_loop().time() - began_at < 3
        assert len(one.users) == 0

        house.middle.is_away = False
        await asyncio.sleep(5)
        joined(other)
        await asyncio.sleep(1)
        assert follows(other) == {"u"}

    play(act, NEAR)


def test_what_was_told_and_whose_answer_was_lost_is_not_done_twice() -> None:
    """One gives up what nobody holds, and the answer is lost; another follows it before that is told again."""

    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        hub = house.middle.hub  # type: ignore[attr-defined]
        tab = joined(one)
        follow(one, "u", tab)
        await asyncio.sleep(1)
        one.manager.give_up("alice", "u", tab)
        await asyncio.sleep(0)
        while hub.middle.store._follows["alice"].holders:  # noqa: ASYNC110 - until it is done, and the answer under way
            await asyncio.sleep(0.0001)
        hub.down()
        hub.up()
        follow(other, "u")
        await asyncio.sleep(5)

        assert follows(one) == follows(other) == {"u"}

    play(act, Spread(0.01, 0.01))


def test_whoever_held_something_before_the_middle_was_away_holds_it_after() -> None:
    """Also where another node, which gave it up meanwhile, is back first."""

    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        tab, far = joined(one), joined(other)
        for round_s in range(10):
            follow(one, "u", tab)
            follow(other, "u", far)
            await asyncio.sleep(5)
            house.middle.is_away = True
            await asyncio.sleep(60 + round_s / 10)
            one.manager.give_up("alice", "u", tab)
            house.middle.is_away = False
            await asyncio.sleep(5)
            assert follows(one) == follows(other) == {"u"}

    play(act, NEAR)


def test_five_hundred_subscribes_at_once_are_one_look() -> None:
    async def act(house: JoinedHouse) -> None:
        one, other, _ = house.nodes
        tab, far = joined(one), joined(other)
        await asyncio.sleep(1)
        for number in range(500):
            follow(one, f"u{number}", tab)
            await one.manager.publish(progress(upload_id=f"u{number}")) if number == 499 else None
        await asyncio.sleep(1)

        assert len(follows(other)) == 500
        assert list(far.states) == ["u499"]

    play(act, NEAR, Limits())


def test_nothing_of_a_user_is_left_when_all_have_gone() -> None:
    async def act(house: JoinedHouse) -> None:
        for node in house.nodes:
            tab = joined(node)
            follow(node, "u", tab)
            await asyncio.sleep(1)
            node.manager.leave("alice", tab)
        await asyncio.sleep(300)
        for node in house.nodes:
            assert sizes(node.manager) == {}
            assert (len(node.users), node.wanted) == (0, {})
        assert house.middle.live() == {}

    play(act, NEAR)
