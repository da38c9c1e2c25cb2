"""A simulated browser has the application's habits, on real sockets, against servers that do what servers do."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from tests.client.peer import Peer, Script, run, serving, stranger
from tests.connection_manager.loops import run as run_virtually
from tests.events import UPLOAD_ID, completed, progress
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation import browser as browser_module
from vuemantics_ws.simulation import browser_socket
from vuemantics_ws.simulation.browser import Browser, Dial
from vuemantics_ws.simulation.dialing import tcp
from vuemantics_ws.simulation.log import (
    Authenticated,
    Closed,
    Log,
    Opened,
    Received,
    Record,
    Sent,
    Undocumented,
    Unreachable,
    to_ndjson,
)

TOKEN = "eyJ.canary.token"
AT_ONCE = Backoff(initial_s=0.001, jitter_s=0.0, tries_max=3)


def tab(url: str, *, backoff: Backoff = AT_ONCE, dial: Dial | None = None, log: Log | None = None) -> Browser:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    uri = parse_uri(url)
    return Browser(
        "tab",
        uri=uri,
        token=TOKEN,
        dial=dial or tcp(uri),
        log=log if log is not None else Log(),
        now=lambda: loop.time() - began_at,
        dice=random.Random(1),
        numbers=itertools.count(1),
        backoff=backoff,
        on_authenticated=None,
    )


@contextlib.asynccontextmanager
async def opened(script: Script, **options: Any) -> AsyncIterator[tuple[Browser, "Watch"]]:
    """A tab at a server with this script, which is cut at the end."""
    async with serving(script, compression=None, ping_interval=None, **options) as url:
        watch = Watch()
        browser = tab(url, log=watch.log)
        browser.open()
        try:
            yield browser, watch
        finally:
            browser.cut()
            await browser.gone


class Watch:
    """Waits for records."""

    def __init__(self) -> None:
        self.log = Log()
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.log.listen(self._look)

    async def until(self, happened: Callable[[], bool]) -> None:
        if not happened():
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((happened, future))
            await future

    async def count(self, kind: type[Record], count: int = 1) -> None:
        await self.until(lambda: len(self.of(kind)) >= count)

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.log if isinstance(record, kind)]

    def _look(self, record: Record) -> None:
        for happened, future in self._waiting:
            if happened() and not future.done():
                future.set_result(None)


async def idle(peer: Peer) -> None:
    """Take the auth message, and whatever else comes, until the tab is gone."""
    await peer.welcome()
    with contextlib.suppress(ConnectionClosed):
        while True:
            await peer.receive()


def test_it_authenticates_first_and_then_asks() -> None:
    heard: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        heard.append(await peer.receive())
        await peer.send(action="auth_success", user_id="alice")
        heard.extend([await peer.receive(), await peer.receive()])
        await peer.send(action="subscribed", upload_id=UPLOAD_ID, known=True)

    async def main() -> list[Record]:
        async with opened(script) as (browser, watch):
            await watch.count(Authenticated)
            assert browser.subscribe(UPLOAD_ID)
            assert browser.unsubscribe(UPLOAD_ID)
            await watch.count(Received, 2)
            return list(watch.log)

    records = run(main())

    assert heard == [
        {"type": "auth", "token": TOKEN},
        {"action": "subscribe_upload", "upload_id": UPLOAD_ID},
        {"action": "unsubscribe_upload", "upload_id": UPLOAD_ID},
    ]
    assert [type(record) for record in records] == [Opened, Received, Authenticated, Sent, Sent, Received]
    assert isinstance(records[-1], Received)
    assert (records[-1].upload_id, records[-1].known) == (UPLOAD_ID, True)


def test_it_takes_states_and_drops_what_it_does_not_know() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.send(action="hello_from_the_future")
        await peer.socket.send(progress(percent=42, version=(1, 2)))
        await peer.socket.send(progress(upload_id="not-a-uuid"))
        await peer.socket.send("{")
        await peer.socket.send(completed(version=(1, 3)))
        await peer.socket.wait_closed()

    async def main() -> tuple[list[Received], list[str]]:
        async with opened(script) as (_, watch):
            await watch.until(lambda: any(record.terminal for record in watch.of(Received)))
            return watch.of(Received), [record.reason for record in watch.of(Undocumented)]

    received, dropped = run(main())

    assert [(record.action, record.version, record.percent) for record in received[1:]] == [
        ("upload_progress", Version(1, 2), 42),
        ("upload_completed", Version(1, 3), None),
    ]
    assert len(dropped) == 3


def test_it_answers_a_ping_and_sends_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser_socket.PING_INTERVAL_S == 30.0
    monkeypatch.setattr(browser_socket, "PING_INTERVAL_S", 0.02)
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.send(action="ping")
        while heard.count("ping") < 2 or "pong" not in heard:
            heard.append((await peer.receive())["action"])
        await peer.close(1000)

    async def main() -> None:
        async with opened(script) as (browser, _):
            await browser.gone

    run(main())


def test_it_offers_no_extension_and_puts_together_what_comes_in_pieces() -> None:
    asked: list[Request] = []

    def remember(socket: ServerConnection, request: Request) -> None:
        asked.append(request)

    async def script(peer: Peer) -> None:
        await peer.welcome()
        whole = progress(percent=7, version=(1, 1)).decode()
        await peer.socket.send([whole[:10], whole[10:20], "", whole[20:]])
        await peer.socket.wait_closed()

    async def main() -> list[Received]:
        async with opened(script, process_request=remember) as (_, watch):
            await watch.count(Received, 2)
            return watch.of(Received)

    assert run(main())[-1].percent == 7
    assert "Sec-WebSocket-Extensions" not in asked[0].headers


def test_a_request_while_it_is_not_open_is_dropped_silently() -> None:
    async def main() -> list[Record]:
        async with stranger() as port:
            log = Log()
            browser = tab(f"ws://127.0.0.1:{port}/ws/uploads", log=log)
            assert not browser.subscribe(UPLOAD_ID)
            browser.open()
            assert not browser.subscribe(UPLOAD_ID)
            browser.cut()
            await browser.gone
            return list(log)

    assert run(main()) == []


def test_it_comes_back_and_does_not_ask_again() -> None:
    heard: list[list[str]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        heard.append([])
        if peer.number == 1:
            heard[-1].append((await peer.receive())["action"])
            await peer.close(1012, "Server reloading")
            return
        await peer.send(action="ping")
        heard[-1].append((await peer.receive())["action"])
        await peer.close(1000)

    async def main() -> Watch:
        async with opened(script) as (browser, watch):
            await watch.count(Authenticated)
            browser.subscribe(UPLOAD_ID)
            await browser.gone
            return watch

    watch = run(main())

    assert heard == [["subscribe_upload"], ["pong"]]
    assert [(closed.connection, closed.code, closed.reason, closed.by) for closed in watch.of(Closed)] == [
        (1, 1012, "Server reloading", "server"),
        (2, 1000, "", "server"),
    ]


@pytest.mark.parametrize("code", [1000, 4001, 4002, 4003, 4004])
def test_it_stays_away_where_coming_back_would_not_help(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.close(code)

    async def main() -> Watch:
        async with opened(script) as (browser, watch):
            await browser.gone
            return watch

    assert [closed.code for closed in run(main()).of(Closed)] == [code]


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 4005, 4006, 4008, 4009, 4029, 4999, None])
def test_it_comes_back_after_everything_else(code: int | None) -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number > 1:
            await peer.close(1000)
        elif code is None:
            peer.cut()
        else:
            await peer.close(code)

    async def main() -> Watch:
        async with opened(script) as (browser, watch):
            await browser.gone
            return watch

    assert [closed.code for closed in run(main()).of(Closed)] == [1006 if code is None else code, 1000]


def test_its_tries_start_anew_after_each_success() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        if peer.number <= 2 * AT_ONCE.tries_max:
            peer.cut()
        else:
            await peer.close(1000)

    async def main() -> Watch:
        async with opened(script) as (browser, watch):
            await browser.gone
            return watch

    assert len(run(main()).of(Authenticated)) == 2 * AT_ONCE.tries_max + 1


def test_it_gives_up_after_ten_tries_with_the_applications_pauses() -> None:
    async def refuse(make: Callable[[], asyncio.Protocol]) -> None:
        raise ConnectionRefusedError

    async def main() -> list[float]:
        log = Log()
        browser = tab("ws://127.0.0.1:1/ws/uploads", backoff=Backoff(), dial=refuse, log=log)
        browser.open()
        await browser.gone
        assert all(isinstance(record, Unreachable) for record in log)
        return [record.at for record in log]

    tried_at = run_virtually(main())

    pauses = [after - before for before, after in pairwise(tried_at)]
    assert [int(pause - least) in range(4) for pause, least in zip(pauses, [1, 2, 4, 8, 16, *[30] * 5], strict=True)] == [
        True
    ] * 10
    assert len({round(pause % 1, 6) for pause in pauses}) == 10


def test_nobody_there_is_told_in_words() -> None:
    async def main() -> list[Unreachable]:
        async with stranger() as port:
            pass
        watch = Watch()
        browser = tab(f"ws://127.0.0.1:{port}/ws/uploads", log=watch.log)
        browser.open()
        await browser.gone
        return watch.of(Unreachable)

    assert [record.reason for record in run(main())] == ["nothing listens there"] * (AT_ONCE.tries_max + 1)


def test_a_refused_upgrade_is_told_with_its_status_and_tried_again() -> None:
    answers = iter([HTTPStatus.SERVICE_UNAVAILABLE])

    def refuse_once(socket: ServerConnection, request: Request) -> Response | None:
        status = next(answers, None)
        return socket.respond(status, "full") if status is not None else None

    async def main() -> Watch:
        async with opened(idle, process_request=refuse_once) as (_, watch):
            await watch.count(Authenticated)
            return watch

    assert [record.reason for record in run(main()).of(Unreachable)] == ["HTTP 503"]


def test_whoever_never_answers_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_module, "CONNECT_TIMEOUT_S", 0.02)

    async def main() -> list[str]:
        async with stranger() as port:
            watch = Watch()
            browser = tab(f"ws://127.0.0.1:{port}/ws/uploads", log=watch.log)
            browser.open()
            await browser.gone
            return [record.reason for record in watch.of(Unreachable)]

    assert run(main()) == ["no upgrade within 0.02 s"] * (AT_ONCE.tries_max + 1)


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
