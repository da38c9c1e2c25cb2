"""What others ask of a node of the virtual world, and what they hear when it stands still, ends or dies."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.events import progress
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.errors import BadEvent, EnvironmentUnfit
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.running import run_virtually
from vuemantics_ws.simulation.network.virtual import VirtualNetwork
from vuemantics_ws.simulation.system import ASK_TIMEOUT_S, KILLED, PUBLISH_TIMEOUT_S
from vuemantics_ws.simulation.virtual.control import VirtualControl, VirtualWorkers
from vuemantics_ws.simulation.virtual.node import VirtualNode

SETTINGS = Settings.from_mapping({"access": "owner", "secret": "s" * 32, "port": 0, "control_port": 0, "drain": "1s"})
EVENT = progress(version=(1, 1))


def with_a_node(act: Callable[[VirtualNode, VirtualLoop], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        network = loop.network = VirtualNetwork(seed=1, loop=loop)
        node = VirtualNode(
            0,
            SETTINGS,
            lambda name, start, clock, settings: MemoryBroker(clock=clock, limits=settings),
            network=network,
            loop=loop,
            seed=1,
        )
        await node.start()
        await act(node, loop)
        if not node.process.is_dead:
            await node.stop()

    run_virtually(main)


def test_a_worker_is_told_the_verdict_after_there_and_back() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        began_at = loop.time()

        verdicts = [(await VirtualWorkers(node).publish(EVENT, owner="alice")).verdict for _ in range(2)]

        assert verdicts == ["accepted", "duplicate"]
        assert 0 < loop.time() - began_at < 0.01

    with_a_node(act)


def test_what_is_no_event_is_refused() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        with pytest.raises(BadEvent):
            await VirtualWorkers(node).publish(b"{}")

    with_a_node(act)


def test_a_node_that_stands_still_answers_nobody_in_time_and_takes_what_it_was_sent_when_it_goes_on() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        workers, control = VirtualWorkers(node), VirtualControl(node)
        node.pause()
        began_at = loop.time()

        with pytest.raises(EnvironmentUnfit, match="no answer within 2 s"):
            await control.statistics()
        assert loop.time() == began_at + ASK_TIMEOUT_S
        with pytest.raises(EnvironmentUnfit, match="no answer within 3 s"):
            await workers.publish(EVENT)
        assert loop.time() == began_at + ASK_TIMEOUT_S + PUBLISH_TIMEOUT_S
        node.resume()
        await asyncio.sleep(0.1)

        assert (await workers.publish(EVENT)).verdict == "duplicate"

    with_a_node(act)


def test_a_node_that_dies_loses_what_is_under_way_and_refuses_what_comes_then() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        publishing = asyncio.ensure_future(VirtualWorkers(node).publish(EVENT))
        await asyncio.sleep(0)

        assert node.kill() == KILLED
        with pytest.raises(EnvironmentUnfit, match="the connection to the control port was lost"):
            await publishing
        with pytest.raises(EnvironmentUnfit, match="nobody answers"):
            await VirtualControl(node).health()

    with_a_node(act)


def test_a_node_starts_again_where_it_was_and_remembers_nothing() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        await VirtualWorkers(node).publish(EVENT)
        url = node.url

        assert await node.stop() == 0
        await node.start()

        assert node.url == url
        assert (await VirtualWorkers(node).publish(EVENT)).verdict == "accepted"
        assert (await VirtualControl(node).health()).state == "ready"

    with_a_node(act)


def test_one_that_stands_still_and_is_told_to_stop_is_killed_in_the_end() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        node.pause()

        assert await node.stop() == KILLED

    with_a_node(act)


def test_metrics_are_told_as_prometheus_reads_them() -> None:
    async def act(node: VirtualNode, loop: VirtualLoop) -> None:
        said = await VirtualControl(node).metrics()

        assert "# TYPE vuemantics_ws_redis_gaps_total counter" in said
        assert "vuemantics_ws_connections" not in said, "what stands in the statistics is not written out once more"

    with_a_node(act)
