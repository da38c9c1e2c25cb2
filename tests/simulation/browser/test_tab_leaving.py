"""A simulated browser leaves, and reads, as it is told."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.uri import parse_uri

from tests.client.peer import Peer, run, serving, stranger
from tests.events import progress
from tests.simulation.browser.tabs import Watch, idle, opened, tab
from vuemantics_ws.simulation.browser import socket as browser_socket
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.log import (
    Authenticated,
    Closed,
    Log,
    Received,
    Record,
    to_ndjson,
)
from vuemantics_ws.simulation.real.dialing import tcp


async def _goodbye_of(leave: Callable[[Browser], None]) -> tuple[ConnectionClosed | None, list[Closed]]:
    """What the server and the log have of a tab that leaves so."""
    seen: asyncio.Future[ConnectionClosed] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        try:
            await peer.receive()
        except ConnectionClosed as closed:
            seen.set_result(closed)

    async with opened(script) as (browser, watch):
        await watch.count(Authenticated)
        leave(browser)
        await browser.gone
        return await seen, watch.of(Closed)


def test_it_leaves_with_a_goodbye() -> None:
    seen, closed = run(_goodbye_of(lambda browser: browser.leave("close")))

    assert seen is not None
    assert seen.rcvd is not None
    assert seen.rcvd.code == 1000
    assert [(record.code, record.by) for record in closed] == [(1000, "browser")]


def test_it_leaves_with_a_reset() -> None:
    seen, closed = run(_goodbye_of(lambda browser: browser.leave("abort")))

    assert isinstance(seen, ConnectionClosedError)
    assert seen.rcvd is None
    assert [(record.code, record.by) for record in closed] == [(1006, "browser")]


def test_it_vanishes_and_its_server_notices_nothing() -> None:
    ended: list[ConnectionClosed] = []

    async def main() -> list[Record]:
        vanished = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.welcome()
            await vanished.wait()
            try:
                await peer.send(action="ping")
                await peer.receive()
                raise AssertionError("a tab that has vanished answers nothing")
            except ConnectionClosed as closed:
                ended.append(closed)

        async with opened(script) as (browser, watch):
            await watch.count(Authenticated)
            browser.leave("vanish")
            vanished.set()
            await browser.gone
            await asyncio.sleep(0.05)
            assert ended == []
            records = list(watch.log)
        assert list(watch.log) == records
        return records

    last = run(main())[-1]

    assert isinstance(last, Closed)
    assert (last.code, last.reason, last.by) == (1006, "vanished", "browser")
    assert len(ended) == 1


def test_it_leaves_before_it_has_come() -> None:
    async def main() -> list[Record]:
        log = Log()
        async with stranger() as port:
            for how in ("close", "abort", "vanish"):
                browser = tab(f"ws://127.0.0.1:{port}/ws/uploads", log=log)
                browser.open()
                await asyncio.sleep(0.01)
                browser.leave(how)
                await browser.gone
        return list(log)

    assert run(main()) == []


def test_whoever_does_not_answer_a_goodbye_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_socket, "CLOSE_TIMEOUT_S", 0.02)

    async def main() -> list[Closed]:
        deaf, over = asyncio.Event(), asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.welcome()
            peer.socket.transport.pause_reading()
            deaf.set()
            await over.wait()
            peer.cut()

        async with opened(script) as (browser, watch):
            await deaf.wait()
            await watch.count(Authenticated)
            browser.leave("close")
            await browser.gone
            over.set()
            return watch.of(Closed)

    assert [(closed.code, closed.by) for closed in run(main())] == [(1006, "browser")]


def test_a_ping_right_before_a_close_does_it_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        whole = b"".join([b'\x81\x11{"action":"ping"}', b"\x88\x02\x03\xe8"])
        peer.socket.transport.write(whole)
        await asyncio.sleep(0.05)
        peer.cut()

    async def main() -> Watch:
        async with opened(script) as (browser, watch):
            await browser.gone
            return watch

    watch = run(main())
    assert [record.action for record in watch.of(Received)] == ["ping"]
    assert [record.code for record in watch.of(Closed)] == [1000]


def test_a_tab_that_does_not_read_gets_it_all_later() -> None:
    count = 2_000

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for seq in range(1, count + 1):
            await peer.socket.send(progress(text="x" * 1000, version=(1, seq)))
        await peer.socket.wait_closed()

    async def main() -> list[Received]:
        async with opened(script) as (browser, watch):
            await watch.count(Authenticated)
            browser.pause_reading()
            before = len(watch.log)
            await asyncio.sleep(0.05)
            assert len(watch.log) == before
            browser.resume_reading()
            await watch.until(lambda: any(record.seq == count for record in watch.of(Received)[-1:]))
            return watch.of(Received)[1:]

    assert [record.seq for record in run(main())] == list(range(1, count + 1))


def test_a_slow_tab_reads_at_its_rate() -> None:
    count, size = 60, 1_000

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for seq in range(1, count + 1):
            await peer.socket.send(progress(text="x" * size, version=(1, seq)))
        await peer.socket.wait_closed()

    async def main() -> float:
        async with serving(script, compression=None) as url:
            watch = Watch()
            browser = tab(url, log=watch.log, dial=tcp(parse_uri(url), receive_buffer_bytes=4096))
            browser.read_at(200_000)
            browser.open()
            await watch.until(lambda: any(record.seq == count for record in watch.of(Received)[-1:]))
            took_s = watch.of(Received)[-1].at - watch.of(Received)[1].at
            browser.cut()
            await browser.gone
            return float(took_s)

    took_s = run(main())

    assert 0.2 <= took_s <= 2.0, "60 kB and more at 200 kB/s"


def test_its_token_goes_to_the_server_and_nowhere_else() -> None:
    async def main() -> bytes:
        async with opened(idle) as (browser, watch):
            await watch.count(Authenticated)
            browser.leave("close")
            await browser.gone
            assert "canary" not in repr(vars(browser)["_socket"])
            return to_ndjson(watch.log)

    assert b"canary" not in run(main())
