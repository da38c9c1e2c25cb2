"""A simulated browser has the application's habits, on real sockets, against servers that do what servers do."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.client.peer import Peer, run, stranger
from tests.connection_manager.loops import run as run_virtually
from tests.events import UPLOAD_ID, completed, progress
from tests.simulation.browser.tabs import AT_ONCE, TOKEN, Watch, idle, opened, tab
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.browser import socket as browser_socket
from vuemantics_ws.simulation.browser import tab as browser_module
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
    Unsent,
)


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


def test_a_request_while_it_is_not_open_is_dropped_silently_and_written_down() -> None:
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

    assert [type(record) for record in run(main())] == [Unsent, Unsent]


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
