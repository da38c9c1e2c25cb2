"""Two nodes around a simulated broker on an engine that is not ours: users whose tabs are at either, and the laws for all."""

import asyncio

import pytest

from tests.simulation.second_engine.engine import engine, explore, needs_engine
from tests.simulation.second_engine.plays import must_hold, published
from tests.simulation.second_engine.stage import NODE, UPLOADS, at, opened, started
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.hub.hub import Hub

pytestmark = needs_engine

OTHER = "node:1"


async def a_user_is_at_two_nodes() -> None:
    hubs: list[Hub] = []

    def around_a_hub(clock: VirtualClock, settings: Settings) -> Broker:
        hubs.append(Hub(seed=engine().seed, limits=settings))
        return hubs[0].broker(NODE, clock=clock, limits=settings)

    async with opened(make_broker=around_a_hub) as stage:
        settings, clock = stage.node.settings, VirtualClock(asyncio.get_running_loop())
        host = engine().net.host(OTHER)
        other = await host.create_task(started(settings, lambda: hubs[0].broker(OTHER, clock=clock, limits=settings), clock))
        desk = stage.opens("desk", "cat", "dog")
        stage.opens("phone", "cat", at=OTHER)
        stage.opens("tablet", "dog", at=OTHER)

        def gives_up() -> None:
            desk.unsubscribe(UPLOADS["cat"])

        await asyncio.gather(published(stage, "cat"), published(stage, "dog"), at(0.4, gives_up))
        await stage.ends()
        await host.create_task(other.stop())

        must_hold(stage)
        assert stage.states_of("phone", "cat")[-1] == (13, True)
        assert not other.manager.registry.users


def test_the_laws_hold_for_users_at_two_nodes() -> None:
    explore(a_user_is_at_two_nodes, seeds=3)


@pytest.mark.slow
def test_they_hold_under_many_more_seeds() -> None:
    explore(a_user_is_at_two_nodes, seeds=60)
