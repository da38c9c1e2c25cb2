"""What a run is played against: nodes of its own, with a Redis around which they are one, or a server that runs already."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from websockets.uri import WebSocketURI, parse_uri

from vuemantics_ws.client.control import Control
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.faults import REDIS
from vuemantics_ws.simulation.log import ONE, Log, NodeExited
from vuemantics_ws.simulation.network.dial import Dial
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient
from vuemantics_ws.simulation.real.dialing import RECEIVE_BUFFER_BYTES, tcp
from vuemantics_ws.simulation.real.faults.proxy import TcpProxy
from vuemantics_ws.simulation.real.faults.redis_process import RedisProcess
from vuemantics_ws.simulation.real.node import GATEWAY, Node
from vuemantics_ws.simulation.real.plain import SETTLES_S, PlainPublishers
from vuemantics_ws.simulation.real.worker import Workers
from vuemantics_ws.simulation.site import Target

PUBLISH_TIMEOUT_S = 3.0
"""How long a worker waits for one of several nodes before it tries another: longer than a node waits for Redis."""

ASK_TIMEOUT_S = 2.0


class Place:
    """One node, as clients, workers and observers reach it. ``node`` is None where its process is not ours.

    ``takes`` is what a load balancer knows: whether new connections are sent there.
    """

    def __init__(self, name: str, url: str, control_url: str, node: Node | None = None) -> None:
        self.name = name
        self.url = url
        self.control_url = control_url
        self.node = node
        self.takes = True
        self.is_up = True
        self.is_paused = False
        self.control = Control(control_url, timeout_s=ASK_TIMEOUT_S if node is not None else 10.0)
        self.workers = Workers(control_url, timeout_s=PUBLISH_TIMEOUT_S if node is not None else None)


class System:
    """All of it, ready between ``async with`` and its end. Whatever happens, no process is left behind.

    Args:
        settings: of each node.
        target: a server that runs already, in whose place no node is started.
        program: what a node of ours runs.
        now: seconds since the scenario began.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        log: Log,
        *,
        now: Callable[[], float],
        target: Target | None = None,
        program: Sequence[str] = GATEWAY,
    ) -> None:
        self.places: list[Place] = []
        self.redis: RedisProcess | None = None
        self.plain: PlainPublishers | None = None
        """How plain workers publish where there is a Redis."""
        self.to_redis: dict[str, TcpProxy] = {}
        """By node, where a fault parts them."""
        self.to_node: dict[tuple[str, str], TcpProxy] = {}
        """By node and entry of clients, where a fault parts them."""
        self.died = asyncio.Event()
        """A node has ended that nobody had told to."""
        self._plan = plan
        self._settings = settings
        self._log = log
        self._now = now
        self._target = target
        self._program = program
        self._all = AsyncExitStack()
        self._watching: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    def place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    # Starting and ending.

    async def _start(self) -> None:
        if self._target is not None:
            self.places = [Place(ONE, self._target.url, self._target.control)]
        else:
            if self._plan.needs_redis:
                self.redis = await self._all.enter_async_context(RedisProcess())
            names = [f"node:{number}" for number in range(self._plan.scenario.server.nodes)]
            nodes = [Node(await self._settings_of(name), program=self._program, name=name) for name in names]
            for node in nodes:
                self._all.push_async_exit(node)
            for outcome in await asyncio.gather(*(node.start() for node in nodes), return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            self.places = [Place(node.name, node.url, node.control, node) for node in nodes]
        for place in self.places:
            await self._all.enter_async_context(place.control)
            await self._all.enter_async_context(place.workers)
            self._watch(place)
        await self._start_proxies()
        if self.redis is not None and any(not upload.versioned for upload in self._plan.uploads):
            settles_s = SETTLES_S if any(fault.loses_data for fault in self._plan.faults) else 0.0
            plain = PlainPublishers(self.redis.port, redis_prefix=self._settings.redis_prefix, settles_s=settles_s)
            self.plain = await self._all.enter_async_context(plain)

    async def _settings_of(self, name: str) -> Settings:
        if self.redis is None:
            return self._settings
        url = self.redis.url
        if any(fault.node == name and fault.other == REDIS for fault in self._plan.faults):
            proxy = TcpProxy("127.0.0.1", self.redis.port, dice=stream(self._plan.seed, name, "proxy"))
            self.to_redis[name] = await self._all.enter_async_context(proxy)
            url = f"redis://127.0.0.1:{proxy.port}"
        return dataclasses.replace(self._settings, redis=url, node_name=name)

    async def _start_proxies(self) -> None:
        for fault in self._plan.faults:
            if fault.node is None or fault.other in (None, REDIS) or (fault.node, fault.other) in self.to_node:
                continue
            assert fault.other is not None
            host, port = _address(self.place(fault.node).url)
            proxy = TcpProxy(host, port, dice=stream(self._plan.seed, fault.other, "proxy"))
            self.to_node[fault.node, fault.other] = await self._all.enter_async_context(proxy)

    async def _end(self) -> None:
        for watching in self._watching.values():
            watching.cancel()
        if self._watching:
            await asyncio.wait(self._watching.values())
        await self._all.aclose()

    # What befalls nodes.

    def _watch(self, place: Place) -> None:
        if place.node is not None:
            place.is_up = place.takes = True
            self._watching[place.name] = asyncio.get_running_loop().create_task(self._wait_for_end(place, place.node))

    async def _wait_for_end(self, place: Place, node: Node) -> None:
        code = await node.wait()
        if place.is_up:
            place.is_up = place.takes = False
            self._log.append(NodeExited(self._now(), code, asked=False, node=place.name))
            self.died.set()

    async def stop(self, place: Place) -> int | None:
        """In order, as an operator does. Returns the exit code; None where it is not ours, or does not run."""
        if place.node is None or not place.is_up:
            return None
        place.is_up = place.takes = False
        began_at = self._now()
        code = await place.node.stop()
        took_s = round(self._now() - began_at, 6)
        self._log.append(NodeExited(self._now(), code, asked=True, took_s=took_s, node=place.name))
        return code

    async def kill(self, place: Place) -> int:
        assert place.node is not None
        place.is_up = place.takes = False
        code = await place.node.kill()
        self._log.append(NodeExited(self._now(), code, asked=True, node=place.name, killed=True))
        return code

    async def start(self, place: Place) -> None:
        """Start it again, where it was.

        Raises:
            EnvironmentUnfit: it does not start.
        """
        assert place.node is not None
        await place.node.start()
        self._watch(place)

    async def pause(self, place: Place) -> None:
        assert place.node is not None
        place.is_paused, place.takes = True, False
        await place.node.pause()

    def resume(self, place: Place) -> None:
        assert place.node is not None
        place.node.resume()
        place.is_paused, place.takes = False, place.is_up

    def heal(self) -> None:
        """Let everything go on that was held up."""
        for proxy in (*self.to_redis.values(), *self.to_node.values()):
            proxy.heal()
        for place in self.places:
            if place.is_paused:
                self.resume(place)
        if self.redis is not None and self.redis.is_running:
            self.redis.resume()

    # How clients reach it.

    def route(self, client: PlannedClient, number: int, uri: WebSocketURI, *, slowly: bool) -> "Route":
        """The way of one client to whichever node takes it. ``number`` spreads them out.

        Args:
            slowly: the kernel may hold little for it.
        """
        buffer_bytes = RECEIVE_BUFFER_BYTES if slowly else None
        ways = []
        for place in self.places:
            proxy = self.to_node.get((place.name, client.entry))
            by = ("127.0.0.1", proxy.port) if proxy is not None else _address(place.url)
            ways.append((place, tcp(uri, receive_buffer_bytes=buffer_bytes, by=by)))
        if client.node is not None:
            ways = [way for way in ways if way[0].name == client.node]
        first = number % len(ways)
        return Route([*ways[first:], *ways[:first]])


class Route:
    """Dials whichever node takes connections, as a load balancer does: always the same one first, and the next where it is
    refused. ``node`` is who took the newest.
    """

    def __init__(self, ways: Sequence[tuple[Place, Dial]]) -> None:
        self._ways = ways
        self.node = ways[0][0].name

    async def dial(self, make: Callable[[], asyncio.Protocol]) -> Any:
        refused = OSError("no node takes connections")
        for place, dial in sorted(self._ways, key=lambda way: not way[0].takes):
            try:
                self.node = place.name
                return await dial(make)
            except OSError as error:
                refused = error
        raise refused


def _address(url: str) -> tuple[str, int]:
    uri = parse_uri(url)
    return uri.host, uri.port
