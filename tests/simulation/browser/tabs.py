"""Simulated tabs at a server of the test's own."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.uri import parse_uri

from tests.client.peer import Peer, Script, serving
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.log import Log, Record
from vuemantics_ws.simulation.network.dial import Dial
from vuemantics_ws.simulation.real.dialing import tcp

TOKEN = "eyJ.canary.token"
AT_ONCE = Backoff(initial_s=0.001, jitter_s=0.0, tries_max=3)


def tab(url: str, *, backoff: Backoff = AT_ONCE, dial: Dial | None = None, log: Log | None = None) -> Browser:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    uri = parse_uri(url)
    return Browser(
        "tab",
        uri=uri,
        token=lambda: TOKEN,
        dial=dial or tcp(uri),
        log=log if log is not None else Log(),
        now=lambda: loop.time() - began_at,
        dice=random.Random(1),
        numbers=itertools.count(1),
        backoff=backoff,
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
