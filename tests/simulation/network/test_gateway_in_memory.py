"""The production gateway and simulated browsers, over a network in memory and in virtual time."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from websockets.uri import parse_uri

from tests.events import UPLOAD_ID, completed, progress, read
from tests.simulation.network.worlds import run_virtually
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.browser.tokens import Mint, Signature
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import Spread, stream
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.scenario import Token
from vuemantics_ws.simulation.log import Authenticated, Closed, Log, Opened, Received
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.network.virtual import VirtualNetwork

SECRET = "0123456789abcdef" * 4
BETWEEN = Spread(0.000_05, 0.002)
STAYS_AWAY = Backoff(tries_max=0)


class Scene(NamedTuple):
    """A node, and tabs of one user who has been welcomed."""

    gateway: Gateway
    node: Process
    tabs: list[Browser]
    log: Log

    async def publish(self, event: bytes) -> None:
        await self.gateway.publish(read(event, "ann"))

    def of(self, kind: type[Any], tab: int) -> list[Any]:
        numbers = {record.connection for record in self.log if isinstance(record, Opened) if record.client == f"tab:{tab}"}
        return [record for record in self.log if isinstance(record, kind) and record.connection in numbers]

    def states(self, tab: int) -> list[tuple[str, int | None]]:
        return [(record.action, record.seq) for record in self.of(Received, tab) if record.action.startswith("upload_")]


@contextlib.asynccontextmanager
async def scene(
    network: VirtualNetwork, *, slowly: int | None = None, profile: str | None = None, **settings: Any
) -> AsyncIterator[Scene]:
    """Five tabs follow an upload."""
    loop = asyncio.get_running_loop()
    clock = VirtualClock(loop)
    node = Process("node:0")
    said = {"access": "owner", "secret": SECRET, "port": 0, "control_port": 0, "grace": "5s", **settings}

    async def start() -> Gateway:
        broker, dice = MemoryBroker(clock=clock), random.Random(1)
        gateway = Gateway(Settings.from_mapping(said), secret=SECRET, broker=broker, clock=clock, dice=dice)
        await gateway.start(opens=network.opens("node:0"))
        return gateway

    gateway = await node.start(start())
    uri = parse_uri(gateway.url)
    mint, log, numbers = Mint(Signature(SECRET), clock), Log(), itertools.count(1)
    tabs = []
    for number in range(5):
        name = f"tab:{number}"
        by = None if profile is None else Network(BUILT_IN_NETWORKS[profile], seed=1, client=name)
        buffer_bytes = slowly if number == 0 else None
        tab = Browser(
            name,
            uri=uri,
            token=lambda: mint.make(Token(), "ann"),
            dial=network.dial(uri.host, uri.port, origin=name, by=by, receive_buffer_bytes=buffer_bytes),
            log=log,
            now=loop.time,
            dice=stream(1, name, "backoff"),
            numbers=numbers,
            backoff=STAYS_AWAY,
            on_ready=lambda browser: None if browser.subscribe(UPLOAD_ID) else pytest.fail("was not sent"),
        )
        tab.open()
        tabs.append(tab)
    await asyncio.sleep(3)
    yield Scene(gateway, node, tabs, log)
    for tab in tabs:
        tab.cut()
        await tab.gone
    if not node.is_dead:
        await node.start(gateway.stop())


@pytest.mark.parametrize("profile", [None, "lan", "mobile"])
def test_tabs_are_welcomed_and_see_what_is_published(profile: str | None) -> None:
    async def main(network: VirtualNetwork) -> list[Any]:
        async with scene(network, profile=profile) as played:
            assert all(played.of(Authenticated, tab) for tab in range(5))
            await played.publish(progress(number=1, version=(1, 1)))
            await asyncio.sleep(2)
            await played.publish(completed(number=2, version=(1, 2)))
            await asyncio.sleep(2)
            for tab in range(5):
                assert played.states(tab) == [("upload_progress", 1), ("upload_completed", 2)]
        return list(played.log)

    records = run_virtually(main, latency=BETWEEN, slices=True)

    assert records == run_virtually(main, latency=BETWEEN, slices=True)
    if profile is None:
        assert records != run_virtually(main, latency=BETWEEN, slices=True, seed=2)


def test_a_reader_that_stalls_is_dropped_and_one_that_is_slow_is_not() -> None:
    async def main(network: VirtualNetwork) -> None:
        async with scene(network, slowly=4096, stall_timeout="10s", ping_interval="5s") as played:
            stalled, slow = played.tabs[0], played.tabs[1]
            stalled.pause_reading()
            slow.read_at(20_000)
            for number in range(1, 400):
                await played.publish(progress(text="x" * 1000, number=number, version=(1, number)))
                await asyncio.sleep(0.1)
                if played.of(Closed, 0):
                    break
            await played.publish(completed(number=2000, version=(1, 2000)))
            await asyncio.sleep(20)

            (closed,) = played.of(Closed, 0)
            assert closed.code == 1006
            assert played.gateway.manager.counters.closes[4008] == 1
            for tab in range(1, 5):
                assert not played.of(Closed, tab)
                assert played.states(tab)[-1] == ("upload_completed", 2000)

    run_virtually(main, latency=BETWEEN)


def test_a_peer_behind_a_partition_is_given_up_and_nobody_else_notices() -> None:
    async def main(network: VirtualNetwork) -> None:
        async with scene(network) as played:
            barrier = network.part("node:0", "tab:2")
            await asyncio.sleep(40)
            assert not played.of(Closed, 2)
            await asyncio.sleep(60)
            assert played.gateway.manager.counters.closes[4009] == 1
            assert not played.of(Closed, 2), "nothing has reached it yet"

            barrier.heal()
            await asyncio.sleep(3)
            (closed,) = played.of(Closed, 2)
            assert closed.code in (4009, 1006)
            assert not any(played.of(Closed, tab) for tab in (0, 1, 3, 4))

    run_virtually(main, latency=BETWEEN)


def test_a_paused_node_goes_on_where_it_was_and_a_killed_one_does_not() -> None:
    async def main(network: VirtualNetwork) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with scene(network) as played:
            loop.pause(played.node)
            played.tabs[3].unsubscribe(UPLOAD_ID)
            await asyncio.sleep(20)
            assert [said.action for said in played.of(Received, 3)] == ["auth_success", "subscribed"]
            loop.resume(played.node)
            await asyncio.sleep(1)
            assert [said.action for said in played.of(Received, 3)][2] == "unsubscribed"

            loop.kill(played.node)
            network.reset("node:0")
            await asyncio.sleep(1)
            assert [played.of(Closed, tab)[0].code for tab in range(5)] == [1006] * 5

    run_virtually(main, latency=BETWEEN)
