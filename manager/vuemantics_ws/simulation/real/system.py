"""What a run is played against: nodes of its own, with a Redis around which they are one, or a server that runs already."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from websockets.uri import parse_uri

from vuemantics_ws.ambient import Clock
from vuemantics_ws.client.control import Control
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.faults import REDIS
from vuemantics_ws.simulation.log import ONE, Log, NodeExited
from vuemantics_ws.simulation.network.dial import RECEIVE_BUFFER_BYTES
from vuemantics_ws.simulation.network.lanes import Network
from vuemantics_ws.simulation.plain import PlainPublishers, settles_s
from vuemantics_ws.simulation.planning.faults import PlannedFault
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient
from vuemantics_ws.simulation.real.dialing import tcp
from vuemantics_ws.simulation.real.link import through
from vuemantics_ws.simulation.real.node import GATEWAY, Node
from vuemantics_ws.simulation.real.proxy import TcpProxy
from vuemantics_ws.simulation.real.redis_process import RedisProcess
from vuemantics_ws.simulation.real.worker import Workers
from vuemantics_ws.simulation.site import Rules, Target, rules_at, settings_of, tokens_at, tokens_for
from vuemantics_ws.simulation.system import ASK_TIMEOUT_S, MEASURE_EVERY_S, PUBLISH_TIMEOUT_S, Place, Route


class RealSystem:
    """All of it, ready between ``async with`` and its end. Whatever happens, no process is left behind.

    Args:
        clock: for tokens.
        target: a server that runs already, in whose place no node is started.
        program: what a node of ours runs.
        now: seconds since the scenario began.
    """

    def __init__(
        self,
        plan: Plan,
        log: Log,
        *,
        now: Callable[[], float],
        clock: Clock,
        target: Target | None = None,
        program: Sequence[str] = GATEWAY,
    ) -> None:
        self._settings = settings_of(plan)
        self.places: list[Place] = []
        self.redis: RedisProcess | None = None
        self.plain: PlainPublishers | None = None
        """How plain workers publish where there is a Redis."""
        self.tokens = tokens_for(self._settings, clock)
        self.rules = Rules.of(self._settings, self._settings.resolved_access)
        self.virtual_faults = None
        self.is_shared = target is not None
        self.measures_every_s = MEASURE_EVERY_S
        self._to_redis: dict[str, TcpProxy] = {}
        """By node, where a fault parts them."""
        self._to_node: dict[tuple[str, str], TcpProxy] = {}
        """By node and entry of clients, where a fault parts them."""
        self.died = asyncio.Event()
        """A node has ended that nobody had told to."""
        self._plan = plan
        self._clock = clock
        self._log = log
        self._now = now
        self._target = target
        self._program = program
        self._all = AsyncExitStack()
        self._nodes: dict[str, Node] = {}
        """By name; none where its process is not ours."""
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
            place, control = await self._add_place(ONE, self._target.url, self._target.control)
            self.tokens = await tokens_at(self._target, control, self._plan, self._clock)
            self.rules = await rules_at(self._target, control, self._plan)
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
            for node in nodes:
                self._nodes[node.name] = node
                place, _ = await self._add_place(node.name, node.url, node.control)
                self._watch(place)
        await self._start_proxies()
        if self.redis is not None and any(not upload.versioned for upload in self._plan.uploads):
            prefix, settles_for_s = self._settings.redis_prefix, settles_s(self._plan)
            plain = PlainPublishers("127.0.0.1", self.redis.port, redis_prefix=prefix, settles_s=settles_for_s)
            self.plain = await self._all.enter_async_context(plain)

    async def _add_place(self, name: str, url: str, control_url: str) -> tuple[Place, Control]:
        """Of one that is not ours, nobody knows how long it takes."""
        asks_for_s, publishes_for_s = (10.0, None) if self.is_shared else (ASK_TIMEOUT_S, PUBLISH_TIMEOUT_S)
        control = await self._all.enter_async_context(Control(control_url, timeout_s=asks_for_s))
        workers = await self._all.enter_async_context(Workers(control_url, timeout_s=publishes_for_s))
        place = Place(name, url, control_url, control, workers)
        self.places.append(place)
        return place, control

    async def _settings_of(self, name: str) -> Settings:
        if self.redis is None:
            return self._settings
        url = self.redis.url
        if any(fault.node == name and fault.other == REDIS for fault in self._plan.faults):
            proxy = TcpProxy("127.0.0.1", self.redis.port, dice=stream(self._plan.seed, name, "proxy"))
            self._to_redis[name] = await self._all.enter_async_context(proxy)
            url = f"redis://127.0.0.1:{proxy.port}"
        return dataclasses.replace(self._settings, redis=url, node_name=name)

    async def _start_proxies(self) -> None:
        for fault in self._plan.faults:
            if fault.node is None or fault.other in (None, REDIS) or (fault.node, fault.other) in self._to_node:
                continue
            assert fault.other is not None
            host, port = _address(self.place(fault.node).url)
            proxy = TcpProxy(host, port, dice=stream(self._plan.seed, fault.other, "proxy"))
            self._to_node[fault.node, fault.other] = await self._all.enter_async_context(proxy)

    async def _end(self) -> None:
        for watching in self._watching.values():
            watching.cancel()
        if self._watching:
            await asyncio.wait(self._watching.values())
        await self._all.aclose()

    # What befalls nodes.

    def _watch(self, place: Place) -> None:
        place.is_up = place.takes = True
        waiting = self._wait_for_end(place, self._nodes[place.name])
        self._watching[place.name] = asyncio.get_running_loop().create_task(waiting)

    async def _wait_for_end(self, place: Place, node: Node) -> None:
        code = await node.wait()
        if place.is_up:
            place.is_up = place.takes = False
            self._log.append(NodeExited(self._now(), code, asked=False, node=place.name))
            self.died.set()

    async def stop(self, place: Place) -> int | None:
        node = self._nodes.get(place.name)
        if node is None or not place.is_up:
            return None
        place.is_up = place.takes = False
        began_at = self._now()
        code = await node.stop()
        took_s = round(self._now() - began_at, 6)
        self._log.append(NodeExited(self._now(), code, asked=True, took_s=took_s, node=place.name))
        return code

    async def kill(self, place: Place) -> int:
        place.is_up = place.takes = False
        code = await self._nodes[place.name].kill()
        self._log.append(NodeExited(self._now(), code, asked=True, node=place.name, killed=True))
        return code

    async def start(self, place: Place) -> None:
        await self._nodes[place.name].start()
        self._watch(place)

    async def pause(self, place: Place) -> None:
        place.is_paused, place.takes = True, False
        await self._nodes[place.name].pause()

    def resume(self, place: Place) -> None:
        self._nodes[place.name].resume()
        place.is_paused, place.takes = False, place.is_up

    def heal(self) -> None:
        for proxy in (*self._to_redis.values(), *self._to_node.values()):
            proxy.heal()
        for place in self.places:
            if place.is_paused:
                self.resume(place)
        if self.redis is not None and self.redis.is_running:
            self.redis.resume()

    def barrier(self, fault: PlannedFault) -> TcpProxy:
        assert fault.node is not None
        assert fault.other is not None
        return self._to_redis[fault.node] if fault.other == REDIS else self._to_node[fault.node, fault.other]

    # How clients reach it.

    def route(self, client: PlannedClient, *, slowly: bool, network: Network | None = None) -> Route:
        uri = parse_uri(self.places[0].url)
        buffer_bytes = RECEIVE_BUFFER_BYTES if slowly else None
        ways = []
        for place in self.places:
            proxy = self._to_node.get((place.name, client.entry))
            by = ("127.0.0.1", proxy.port) if proxy is not None else _address(place.url)
            dial = tcp(uri, receive_buffer_bytes=buffer_bytes, by=by)
            ways.append((place, dial if network is None else through(network, dial, self._now)))
        return Route(client, ways)


def _address(url: str) -> tuple[str, int]:
    uri = parse_uri(url)
    return uri.host, uri.port
