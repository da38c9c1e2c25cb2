"""A node and whoever comes to it, on the second engine: the production gateway, simulated tabs, and a log to be judged."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.uri import parse_uri

from tests import events
from tests.gateway.nodes import SECRET
from tests.simulation.second_engine.engine import engine
from vuemantics_ws.brokers.base import Broker
from vuemantics_ws.brokers.memory import MemoryBroker
from vuemantics_ws.client.backoff import Backoff
from vuemantics_ws.core.upload import Event
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.clock.virtual_clock import VirtualClock
from vuemantics_ws.simulation.dice import stream, upload_id_of
from vuemantics_ws.simulation.judging.checkers import MUST_BE_EMPTY, check_laws
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.log import (
    Began,
    ClientFacts,
    Closed,
    Emptied,
    Log,
    Measured,
    Opened,
    Published,
    Received,
    Sent,
    Settled,
    UploadFacts,
)
from vuemantics_ws.simulation.site import Rules

NODE, PORT = "node:0", 8765
SOON = Backoff(initial_s=0.05, jitter_s=0.05, tries_max=5)
PASSES_S = 1.5
"""After this long everything has arrived, and the laws say so."""

OWNERS = {"cat": "alice", "dog": "bob"}
UPLOADS = {name: upload_id_of(1, name) for name in OWNERS}
USERS = {"desk": "alice", "phone": "alice", "laptop": "alice", "tablet": "bob"}

MakeBroker = Callable[[VirtualClock, Settings], Broker]


def memory(clock: VirtualClock, settings: Settings) -> Broker:
    return MemoryBroker(clock=clock, limits=settings)


class Stage:
    """One node, and the tabs of two users who own one upload each."""

    def __init__(self, node: Gateway, log: Log) -> None:
        self.node = node
        self.log = log
        self.tabs: dict[str, Browser] = {}
        self._numbers = itertools.count(1)
        self._seqs = {name: itertools.count(1) for name in OWNERS}

    def dice(self, entity: str, purpose: str) -> random.Random:
        return stream(engine().seed, entity, purpose)

    async def on_node(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Do it in the node's process."""
        return await engine().net.host(NODE).create_task(doing)

    async def stops(self) -> None:
        await self.on_node(self.node.stop())

    def left(self) -> dict[str, int]:
        """What is still in the node's tables, of which nothing may be when all have left."""
        tables = self.node.statistics()["tables"]
        return {name: tables[name] for name in MUST_BE_EMPTY if tables[name]}

    def opens(self, client: str, *uploads: str, at: str = NODE) -> Browser:
        """A tab opens at a node, and subscribes once, when it is let in for the first time."""
        asks = list(uploads)

        def ready(browser: Browser) -> None:
            while asks:
                browser.subscribe(UPLOADS[asks.pop(0)])

        loop = asyncio.get_running_loop()
        browser = self.tabs[client] = Browser(
            client,
            uri=parse_uri(self.node.url),
            token=lambda: self.node.authenticator.mint(USERS[client], 3600.0),
            dial=lambda make: loop.create_connection(make, at, PORT),
            log=self.log,
            now=loop.time,
            dice=self.dice(client, "backoff"),
            numbers=self._numbers,
            backoff=SOON,
            on_ready=ready,
            node=lambda: at,
        )

        async def open_it() -> None:
            browser.open()

        engine().net.host(client).create_task(open_it())
        return browser

    async def asked(self) -> None:
        """Some tab has sent its first subscribe."""
        happened = asyncio.Event()
        self.log.listen(lambda record: happened.set() if isinstance(record, Sent) else None)
        await happened.wait()

    async def publishes(self, name: str, *, percent: int = 0, ends: bool = False, text: str = "") -> None:
        """The next event of an upload, which is taken."""
        seq = next(self._seqs[name])
        said: dict[str, Any] = {"upload_id": UPLOADS[name], "number": seq, "version": (1, seq), "text": text}
        data = events.completed(**said) if ends else events.progress(percent=percent, **said)
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        receipt = await self.on_node(self.node.publish(Event.read(data, owner=OWNERS[name])))
        self.log.append(
            Published(
                at=loop.time(),
                scheduled_at=sent_at,
                sent_at=sent_at,
                upload_id=UPLOADS[name],
                action="upload_completed" if ends else "upload_progress",
                terminal=ends,
                stage=None if ends else "vision_analysis",
                percent=None if ends else percent,
                size_bytes=len(data),
                verdict=receipt.verdict.value,
                attempt=1,
                seq=seq,
            )
        )

    def states_of(self, client: str, name: str) -> list[tuple[int, bool]]:
        """What a tab was shown of an upload: the number of each event, and whether it was the end."""
        return [
            (record.seq or 0, record.terminal)
            for record in self._records(client, Received)
            if record.is_state and record.upload_id == UPLOADS[name]
        ]

    def answers_to(self, client: str) -> list[str]:
        """What a tab was told, by action, pings left out."""
        return [record.action for record in self._records(client, Received) if record.action != "ping"]

    def codes_of(self, client: str) -> list[int]:
        """How its connections ended."""
        return [record.code for record in self._records(client, Closed)]

    def _records(self, client: str, kind: type[Any]) -> list[Any]:
        numbers = {record.connection for record in self.log if isinstance(record, Opened) and record.client == client}
        return [record for record in self.log if isinstance(record, kind) and record.connection in numbers]

    def measure(self) -> None:
        self.log.append(Measured(asyncio.get_running_loop().time(), self.node.statistics()["tables"]))

    async def ends(self) -> None:
        """Everything arrives, everybody leaves, and the grace time passes."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(PASSES_S)
        self.measure()
        self.log.append(Settled(loop.time()))
        for browser in self.tabs.values():
            browser.leave()
        for browser in self.tabs.values():
            await browser.gone
        await asyncio.sleep(self.node.limits.grace_s + PASSES_S)
        self.log.append(Emptied(loop.time(), self.node.statistics()["tables"]))

    def judged(self) -> list[Finding]:
        return check_laws(History(self.log))


@asynccontextmanager
async def opened(
    *, make_broker: MakeBroker = memory, slow: Mapping[str, float] | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    """A node that is ready, and that is told to stop at the end. Half of the seeds have a network that takes no time, so that
    all that happens happens at once; in the others each packet takes its own.

    Args:
        slow: the clients that read slowly, with when they read all that comes again.
    """
    slow = slow or {}
    loop = asyncio.get_running_loop()
    net = engine().net
    net.set_flow_control()
    if stream(engine().seed, "network", "latency").random() < 0.5:
        net.set_defaults(latency=(0.001, 0.03))
    clock = VirtualClock(loop)
    given = {"secret": SECRET, "access": "owner", "grace_s": 3.0, "drain_s": 1.0, **settings}
    made = Settings(port=0, control_port=0, **given)
    log = Log()
    log.append(
        Began(
            scenario="second engine",
            seed=engine().seed,
            access="owner",
            grace_s=made.grace_s,
            uploads_per_user_max=made.uploads_per_user_max,
            waiting_bytes_max=Rules.of(made, "owner").waiting_bytes_max,
            uploads={UPLOADS[name]: UploadFacts(name, owner, ends=True) for name, owner in OWNERS.items()},
            clients={
                client: ClientFacts(user, list(UPLOADS.values()), client in slow, slow.get(client))
                for client, user in USERS.items()
            },
        )
    )

    node = await net.host(NODE).create_task(started(made, lambda: make_broker(clock, made), clock))
    stage = Stage(node, log)
    try:
        yield stage
    finally:
        for browser in stage.tabs.values():
            browser.cut()
        await stage.stops()


async def started(settings: Settings, make_broker: Callable[[], Broker], clock: VirtualClock) -> Gateway:
    """A node, on the host that this runs on."""
    node = Gateway(settings, secret=SECRET, broker=make_broker(), clock=clock, dice=random.Random(engine().seed))
    await node.start(opens=_listen)
    return node


async def _listen(make: Callable[[], asyncio.Protocol], host: str, port: int) -> tuple[asyncio.AbstractServer, tuple[str, int]]:
    server = await asyncio.get_running_loop().create_server(make, host, PORT)
    return server, (host, PORT)


def at(seconds: float, doing: Callable[[], Awaitable[None] | None]) -> Awaitable[None]:
    """Do it then, counted from now."""

    async def wait() -> None:
        await asyncio.sleep(seconds)
        awaited = doing()
        if awaited is not None:
            await awaited

    return wait()
