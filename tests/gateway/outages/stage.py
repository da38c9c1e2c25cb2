"""Two whole gateways around a Redis, browsers at both, and publishers: where Redis goes and comes back."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from tests.gateway.clustered import Member, member, until
from tests.gateway.nodes import completed, event
from tests.gateway.outages.browsing import Tab, open_tab
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.errors import EnvironmentUnfit

UPLOADS = [f"u{number}" for number in range(8)]

PAUSE_S = 0.002
"""Between two events of a stream."""

SETTLES_WITHIN_S = 5.0

_numbers = itertools.count(1_000)


class Stream:
    """Workers that publish about all uploads in turn at all nodes in turn, and never again what was refused.

    Every other upload names its versions itself.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._flowing: asyncio.Task[None] | None = None
        self.accepted = 0
        self.refused = 0
        self.complaints: set[str] = set()

    def flow(self) -> None:
        self._flowing = asyncio.ensure_future(self._flow())

    async def stop(self) -> None:
        if self._flowing is not None:
            self._flowing.cancel()
            await asyncio.wait([self._flowing])
            if not self._flowing.cancelled():
                self._flowing.result()

    async def _flow(self) -> None:
        for number in itertools.count():
            member, upload_id = self._members[number % len(self._members)], UPLOADS[number % len(UPLOADS)]
            await self.publish(member, said(upload_id))
            await asyncio.sleep(PAUSE_S)

    @property
    def flows(self) -> bool:
        return self._flowing is not None and not self._flowing.done()

    async def publish(self, member: Member, published: bytes) -> bool:
        try:
            receipt = await member.control.publish(published)
        except EnvironmentUnfit as error:
            self.refused += 1
            self.complaints.add(error.message)
            return False
        self.accepted += receipt.verdict in ("accepted", "duplicate")
        return True

    async def end(self, upload_id: str) -> None:
        """As a worker does: again and again until it is heard."""
        published = completed(upload_id, **_version(upload_id))
        while not await self.publish(self._members[0], published):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


class Stage:
    """What a test acts on."""

    def __init__(self, members: list[Member], stack: AsyncExitStack) -> None:
        self.members = members
        self.stream = Stream(members)
        self.tabs: list[Tab] = []
        self._stack = stack

    @property
    def brokers(self) -> list[RedisBroker]:
        return [broker for member in self.members if isinstance(broker := member.node.broker, RedisBroker)]

    @property
    def gaps(self) -> list[int]:
        return [broker.health.gaps for broker in self.brokers]

    async def open_tab(self, member: Member, user_id: str, *upload_ids: str) -> Tab:
        """Follows them, and has been answered."""
        tab = await self._stack.enter_async_context(open_tab(member.node, user_id))
        self.tabs.append(tab)
        await tab.follow(*upload_ids)
        await until(lambda: len(tab.known) == len(upload_ids))
        return tab

    async def all_ready(self, within_s: float = 20.0) -> None:
        await until(lambda: all(broker.health.ready for broker in self.brokers), within_s)

    async def none_ready(self, within_s: float) -> list[str]:
        """Why not."""
        await until(lambda: not any(broker.health.ready for broker in self.brokers), within_s)
        return [broker.health.reason or "" for broker in self.brokers]

    async def probe(self, path: str) -> list[tuple[int, dict[str, Any]]]:
        """What each node's control port answers."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [await client.get(f"{member.node.control_url}{path}") for member in self.members]
        return [(answer.status_code, json.loads(answer.content)) for answer in answers]

    async def some_more(self, count: int = 50) -> None:
        """The stream flows."""
        accepted = self.stream.accepted
        await until(lambda: self.stream.accepted >= accepted + count or not self.stream.flows, 20.0)
        assert self.stream.flows

    async def all_hear(self, within_s: float) -> None:
        """Something new about each upload reaches everybody who follows it."""
        heard = [tab.heard.setdefault(upload_id, []) for tab in self.tabs for upload_id in tab.known]
        before = [len(news) for news in heard]
        await until(lambda: all(len(news) > count for news, count in zip(heard, before, strict=True)), within_s)

    async def finish(self) -> None:
        """End every upload, and see that everybody has had the end, once, and everything before it in order."""
        await self.stream.stop()
        await self.all_ready()
        await asyncio.gather(*map(self.stream.end, UPLOADS))
        await self.see_all_ended()

    async def see_all_ended(self, within_s: float = SETTLES_WITHIN_S) -> None:
        def owed() -> list[str]:
            return [upload_id for tab in self.tabs for upload_id in tab.known if not tab.has_end(upload_id)]

        try:
            await until(lambda: not owed(), within_s)
        except TimeoutError:
            raise AssertionError(f"without their end: {owed()}") from None
        await asyncio.gather(*map(self._see_laws, UPLOADS))

    async def _see_laws(self, upload_id: str) -> None:
        heads = [await head_at(member, upload_id) for member in self.members]
        for tab in self.tabs:
            if upload_id in tab.known:
                tab.see_the_laws_kept(upload_id)
                newest = tab.newest(upload_id)
                assert newest is not None
                for head in heads:
                    assert head is not None
                    assert head["terminal"]
                    assert what_people_see(head["event"]) == what_people_see(newest.said)


async def head_at(member: Member, upload_id: str) -> dict[str, Any] | None:
    """After a failover the first that asks over an old connection is told that Redis is away."""
    async with asyncio.timeout(SETTLES_WITHIN_S):
        while True:
            try:
                return await member.control.head(upload_id)
            except EnvironmentUnfit:
                await asyncio.sleep(0.05)


def what_people_see(said: dict[str, Any]) -> dict[str, Any]:
    """The same end may have another version where it was given back to a Redis that had lost it."""
    return {key: value for key, value in said.items() if key != "seq"}


def said(upload_id: str) -> bytes:
    """Progress that differs from all other."""
    return event(upload_id, 50, **_version(upload_id))


def _version(upload_id: str) -> dict[str, Any]:
    number = next(_numbers)
    return {"number": number, **({"version": (1, number)} if int(upload_id[1:]) % 2 else {})}


@asynccontextmanager
async def stage(*urls: str, prefix: str, tabs: int = 2, ready: bool = True, **settings: Any) -> AsyncIterator[Stage]:
    """A node a URL, and at each of them so many browsers that follow everything."""
    settings = {"access": "open", **settings}
    async with AsyncExitStack() as stack:
        names = "abc"[: len(urls)]
        members = [
            await stack.enter_async_context(member(url, prefix, name, **settings))
            for url, name in zip(urls, names, strict=True)
        ]
        made = Stage(members, stack)
        stack.push_async_callback(made.stream.stop)
        if ready:
            await made.all_ready()
        for one, name in zip(members, names, strict=True):
            for number in range(tabs):
                await made.open_tab(one, f"{name}{number}", *UPLOADS)
        yield made


def run(act: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await act()

    asyncio.run(bounded())
