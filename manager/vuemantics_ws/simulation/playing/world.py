"""A plan, played: tabs, workers and faults around a system of either arm.

What happened is in the log; judging it is somebody else's. Whatever goes wrong, nothing is left behind: no process, no socket,
no folder.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from websockets.uri import parse_uri

from vuemantics_ws.ambient import Clock
from vuemantics_ws.simulation.browser.reconnecting import backoff_of
from vuemantics_ws.simulation.browser.script import WELL_BEHAVED
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.networks import NetworkProfile
from vuemantics_ws.simulation.judging.disturbances import SOON_S
from vuemantics_ws.simulation.judging.history import LiveHistory
from vuemantics_ws.simulation.log import Began, ClientFacts, Log, Measured, Record, Settled, UploadFacts
from vuemantics_ws.simulation.network.lanes import Network, worst_delay_s
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient
from vuemantics_ws.simulation.playing.causing import Causing
from vuemantics_ws.simulation.playing.emptying import Emptying
from vuemantics_ws.simulation.playing.observing import Observing, numbers
from vuemantics_ws.simulation.playing.patience import closes_may_come_until_s, last_action_s, messages_may_come_until_s
from vuemantics_ws.simulation.playing.publishing import Publishers, Publishing
from vuemantics_ws.simulation.site import Rules
from vuemantics_ws.simulation.system import MakeSystem, System

QUIET_S = 1.25
"""How long nothing happens before the browsers leave: a little longer than what the laws call soon."""

LOOK_EVERY_S = 0.1

GOODBYES_S = 5.0
"""What the goodbyes of all browsers may take together."""


class World:
    """Plays one plan once, and records it. Must be made inside the loop that plays it.

    Args:
        make_system: makes what the plan is played against.
        log: where everything goes. It begins with a :class:`Began`, and ends with the exit of a node of ours.
        clock: for the timestamps of events; all waiting is the loop's.
        holds: asked once nothing is left to happen: whether what the file expects has come already. While it says no, the
            world waits for as long as the file's expectations allow.
        live: the history of the log, where somebody else needs it, too. It says what may still come.
        stop: set it to let the run end before its time, in order.
        others_publish: of the plan's uploads others publish. All of its duration is played, since what they do is in no plan.
    """

    def __init__(
        self,
        plan: Plan,
        make_system: MakeSystem,
        log: Log,
        *,
        clock: Clock,
        holds: Callable[[], bool],
        live: LiveHistory | None = None,
        stop: asyncio.Event | None = None,
        others_publish: bool = False,
    ) -> None:
        self._plan = plan
        self._make_system = make_system
        self._log = log
        self._live = live or LiveHistory(log)
        self._clock = clock
        self._holds = holds
        self._stop = stop or asyncio.Event()
        self._others_publish = others_publish
        self._upload_ids = {upload.name: upload.upload_id for upload in plan.uploads}
        self._browsers: dict[str, Browser] = {}
        self._wanted: dict[str, list[str]] = {client.name: [] for client in plan.clients}
        """Of each client that is not ready yet: what it will ask for then."""
        self._numbers = itertools.count(1)
        self._timers: list[asyncio.TimerHandle] = []
        self._began_at = 0.0
        self._networks: dict[str, Network] = {}
        """Of those clients that have one."""
        self._baseline: Measured | None = None
        """What was there before, of a server that is not ours."""
        self._has_news = False
        """Whether anything was written down since somebody looked, but that all is as it was."""
        self._measured: dict[str, tuple[object, object]] = {}
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Seconds since the scenario began."""
        return self._loop.time() - self._began_at

    async def play(self) -> None:
        """All of it; of nodes of ours, from their start to their end.

        Raises:
            EnvironmentUnfit, BadSetting, Refused: as entering a :class:`~vuemantics_ws.simulation.system.System` does.
        """
        self._log.listen(self._note)
        try:
            await self._play_somewhere()
        finally:
            self._log.unlisten(self._note)

    async def _play_somewhere(self) -> None:
        async with self._make_system(self.now) as system:
            if system.is_shared:
                said = await system.places[0].control.statistics()
                self._baseline = Measured(0.0, numbers(said, "tables"), 0.0, numbers(said, "counters"))
            dying = asyncio.ensure_future(system.died.wait())
            playing = asyncio.ensure_future(self._play_at(system))
            try:
                await asyncio.wait([dying, playing], return_when=asyncio.FIRST_COMPLETED)
                if not system.died.is_set():
                    await playing
            finally:
                for task in (playing, dying):
                    task.cancel()
                await asyncio.wait([playing, dying])

    async def _play_at(self, system: System) -> None:
        self._began_at = self._loop.time()
        first = system.places[0]
        names = tuple(place.name for place in system.places)
        self._log.append(replace(self._facts(system.rules), control=first.control_url, nodes=names))
        try:
            self._schedule(system)
            cut_short = await self._play(system)
            self._log.append(Settled(self.now(), cut_short))
            await self._say_goodbyes()
            emptying = Emptying(self._log, self._live.history, self._baseline, grace_s=system.rules.grace_s, now=self.now)
            await asyncio.gather(*(emptying.wait_for(place) for place in system.places if place.is_up))
            await asyncio.gather(*(system.stop(place) for place in system.places))
        finally:
            self._end_all()

    async def _play(self, system: System) -> bool:
        observing = Observing(self._plan, system, self._log, now=self.now)
        until = self._plan.scenario.duration
        tries_again = bool(self._plan.faults) or len(system.places) > 1
        publishers = Publishers(system.places, tries_again=tries_again, now=self.now, until=until)
        happening = [
            asyncio.ensure_future(
                Publishing(
                    upload,
                    publishers,
                    self._log,
                    plain=system.plain,
                    number=upload.number,
                    clock=self._clock,
                    now=self.now,
                    until=until,
                ).run()
            )
            for upload in self._plan.uploads
            if upload.events
        ]
        if self._plan.faults:
            causing = Causing(system, self._browsers, self._networks, self._log, now=self.now)
            happening.append(asyncio.ensure_future(causing.run(self._plan.faults)))
        ending = asyncio.ensure_future(self._until_nothing_is_left(happening, observing))
        stopping = asyncio.ensure_future(self._stop.wait())
        tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(observing.run()), *happening, ending, stopping]
        try:
            await asyncio.wait([ending, stopping], return_when=asyncio.FIRST_COMPLETED)
            cut_short = ending.result() if ending.done() else True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # a fault of ours must not pass for a quiet worker
        return cut_short

    async def _until_nothing_is_left(self, happening: "list[asyncio.Task[None]]", observing: Observing) -> bool:
        """Whether the scenario's duration came first."""
        duration_s = self._plan.scenario.duration
        await self._until(duration_s if self._others_publish else last_action_s(self._plan))
        late = set[asyncio.Task[None]]()
        if happening:
            left_s = max(0.0, duration_s - self.now())
            done, late = await asyncio.wait(happening, timeout=left_s, return_when=asyncio.FIRST_EXCEPTION)
            if any(task.exception() is not None for task in done):
                return True  # which is told at once: a fault that could not be ended goes on for ever
        quiet_s = QUIET_S + observing.lag_s
        await self._until(max(self.now() + quiet_s, self._live.history.due_by(self.now()) - SOON_S + quiet_s))
        messages_until_s, until_s = messages_may_come_until_s(self._plan, self.now()), 0.0
        self._has_news = True
        while True:
            looked_at = self.now()
            if self._has_news:
                self._has_news = False
                until_s = closes_may_come_until_s(self._plan, self._live.history)
                if looked_at < messages_until_s and not self._holds():
                    until_s = max(until_s, messages_until_s)
            if self.now() >= min(until_s, duration_s):
                break
            await self._until(self.now() + max(LOOK_EVERY_S, 10 * (self.now() - looked_at)))  # looking costs time, too
        return bool(late) or any(event.at_s > duration_s for upload in self._plan.uploads for event in upload.events[-1:])

    def _note(self, record: Record) -> None:
        if isinstance(record, Measured):
            said = (record.tables, record.counters)
            if self._measured.get(record.node) == said:
                return
            self._measured[record.node] = said
        self._has_news = True

    # The clients.

    def _schedule(self, system: System) -> None:
        uri = parse_uri(system.places[0].url)
        changes = frozenset[str]().union(*(fault.clients for fault in self._plan.faults if fault.do == "network.change"))
        for client in self._plan.clients:
            is_far = client.network is not None or client.name in changes
            network = None
            if is_far:
                profile = client.network or NetworkProfile()
                network = self._networks[client.name] = Network(profile, seed=self._plan.seed, client=client.name)
            route = system.route(client, slowly=is_far or client.reading is not None, network=network)
            browser = Browser(
                client.name,
                uri=uri,
                token=system.tokens.of(client),
                dial=route.dial,
                log=self._log,
                now=self.now,
                dice=stream(self._plan.seed, client.name, "reconnect"),
                numbers=self._numbers,
                backoff=backoff_of(client.reconnect),
                script=client.script or WELL_BEHAVED,
                on_ready=self._ready,
                node=lambda route=route: route.node,  # type: ignore[misc]
            )
            self._browsers[client.name] = browser
            self._at(client.join_s, browser.open)
            self._schedule_reading(client, browser)
            for subscribe in client.subscribes:
                self._at(subscribe.at_s, self._want, browser, self._upload_ids[subscribe.upload])
            if client.leave_s is not None:
                self._at(client.leave_s, browser.leave, client.leave_how)

    def _schedule_reading(self, client: PlannedClient, browser: Browser) -> None:
        reading = client.reading
        if reading is None:
            return
        browser.read_at(reading.rate)
        if reading.stop is not None:
            self._at(client.join_s + reading.stop, browser.pause_reading)
            if reading.for_s is not None:
                self._at(client.join_s + reading.stop + reading.for_s, browser.resume_reading)

    def _at(self, at_s: float, callback: Callable[..., object], *arguments: object) -> None:
        if at_s <= self._plan.scenario.duration:
            self._timers.append(self._loop.call_at(self._began_at + at_s, callback, *arguments))

    def _want(self, browser: Browser, upload_id: str) -> None:
        """The page wants to follow an upload. One that is still being opened asks when it has come so far."""
        waiting = self._wanted.get(browser.name)
        if waiting is None:
            browser.subscribe(upload_id)
        else:
            waiting.append(upload_id)

    def _ready(self, browser: Browser) -> None:
        for upload_id in self._wanted.pop(browser.name, ()):
            browser.subscribe(upload_id)

    async def _say_goodbyes(self) -> None:
        joined = [browser for browser in self._browsers.values() if browser.was_opened]
        for browser in joined:
            browser.leave("close")
        if joined:
            await asyncio.wait([browser.gone for browser in joined], timeout=GOODBYES_S)
        self._end_all()

    def _end_all(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for browser in self._browsers.values():
            browser.cut()

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.now()))

    def _facts(self, rules: Rules) -> Began:
        plan = self._plan
        return Began(
            scenario=plan.scenario.name,
            seed=plan.seed,
            access="open" if rules.access == "open" or self._others_publish else "owner",
            grace_s=rules.grace_s or 0.0,  # what is not known to last is not owed
            uploads_per_user_max=rules.uploads_per_user_max,
            waiting_bytes_max=rules.waiting_bytes_max,
            stall_after_s=rules.stall_after_s,
            shared=self._baseline is not None,
            uploads={
                upload.upload_id: UploadFacts(upload.name, upload.owner, plan.will_end(upload), bool(upload.events))
                for upload in plan.uploads
            },
            clients={
                client.name: ClientFacts(
                    client.user,
                    [self._upload_ids[subscribe.upload] for subscribe in client.subscribes],
                    is_slow(client, self._plan),
                    reads_again_at(client, self._plan),
                )
                for client in plan.clients
            },
        )


def is_slow(client: PlannedClient, plan: Plan) -> bool:
    """Whether nothing can be said of how soon it has what was sent to it."""
    return client.reading is not None or is_far(client, plan)


def is_far(client: PlannedClient, plan: Plan) -> bool:
    """Whether a network of its alone makes it late."""
    networks = [fault.network for fault in plan.faults if client.name in fault.clients]
    return any(worst_delay_s(network) >= SOON_S for network in (client.network, *networks) if network is not None)


def reads_again_at(client: PlannedClient, plan: Plan) -> float | None:
    """When one that only pauses reads again all that comes."""
    reading = client.reading
    if reading is None or reading.stop is None or reading.for_s is None or is_far(client, plan):
        return None
    return client.join_s + reading.stop + reading.for_s
