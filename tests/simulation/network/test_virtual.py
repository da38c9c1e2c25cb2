"""Connections in memory: what arrives when, what is held back, and what befalls those at their ends."""

import asyncio
import errno
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.connection_manager.loops import turns
from tests.simulation.network.worlds import End, Ends, run_virtually
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.listening import BACKLOG
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.clock.process import Process
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.network.barrier import SYN_BYTES
from vuemantics_ws.simulation.network.connection import KEEPALIVE_S
from vuemantics_ws.simulation.network.lanes import WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, Network, Outage
from vuemantics_ws.simulation.network.resetting import reset
from vuemantics_ws.simulation.network.slicer import SLICED_BYTES
from vuemantics_ws.simulation.network.stream import WINDOW_BYTES
from vuemantics_ws.simulation.network.virtual import VirtualNetwork


def now() -> float:
    return asyncio.get_running_loop().time()


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


def profile(**said: object) -> NetworkProfile:
    return NetworkProfile.model_validate(said)


class World:
    """A node that listens, in a process of its own."""

    def __init__(self, network: VirtualNetwork, *, keeps_open: bool = False) -> None:
        self.network = network
        self.node = Process("node:0")
        self.ends = Ends(lambda: End(keeps_open=keeps_open))
        self.port = 0

    async def start(self) -> "World":
        _, (_, self.port) = await self.node.start(self.network.opens("node:0")(self.ends, "127.0.0.1", self.port))
        return self

    async def dial(self, origin: str = "tab", **options: Any) -> End:
        end: End
        _, end = await self.network.dial("127.0.0.1", self.port, origin=origin, **options)(End)
        return end


def test_a_profile_says_when_things_arrive() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(latency="100ms", bandwidth="10kB/s"), seed=1, client="tab")
        client = await world.dial(by=by)
        assert now() == pytest.approx(0.2), "they have found each other after a round trip"

        client.transport.write(bytes(1000))
        server = await world.ends.first()
        assert now() == pytest.approx(0.3), "the server hears of it with the third packet"
        await server.has(1000)
        assert now() == pytest.approx(0.4)
        server.transport.write(b"an answer")
        await client.has(9)
        assert now() == pytest.approx(0.5009)

        client.transport.close()
        await server.lost()
        assert now() == pytest.approx(0.6009)

    run_virtually(main)


def test_a_network_that_changes_changes_what_is_connected() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(latency="10ms"), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()

        by.change(profile(latency="1s"))
        began_at = now()
        server.transport.write(b"late")
        await client.has(4)
        assert now() - began_at == pytest.approx(1.0)

    run_virtually(main)


def test_a_network_that_changes_changes_how_much_is_on_its_way() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()
        client.transport.pause_reading()

        by.change(profile(bandwidth="1kB/s"))
        server.transport.write(bytes(WINDOW_BYTES_MIN + 1000))
        assert server.transport.get_write_buffer_size() == 1000

    run_virtually(main)


def test_what_nobody_reads_fills_the_window_and_then_the_writers_buffer() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial()
        server = await world.ends.first()
        client.transport.pause_reading()

        server.transport.set_write_buffer_limits(high=0)
        server.transport.write(bytes(WINDOW_BYTES))
        assert server.transport.get_write_buffer_size() == 0
        server.transport.write(bytes(1000))
        assert server.transport.get_write_buffer_size() == 1000
        assert server.heard == ["made", "pause"]
        await asyncio.sleep(1000)
        assert server.transport.get_write_buffer_size() == 1000

        client.transport.resume_reading()
        await client.has(WINDOW_BYTES + 1000)
        assert server.heard == ["made", "pause", "resume"]

    run_virtually(main)


def test_a_browser_that_reads_slowly_takes_its_small_buffer_in_pieces() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial(receive_buffer_bytes=16_000)
        server = await world.ends.first()
        pieces: list[int] = []
        client.on_data = lambda data: pieces.append(len(data))

        client.transport.pause_reading()
        server.transport.write(bytes(20_000))
        assert server.transport.get_write_buffer_size() == 4_000
        client.transport.resume_reading()
        await client.has(20_000)

        assert set(pieces) == {2_000}

    run_virtually(main)


def test_a_browser_that_does_not_read_hears_of_its_servers_end_through_its_kernel() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial(receive_buffer_bytes=16_000)
        server = await world.ends.first()
        client.transport.pause_reading()

        server.transport.write(b"unread")
        server.transport.abort()
        await asyncio.sleep(KEEPALIVE_S - 0.1)
        assert not client.transport.get_extra_info("hung_up")
        await asyncio.sleep(0.2)
        assert client.transport.get_extra_info("hung_up")

        client.transport.resume_reading()
        await client.lost()
        assert client.heard == ["made", "data", "end", "lost"], "what came before is still there"

    run_virtually(main)


@pytest.mark.parametrize("slowly", [False, True])
def test_without_a_network_of_its_own_a_client_is_as_far_away_as_any_program(slowly: bool) -> None:
    async def main(network: VirtualNetwork) -> list[float]:
        world = await World(network).start()
        client = await world.dial(receive_buffer_bytes=1000 if slowly else None)
        for _ in range(10):
            await asyncio.sleep(1)
            client.transport.write(b"x")
        server = await world.ends.first()
        times: list[float] = []
        server.on_data = lambda data: times.append(now() % 1)
        for number in range(10):
            client.transport.write(b"x")
            await server.has(11 + number)
        return server.times + times

    spread = Spread(0.001, 0.01)
    times = run_virtually(main, latency=spread)

    assert times == run_virtually(main, latency=spread)
    assert times != run_virtually(main, latency=spread, seed=2)
    assert len(set(times)) > 5


def test_others_change_nobodys_luck() -> None:
    def echoing(end: End) -> None:
        end.on_data = end.transport.write

    async def main(network: VirtualNetwork, others: int) -> list[float]:
        listener = network.listen(lambda: End(echoing), None, 0)

        async def dial(origin: str) -> End:
            end: End
            _, end = await network.dial("127.0.0.1", listener.address[1], origin=origin)(End)
            return end

        for number in range(others):
            await dial(f"other:{number}")
        began_at = now()
        client = await dial("tab")
        times = []
        for number in range(1, 6):
            times.append(round(now() - began_at, 9))
            client.transport.write(b"x")
            await client.has(number)
        return times

    spread = Spread(0.001, 0.01)

    alone = run_virtually(lambda network: main(network, 0), latency=spread, slices=True)
    assert alone == run_virtually(lambda network: main(network, 3), latency=spread, slices=True)


def test_outages_hold_everything_back_and_lose_nothing() -> None:
    async def main(network: VirtualNetwork) -> None:
        network.began_at_s = 1.0
        world = await World(network).start()
        by = Network(profile(latency="10ms", outage={"every": "10s", "for": "5s"}), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()

        await asyncio.sleep(12 - now())
        server.transport.write(b"one ")
        server.transport.write(b"two")
        client.transport.write(b"three")
        await asyncio.sleep(15.9 - now())
        assert client.data == server.data == b""
        await client.has(7)
        assert now() == pytest.approx(16.0)
        assert server.data == b"three"

        await asyncio.sleep(22 - now())
        again = await world.dial("another", by=by)
        assert now() == pytest.approx(26.02), "who connects meanwhile waits"
        again.transport.abort()
        client.transport.abort()

    run_virtually(main)


def test_an_outage_may_cut_what_is_connected() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(outage={"every": "10s", "for": "5s", "how": "reset"}), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()

        await asyncio.sleep(9.9)
        assert client.heard == ["made"]
        await asyncio.sleep(0.2)
        assert client.heard == server.heard == ["made", "lost: ConnectionResetError"]
        with pytest.raises(OSError) as unreachable:
            await world.dial(by=by)
        assert unreachable.value.errno == errno.ENETUNREACH
        await asyncio.sleep(5)
        assert (await world.dial(by=by)).heard == ["made"]

    run_virtually(main)


def test_who_is_cut_off_before_the_server_has_heard_of_it_was_never_there(caplog: pytest.LogCaptureFixture) -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        outage = {"every": "10s", "for": "5s", "how": "reset"}
        by = Network(profile(latency="10ms", outage=outage), seed=1, client="tab")
        await asyncio.sleep(9.975)
        client = await world.dial(by=by)
        assert now() == pytest.approx(9.995), "the third packet is on its way"

        client.transport.write(b"lost")
        await client.lost()

        await asyncio.sleep(1)
        assert client.heard == ["made", "lost: ConnectionResetError"]
        assert world.ends.all == []
        await asyncio.sleep(5)
        await world.dial(by=by)
        await world.ends.first()

    run_virtually(main)

    assert caplog.records == []


def test_nothing_passes_a_barrier_and_nobody_is_told() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network, keeps_open=True).start()
        client = await world.dial("tab:3")
        server = await world.ends.first()
        barrier = network.barrier("node:0", "tab")
        elsewhere = network.part("node:0", "tab:30")
        assert (barrier.connections, elsewhere.connections) == (1, 0)
        client.transport.write(b"before")
        await server.has(6)

        barrier.cut_off()
        server.transport.write(b"meanwhile")
        client.transport.write(b" also")
        client.transport.write_eof()
        dialing = loop().create_task(world.dial("tab:4"))
        await asyncio.sleep(100)
        assert (client.heard, server.heard) == (["made"], ["made", "data"])
        assert (barrier.held_bytes, barrier.passed_bytes) == (14 + SYN_BYTES, 6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(world.dial("tab:5"), 10)
        assert (await world.dial("tablet")).heard == ["made"]
        assert barrier.held_bytes == 14 + 2 * SYN_BYTES

        barrier.heal()
        await client.has(9)
        await server.hears("end")
        assert server.data == b"before also"
        assert barrier.passed_bytes == 20
        assert (await dialing).heard == ["made"]
        assert (barrier.connections, barrier.held_bytes) == (2, 0)
        client.transport.abort()
        await server.hears("end")
        server.transport.abort()
        await turns(5)
        assert (barrier.connections, barrier.passed_bytes) == (1, 20)

    run_virtually(main)


@pytest.mark.parametrize("latency", ["0ms", "10ms"])
def test_what_had_arrived_before_a_barrier_is_read_behind_it(latency: str) -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial(by=Network(profile(latency=latency), seed=1, client="tab"))
        server = await world.ends.first()
        client.transport.pause_reading()
        server.transport.write(b"before")
        await asyncio.sleep(1)
        barrier = network.part("tab", "node:0")
        server.transport.write(b" and after")

        client.transport.resume_reading()
        await asyncio.sleep(1)
        assert client.data == b"before"
        barrier.heal()
        await client.has(16)
        assert client.data == b"before and after"

    run_virtually(main)


def test_who_was_about_to_connect_when_a_barrier_came_waits_too() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(latency="1s"), seed=1, client="tab")
        dialing = loop().create_task(world.dial(by=by))
        await asyncio.sleep(1)
        barrier = network.part("tab", "node:0")
        await asyncio.sleep(100)
        assert not dialing.done()
        barrier.heal()
        assert (await dialing).heard == ["made"]

    run_virtually(main)


def test_through_a_barrier_nobody_hears_that_nobody_listens_any_more() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        network.reset("node:0")
        with pytest.raises(ConnectionRefusedError):
            await world.dial()

        barrier = network.part("tab", "node:0")
        dialing = loop().create_task(world.dial())
        await asyncio.sleep(100)
        assert not dialing.done()
        assert barrier.held_bytes > 0
        barrier.heal()
        with pytest.raises(ConnectionRefusedError):
            await dialing

    run_virtually(main)


@pytest.mark.parametrize("latency", ["0ms", "10ms"])
def test_a_reset_is_found_by_who_has_something_to_write_though_it_reads_nothing(latency: str) -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        far = Network(profile(latency=latency), seed=1, client="tab")
        client = await world.dial(by=far if latency != "0ms" else None)
        server = await world.ends.first()
        server.transport.pause_reading()
        client.transport.pause_reading()
        client.transport.write(bytes(2 * WINDOW_BYTES_MAX))
        await asyncio.sleep(1)

        reset(server.transport)
        await client.lost()

        assert client.heard == ["made", "pause", "lost: ConnectionResetError"]

    run_virtually(main)


def test_several_barriers_must_all_be_healed() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial()
        server = await world.ends.first()
        one, other = network.part("tab", "node:0"), network.part("node:0", "tab")

        server.transport.write(b"x")
        one.heal()
        one.heal()
        await asyncio.sleep(1)
        assert client.data == b""
        other.heal()
        await client.has(1)

    run_virtually(main)


def test_a_paused_process_is_reached_by_its_kernel_alone() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        loop().pause(world.node)

        client = await world.dial()
        client.transport.write(bytes(WINDOW_BYTES + 10))
        await asyncio.sleep(100)
        assert world.ends.all == []
        assert client.transport.get_write_buffer_size() == 10

        loop().resume(world.node)
        server = await world.ends.first()
        await server.has(WINDOW_BYTES + 10)
        assert server.heard == ["made", "data"]

    run_virtually(main)


def test_a_kernel_takes_no_more_for_a_paused_process_than_its_backlog_holds() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        loop().pause(world.node)

        async with asyncio.TaskGroup() as group:
            dialing = [group.create_task(world.dial(f"tab:{number}")) for number in range(BACKLOG + 2)]
            await asyncio.sleep(2)
            assert sum(task.done() for task in dialing) == BACKLOG
            loop().resume(world.node)
        assert now() == 3.0, "the kernels of the others have knocked after one second, and after two more"
        await turns(5)
        assert len(world.ends.all) == BACKLOG + 2

    run_virtually(main)


def test_who_was_killed_leaves_resets_and_hears_nothing() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        client = await world.dial()
        server = await world.ends.first()
        client.transport.write(b"x")

        loop().kill(world.node)
        server.transport.write(b"from beyond")
        server.transport.close()
        await turns(5)
        assert client.heard == ["made"]
        network.reset("node:0")
        await client.lost()

        assert client.heard == ["made", "lost: ConnectionResetError"]
        assert server.heard == ["made"]
        with pytest.raises(ConnectionRefusedError):
            await world.dial()
        with pytest.raises(OSError):
            await world.node.context.copy().run(network.connect, End, "127.0.0.1", world.port)
        world.node = Process("node:0")
        await world.start()
        assert (await world.dial()).heard == ["made"]

    run_virtually(main)


def test_who_was_not_taken_yet_is_reset_when_the_port_is_closed() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        loop().pause(world.node)
        client = await world.dial()

        loop().kill(world.node)
        network.reset("node:0")
        await client.lost()

        assert client.heard == ["made", "lost: ConnectionResetError"]
        assert world.ends.all == []

    run_virtually(main)


def test_a_host_that_is_reset_and_lives_hears_of_it_too() -> None:
    async def main(network: VirtualNetwork) -> None:
        ends = Ends()
        network.listen(ends, "redis", 6379)
        node = Process("node:0")
        _, client = await node.start(network.connect(End, "redis", 6379))
        server = await ends.first()

        network.reset("redis")
        await client.lost()

        assert client.heard == ["made", "lost: ConnectionResetError"]
        assert server.heard == ["made", "lost"]
        network.listen(ends, "redis", 6379)

    run_virtually(main)


def test_a_port_that_is_taken_cannot_be_had() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        with pytest.raises(OSError) as taken:
            network.listen(End, None, world.port)
        assert taken.value.errno == errno.EADDRINUSE
        with pytest.raises(EnvironmentUnfit, match=f"cannot listen on 127.0.0.1 port {world.port}: address already in use"):
            await network.opens("node:1")(End, "127.0.0.1", world.port)
        assert network.listen(End, "redis", world.port).address == ("redis", world.port)
        assert network.listen(End, "localhost", 0).address[1] != world.port

    run_virtually(main)


def test_a_server_is_closed_when_all_of_its_connections_are() -> None:
    async def main(network: VirtualNetwork) -> None:
        listener = network.listen(Ends(), None, 0)
        _, client = await network.connect(End, *listener.address)
        await turns(5)
        closing = loop().create_task(listener.wait_closed())

        listener.close()
        await turns(5)
        assert not closing.done()
        listener.close_clients()
        await closing
        await listener.wait_closed()
        assert client.heard == ["made", "end", "lost"]
        assert (listener.is_serving(), listener.sockets, listener.get_loop()) == (False, (), loop())

    run_virtually(main)


def test_some_connections_begin_in_slices() -> None:
    async def main(network: VirtualNetwork) -> list[int]:
        world = await World(network).start()
        counts = []
        for number in range(40):
            client = await world.dial(f"tab:{number}")
            await turns(3)
            pieces: list[int] = []

            def read(data: bytes, pieces: list[int] = pieces) -> None:
                pieces.append(len(data))

            server = world.ends.all[number]
            server.on_data = read
            client.transport.write(bytes(2 * SLICED_BYTES))
            await server.has(2 * SLICED_BYTES)
            assert pieces[-1] > SLICED_BYTES // 2, "only the beginning is cut"
            counts.append(len(pieces))
        return counts

    counts = run_virtually(main, slices=True)

    assert 3 <= sum(count > 10 for count in counts) <= 20
    assert counts == run_virtually(main, slices=True)
    assert set(run_virtually(main)) == {1}


class AskedNetwork(Network):
    """Counts how often it is asked whether it is away."""

    asked = 0

    def outage(self, now: float) -> Outage | None:
        self.asked += 1
        return super().outage(now)


def test_a_connection_that_is_over_leaves_nothing_behind() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = AskedNetwork(profile(outage={"every": "10s", "for": "1s"}), seed=1, client="tab")
        barrier = network.barrier("tab", "node:0")
        client = await world.dial(by=by)
        server = await world.ends.first()

        client.transport.close()
        await server.lost()
        await turns(5)
        asked = by.asked
        await asyncio.sleep(100)

        assert barrier.connections == 0
        assert not network._connections
        assert by.asked == asked

    run_virtually(main)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([1, 100, 5_000, 100_000])),
        st.tuples(st.just("rest"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
        st.tuples(st.just("part"), st.just(0)),
        st.tuples(st.just("heal"), st.just(0)),
        st.tuples(st.just("pause"), st.just(0)),
        st.tuples(st.just("resume"), st.just(0)),
        st.tuples(st.just("change"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 50, 5000])),
    ),
    max_size=30,
)
PROFILES = st.sampled_from(
    [None, profile(), profile(latency="5ms", jitter="20ms", loss="10%"), profile(bandwidth="1MB/s", latency="1ms")]
)


@settings(max_examples=50)
@given(STEPS, PROFILES, st.booleans(), st.sampled_from([Spread(0, 0), Spread(0.0001, 0.01)]), st.integers(0, 99))
def test_whatever_befalls_a_stream_all_of_it_comes_in_order(
    steps: list[tuple[str, int]], of: NetworkProfile | None, slices: bool, latency: Spread, seed: int
) -> None:
    async def main(network: VirtualNetwork) -> tuple[bytes, bytes, list[float]]:
        world = await World(network).start()
        by = None if of is None else Network(of, seed=seed, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()
        barrier = network.barrier("tab", "node:0")
        sent = b""
        for what, amount in steps:
            if what == "write":
                data = bytes([len(sent) % 251]) * amount
                sent += data
                client.transport.write(data)
            elif what in ("rest", "read"):
                (server.transport.pause_reading if what == "rest" else server.transport.resume_reading)()
            elif what in ("part", "heal"):
                (barrier.cut_off if what == "part" else barrier.heal)()
            elif what == "pause":
                loop().pause(world.node)
            elif what == "resume":
                loop().resume(world.node)
            elif what == "change" and by is not None:
                by.change(profile(latency="3ms"))
            else:
                await asyncio.sleep(amount / 1000)
        barrier.heal()
        loop().resume(world.node)
        server.transport.resume_reading()
        client.transport.close()
        async with asyncio.timeout(600):
            await server.until(lambda: server.is_lost)
        assert client.heard.count("pause") == client.heard.count("resume")
        assert barrier.connections == 0
        return sent, server.data, server.times

    async def unhurried(network: VirtualNetwork) -> tuple[bytes, bytes, list[float]]:
        return await main(network)

    sent, came, times = run_virtually(unhurried, seed=seed, latency=latency, slices=slices)

    assert came == sent
    assert times == run_virtually(unhurried, seed=seed, latency=latency, slices=slices)[2]


def test_a_reset_comes_behind_what_was_sent() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(latency="1s"), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()

        client.transport.write(b"last words")
        reset(client.transport)
        await server.lost()

        assert server.heard == ["made", "data", "lost: ConnectionResetError"]
        assert now() == pytest.approx(4.0)

    run_virtually(main)


def test_whoever_writes_to_who_has_gone_learns_it_after_a_round_trip() -> None:
    async def main(network: VirtualNetwork) -> None:
        world = await World(network).start()
        by = Network(profile(latency="1s"), seed=1, client="tab")
        client = await world.dial(by=by)
        server = await world.ends.first()
        client.transport.pause_reading()
        began_at = now()

        server.transport.abort()
        await asyncio.sleep(0.5)
        client.transport.write(b"are you there?")
        await asyncio.sleep(1.9)
        client.transport.write(b"are you?")
        assert not client.transport.get_extra_info("hung_up")
        await asyncio.sleep(0.2)
        assert client.transport.get_extra_info("hung_up")
        client.transport.write(b"so you are not")
        await client.lost()

        assert client.heard == ["made", "lost: ConnectionResetError"]
        assert now() - began_at == pytest.approx(2.6)

    run_virtually(main)
