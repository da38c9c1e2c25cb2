"""A connection over a network, in virtual time: what arrives when, and what is held back from whom."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connection_manager.loops import run, turns
from vuemantics_ws.simulation.format.scenario import NetworkProfile
from vuemantics_ws.simulation.network.lanes import WINDOW_BYTES_MIN, Network
from vuemantics_ws.simulation.real.flow import DELIVERED_BYTES_MAX
from vuemantics_ws.simulation.real.link import Link, through


def now() -> float:
    return asyncio.get_running_loop().time()


class Wire(asyncio.Transport):
    """The real transport's part: remembers what came to the server, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[float, bytes | str]] = []
        self.reads = True
        self.link: Link | None = None
        self.closing = False

    def write(self, data: Any) -> None:
        self.came.append((round(now(), 6), bytes(data)))

    def write_eof(self) -> None:
        self.came.append((round(now(), 6), "no more comes"))

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self.reads and not self.closing

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True

    def close(self) -> None:
        self.came.append((round(now(), 6), "closed"))
        self._lose()

    def abort(self) -> None:
        self.came.append((round(now(), 6), "aborted"))
        self._lose()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return f"the real {name}"

    def _lose(self) -> None:
        if not self.closing:
            self.closing = True
            assert self.link is not None
            asyncio.get_running_loop().call_soon(self.link.connection_lost, None)


class Inner(asyncio.Protocol):
    """The browser's part."""

    def __init__(self, on_data: Callable[["Inner"], None] = lambda inner: None) -> None:
        self.got: list[tuple[float, bytes | str]] = []
        self.on_data = on_data
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got.append((round(now(), 6), data))
        self.on_data(self)

    def eof_received(self) -> None:
        self.got.append((round(now(), 6), "no more comes"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.got.append((round(now(), 6), "lost"))

    @property
    def stream(self) -> bytes:
        return b"".join(data for _, data in self.got if isinstance(data, bytes))


def linked(inner: Inner | None = None, **said: object) -> tuple[Link, Inner, Wire]:
    inner, wire = inner or Inner(), Wire()
    network = Network(NetworkProfile.model_validate(said), seed=1, client="tab")
    link = wire.link = Link(inner, network, now)
    link.connection_made(wire)
    return link, inner, wire


async def end(link: Link) -> None:
    """The end of every test: nothing may be left that fires later."""
    link.abort()
    await turns(3)
    loop: Any = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []


def test_what_is_sent_arrives_after_the_latency_in_both_directions() -> None:
    async def main() -> None:
        link, inner, wire = linked(latency="50ms")
        link.write(b"hello")
        await asyncio.sleep(1)
        link.write(b"again")
        link.data_received(b"welcome")
        await asyncio.sleep(1)

        assert wire.came == [(0.15, b"hello"), (1.05, b"again")]
        assert inner.got == [(1.05, b"welcome")]
        await end(link)

    run(main())


def test_bandwidth_spreads_what_comes_at_once() -> None:
    async def main() -> None:
        link, inner, _ = linked(bandwidth="14kB/s")
        link.data_received(b"x" * 2800)
        await asyncio.sleep(1)

        assert [(at, len(data)) for at, data in inner.got] == [(0.1, 1400), (0.2, 1400)]
        await end(link)

    run(main())


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.binary(min_size=1, max_size=5000)), max_size=20),
    st.sampled_from([{}, {"loss": "30%"}, {"bandwidth": "20kB/s"}, {"outage": {"every": "~1s", "for": "0s..1s"}}]),
)
def test_no_byte_is_lost_or_out_of_order(sent: list[tuple[float, bytes]], said: dict[str, object]) -> None:
    async def main() -> None:
        link, inner, wire = linked(None, latency="5ms", jitter="50ms", **said)
        for pause_s, data in sent:
            await asyncio.sleep(pause_s)
            link.data_received(data)
            link.write(data)
        link.eof_received()
        await asyncio.sleep(120)

        whole = b"".join(data for _, data in sent)
        assert inner.stream == whole
        assert b"".join(data for _, data in wire.came if isinstance(data, bytes)) == whole
        assert [what for _, what in inner.got if isinstance(what, str)] == ["no more comes", "lost"]
        await end(link)

    run(main())


def test_beyond_the_window_the_real_socket_is_read_no_further() -> None:
    async def main() -> None:
        link, inner, wire = linked(bandwidth="64KiB/s")
        link.data_received(b"x" * (WINDOW_BYTES_MIN - 1))
        assert wire.reads

        link.data_received(b"x")
        assert not wire.reads

        await asyncio.sleep(0.1)
        assert wire.reads
        await asyncio.sleep(1)
        assert len(inner.stream) == WINDOW_BYTES_MIN
        await end(link)

    run(main())


def test_whoever_does_not_read_stops_the_server_too() -> None:
    async def main() -> None:
        link, inner, wire = linked(bandwidth="1MB/s")
        link.pause_reading()
        assert not link.is_reading()
        link.data_received(b"x" * WINDOW_BYTES_MIN)
        await asyncio.sleep(10)
        assert inner.got == []
        assert not wire.reads

        link.resume_reading()
        await turns(3)
        assert len(inner.stream) == WINDOW_BYTES_MIN
        assert wire.reads
        await end(link)

    run(main())


def test_whoever_reads_slowly_can_say_so_after_each_piece() -> None:
    async def main() -> None:
        link, inner, _ = linked(Inner(lambda inner: inner.transport.pause_reading()))
        link.data_received(b"x" * 3 * DELIVERED_BYTES_MAX)
        await asyncio.sleep(1)
        assert len(inner.got) == 1

        link.resume_reading()
        await asyncio.sleep(1)
        assert len(inner.got) == 2
        assert len(inner.stream) < 3 * DELIVERED_BYTES_MAX
        await end(link)

    run(main())


def test_in_a_blackhole_nothing_passes_and_afterwards_all_of_it() -> None:
    async def main() -> None:
        link, inner, wire = linked(latency="100ms", outage={"every": "4s", "for": "2s"})
        await asyncio.sleep(3.95)
        link.write(b"out")
        link.data_received(b"in")
        await asyncio.sleep(0.1)
        assert not wire.reads
        assert not link.is_closing()
        link.write(b", too")
        await asyncio.sleep(1.9)
        assert (wire.came, inner.got) == ([], [])

        await asyncio.sleep(0.07)
        assert b"".join(data for _, data in wire.came if isinstance(data, bytes)) == b"out, too"
        assert inner.stream == b"in"
        await end(link)

    run(main())


def test_a_reset_cuts_both_sides_when_the_outage_begins() -> None:
    async def main() -> None:
        link, inner, wire = linked(latency="100ms", outage={"every": "4s", "for": "2s", "how": "reset"})
        await asyncio.sleep(3.95)
        link.write(b"never comes")
        link.data_received(b"nor this")
        await asyncio.sleep(5)

        assert wire.came == [(4.0, "aborted")]
        assert inner.got == [(4.0, "lost")]
        await end(link)

    run(main())


def test_the_end_comes_behind_what_was_sent_before_it() -> None:
    async def main() -> None:
        link, inner, wire = linked(latency="50ms")
        link.data_received(b"last")
        link.eof_received()
        link.connection_lost(None)
        assert link.is_closing()
        await asyncio.sleep(1)

        assert inner.got == [(0.05, b"last"), (0.05, "no more comes"), (0.05, "lost")]
        assert wire.came == []
        await end(link)
        assert [what for _, what in inner.got].count("lost") == 1

    run(main())


def test_closing_waits_for_what_is_on_its_way_out() -> None:
    async def main() -> None:
        link, inner, wire = linked(latency="50ms")
        link.write(b"goodbye")
        link.write_eof()
        link.close()
        link.write(b"too late")
        link.data_received(b"too late as well")
        await asyncio.sleep(1)

        assert wire.came == [(0.15, b"goodbye"), (0.15, "no more comes"), (0.15, "closed")]
        assert inner.got == [(0.15, "lost")]
        await end(link)

    run(main())


def test_aborting_is_at_once_even_when_the_end_is_still_on_its_way() -> None:
    async def main() -> None:
        link, inner, _ = linked(latency="1s")
        link.data_received(b"x")
        link.connection_lost(None)
        link.abort()
        await turns(2)

        assert inner.got == [(0.0, "lost")]
        await end(link)

    run(main())


def test_it_tells_of_the_socket_beneath() -> None:
    async def main() -> None:
        link, _, _ = linked()
        assert link.get_extra_info("socket") == "the real socket"
        await end(link)
        assert link.get_extra_info("socket") is None

    run(main())


def test_nobody_is_reached_while_the_network_is_away() -> None:
    dialed: list[float] = []

    async def dial(make: Callable[[], asyncio.Protocol]) -> None:
        dialed.append(now())

    async def main(how: str) -> None:
        said = {"outage": {"every": "4s", "for": "2s", "how": how}}
        network = Network(NetworkProfile.model_validate(said), seed=1, client="tab")
        await asyncio.sleep(4.5)
        await through(network, dial, now)(Inner)

    run(main("blackhole"))
    assert dialed == [pytest.approx(6.0, abs=0.001)]
    with pytest.raises(OSError, match="unreachable"):
        run(main("reset"))
