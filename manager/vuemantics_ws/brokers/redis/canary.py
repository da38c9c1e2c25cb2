"""Whether what is published arrives: a connection that only listens would never notice that nobody speaks.

Redis may be hung, the network gone, or the server another than the one that publishers speak to.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from vuemantics_ws.brokers.redis.link import Link
from vuemantics_ws.errors import BrokerAway

logger = logging.getLogger(__name__)

RETRY_S = 0.2
"""About how soon a canary that could not be sent is sent again."""

LATE_S = 0.5
"""So late, the loop was blocked or the process suspended: what had arrived meanwhile is read before anybody is judged."""


class Canary:
    """One for a server. It subscribes to its channel as others do theirs.

    Args:
        choose: the name of its channel, anew for each connection.
        send: publishes. What it raises counts as not heard, and what a BrokerAway says is the reason.
    """

    def __init__(
        self,
        choose: Callable[[], bytes],
        send: Callable[[bytes, bytes], Awaitable[None]],
        *,
        interval_s: float,
        timeout_s: float,
        dice: random.Random,
    ) -> None:
        self.name = b""
        self.lag_s: float | None = None
        self._choose = choose
        self._send = send
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._dice = dice
        self._number = 0
        self._payload = b""
        self._subscribed: asyncio.Future[None]
        self._heard: asyncio.Future[None]
        self._sending: asyncio.Task[None] | None = None
        self._refusal: str | None = None
        self._raised: set[type[BaseException]] = set()

    def choose(self) -> bytes:
        """The channel for a new connection."""
        loop = asyncio.get_running_loop()
        self.name = self._choose()
        self._subscribed = loop.create_future()
        self._heard = loop.create_future()
        return self.name

    def on_subscribed(self) -> None:
        if not self._subscribed.done():
            self._subscribed.set_result(None)

    def on_message(self, payload: bytes) -> None:
        if payload == self._payload and not self._heard.done():
            self._heard.set_result(None)

    async def watch(self, link: Link, proven: Callable[[], None], oldest_at: Callable[[], float | None]) -> str:
        """Send canaries until the connection is lost or one is not heard: says why.

        ``proven`` is called when the first was heard. ``oldest_at`` is when the oldest command was given that is not confirmed.
        """
        try:
            return await self._watch(link, proven, oldest_at)
        finally:
            self._end_sending()

    async def _watch(self, link: Link, proven: Callable[[], None], oldest_at: Callable[[], float | None]) -> str:
        loop = asyncio.get_running_loop()
        await self._wait(link.lost, self._subscribed)
        if not self._subscribed.done():
            return link.lost.result() if link.lost.done() else f"{link.name} does not answer"
        first = True
        while True:
            unheard = await self._fly(link)
            if unheard is not None:
                return unheard
            if first:
                proven()
                first = False
            wake_at = loop.time() + self._interval_s
            await asyncio.wait([link.lost], timeout=self._interval_s)
            if link.lost.done():
                return link.lost.result()
            asked_at = oldest_at()
            if asked_at is not None and asked_at < loop.time() - self._timeout_s and loop.time() < wake_at + LATE_S:
                return f"{link.name} does not confirm what it was asked for"

    async def _fly(self, link: Link) -> str | None:
        """One canary. Why it was not heard, None if it was."""
        loop = asyncio.get_running_loop()
        for _ in range(2):  # the second, where we were late ourselves; once, or a loop that always is would judge nobody
            self._number += 1
            self._payload = b"%d" % self._number
            self._heard = loop.create_future()
            self._refusal = None
            sent_at = loop.time()
            self._end_sending()
            self._sending = loop.create_task(self._send_until_heard(self._payload, self._heard))
            await self._wait(link.lost, self._heard)
            now = loop.time()
            if link.lost.done():
                return link.lost.result()
            if self._heard.done():
                self.lag_s = now - sent_at
                return None
            if now < sent_at + self._timeout_s + LATE_S:
                break
        return self._refusal or f"{link.name} does not answer"

    async def _wait(self, *futures: "asyncio.Future[Any]") -> None:
        """For one of them, and no longer than a canary may take."""
        await asyncio.wait(futures, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)

    def _end_sending(self) -> None:
        """Mostly it has ended long ago, for a canary is heard before its sender has its answer."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send_until_heard(self, payload: bytes, heard: "asyncio.Future[None]") -> None:
        while not heard.done():
            try:
                await self._send(self.name, payload)
            except BrokerAway as error:
                self._refusal = error.message
            except Exception as error:  # noqa: BLE001 - whatever it is, the canary does not fly
                self._refusal = "a canary cannot be sent"
                if type(error) not in self._raised:
                    self._raised.add(type(error))
                    logger.error("sending a canary raised %s", type(error).__name__)
            else:
                return
            await asyncio.sleep(self._dice.uniform(RETRY_S / 2, RETRY_S))
