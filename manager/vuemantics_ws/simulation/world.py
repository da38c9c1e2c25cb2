"""The real arm: a plan played over real sockets and in real time, against a node of its own or a server that runs already.

What happened is in the log; judging it is somebody else's. Whatever goes wrong, nothing is left behind: no process, no socket,
no folder.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from websockets.uri import parse_uri

from vuemantics_ws.ambient import Clock
from vuemantics_ws.client.control import Control
from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.browser.dialing import RECEIVE_BUFFER_BYTES, Dial, tcp
from vuemantics_ws.simulation.browser.link import through
from vuemantics_ws.simulation.browser.network import Network, worst_delay_s
from vuemantics_ws.simulation.browser.reconnecting import backoff_of
from vuemantics_ws.simulation.browser.script import WELL_BEHAVED
from vuemantics_ws.simulation.browser.tab import Browser
from vuemantics_ws.simulation.browser.tokens import Mint
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.judging.checkers import MUST_BE_EMPTY
from vuemantics_ws.simulation.judging.history import SOON_S, LiveHistory
from vuemantics_ws.simulation.log import Began, ClientFacts, Emptied, Log, Measured, NodeExited, Settled, UploadFacts
from vuemantics_ws.simulation.node import GATEWAY, Node
from vuemantics_ws.simulation.patience import closes_may_come_until_s, last_action_s, messages_may_come_until_s
from vuemantics_ws.simulation.planning.plan import Plan, PlannedClient
from vuemantics_ws.simulation.publishing import Publishing
from vuemantics_ws.simulation.site import Rules, Target, Tokens, rules_at, settings_of, signature_of, tokens_at
from vuemantics_ws.simulation.worker import Workers

QUIET_S = 1.25
"""How long nothing happens before the browsers leave: a little longer than what the laws call soon."""

MEASURE_EVERY_S = 0.25
LOOK_EVERY_S = 0.1
GOODBYES_S = 5.0
"""What the goodbyes of all browsers may take together."""

EMPTYING_MARGIN_S = 5.0
"""How much longer than the grace time the server's tables may take to become empty."""

FOREIGN_GRACE_S_MAX = 20.0
"""A longer grace time of a server that is not ours is not waited for."""

KEPT_FOR_GRACE = ("users", "uploads", "follows")


class World:
    """Plays one plan once, and records it. Must be made inside the loop that plays it.

    Args:
        log: where everything goes. It begins with a :class:`Began`, and ends with the exit of a node of ours.
        clock: for the timestamps of events, and for tokens; all waiting is the loop's.
        holds: asked once nothing is left to happen: whether what the file expects has come already. While it says no, the
            world waits for as long as the file's expectations allow.
        live: the history of the log, where somebody else needs it, too. It says what may still come.
        program: what a node of ours runs.
        target: a server that runs already. None starts a node for the run.
        stop: set it to let the run end before its time, in order.
        others_publish: of the plan's uploads others publish. All of its duration is played, since what they do is in no plan.
    """

    def __init__(
        self,
        plan: Plan,
        log: Log,
        *,
        clock: Clock,
        holds: Callable[[], bool],
        live: LiveHistory | None = None,
        program: Sequence[str] = GATEWAY,
        target: Target | None = None,
        stop: asyncio.Event | None = None,
        others_publish: bool = False,
    ) -> None:
        self._plan = plan
        self._log = log
        self._live = live or LiveHistory(log)
        self._program = program
        self._clock = clock
        self._holds = holds
        self._target = target
        self._stop = stop or asyncio.Event()
        self._others_publish = others_publish
        self._upload_ids = {upload.name: upload.upload_id for upload in plan.uploads}
        self._browsers: dict[str, Browser] = {}
        self._wanted: dict[str, list[str]] = {client.name: [] for client in plan.clients}
        """Of each client that is not ready yet: what it will ask for then."""
        self._numbers = itertools.count(1)
        self._timers: list[asyncio.TimerHandle] = []
        self._began_at = 0.0
        self._lag_s = 0.0
        """By how much this process was late at worst."""
        self._baseline: Measured | None = None
        """What was there before, of a server that is not ours."""
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Seconds since the scenario began."""
        return self._loop.time() - self._began_at

    async def play(self) -> None:
        """All of it; of a node of ours, from its start to its end.

        Raises:
            EnvironmentUnfit: the node does not start, or nobody answers at the target.
            BadSetting: a client shows a token that cannot be made.
            Refused: the target makes no tokens for us.
        """
        if self._target is not None:
            async with Control(self._target.control) as control:
                tokens = await tokens_at(self._target, control, self._plan, self._clock)
                rules = await rules_at(self._target, control, self._plan)
                statistics = await control.statistics()
                self._baseline = Measured(0.0, _numbers(statistics, "tables"), 0.0, _numbers(statistics, "counters"))
                await self._play_at(self._target, control, rules, tokens, None)
            return
        settings = settings_of(self._plan)
        async with Node(settings, program=self._program) as node, Control(node.control) as control:
            tokens = Tokens(Mint(signature_of(settings), self._clock))
            rules = Rules.of(settings, settings.resolved_access)
            dying = asyncio.ensure_future(node.wait())
            target = Target(node.url, node.control)
            playing = asyncio.ensure_future(self._play_at(target, control, rules, tokens, node))
            try:
                await asyncio.wait([dying, playing], return_when=asyncio.FIRST_COMPLETED)
                if dying.done() and not self._stopping:
                    self._log.append(NodeExited(self.now(), dying.result(), asked=False))
                else:
                    await playing
            finally:
                for task in (playing, dying):
                    task.cancel()
                await asyncio.wait([playing, dying])

    async def _play_at(self, target: Target, control: Control, rules: Rules, tokens: Tokens, node: Node | None) -> None:
        self._began_at = self._loop.time()
        self._log.append(replace(self._facts(rules), control=target.control))
        try:
            async with Workers(target.control) as workers:
                self._schedule(target.url, tokens)
                cut_short = await self._play(control, workers)
            self._log.append(Settled(self.now(), cut_short))
            await self._say_goodbyes()
            await self._wait_until_empty(control, rules.grace_s)
            if node is not None:
                self._stopping = True
                began_at = self.now()
                code = await node.stop()
                self._log.append(NodeExited(self.now(), code, asked=True, took_s=round(self.now() - began_at, 6)))
        finally:
            self._end_all()

    async def _play(self, control: Control, workers: Workers) -> bool:
        measuring = asyncio.ensure_future(self._measure(control))
        until = self._plan.scenario.duration
        publishing = [
            asyncio.ensure_future(Publishing(upload, workers, self._log, clock=self._clock, now=self.now, until=until).run())
            for upload in self._plan.uploads
            if upload.events
        ]
        ending = asyncio.ensure_future(self._until_nothing_is_left(publishing))
        stopping = asyncio.ensure_future(self._stop.wait())
        tasks: list[asyncio.Task[Any]] = [measuring, *publishing, ending, stopping]
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

    async def _until_nothing_is_left(self, publishing: "list[asyncio.Task[None]]") -> bool:
        """Whether the scenario's duration came first."""
        duration_s = self._plan.scenario.duration
        await self._until(duration_s if self._others_publish else last_action_s(self._plan))
        late = set[asyncio.Task[None]]()
        if publishing:
            _, late = await asyncio.wait(publishing, timeout=max(0.0, duration_s - self.now()))
        await self._until(self.now() + QUIET_S + self._lag_s)
        messages_until_s = messages_may_come_until_s(self._plan, self.now())
        while True:
            looked_at = self.now()
            until_s = closes_may_come_until_s(self._plan, self._live.history)
            if looked_at < messages_until_s and not self._holds():
                until_s = max(until_s, messages_until_s)
            if self.now() >= min(until_s, duration_s):
                break
            await self._until(self.now() + max(LOOK_EVERY_S, 10 * (self.now() - looked_at)))  # looking costs time, too
        return bool(late) or any(event.at_s > duration_s for upload in self._plan.uploads for event in upload.events[-1:])

    # The clients.

    def _schedule(self, url: str, tokens: Tokens) -> None:
        uri = parse_uri(url)
        near = tcp(uri)
        slow = tcp(uri, receive_buffer_bytes=RECEIVE_BUFFER_BYTES)
        for client in self._plan.clients:
            browser = Browser(
                client.name,
                uri=uri,
                token=tokens.of(client),
                dial=self._dial(client, near, slow),
                log=self._log,
                now=self.now,
                dice=stream(self._plan.seed, client.name, "reconnect"),
                numbers=self._numbers,
                backoff=backoff_of(client.reconnect),
                script=client.script or WELL_BEHAVED,
                on_ready=self._ready,
            )
            self._browsers[client.name] = browser
            self._at(client.join_s, browser.open)
            self._schedule_reading(client, browser)
            for subscribe in client.subscribes:
                self._at(subscribe.at_s, self._want, browser, self._upload_ids[subscribe.upload])
            if client.leave_s is not None:
                self._at(client.leave_s, browser.leave, client.leave_how)

    def _dial(self, client: PlannedClient, near: Dial, slow: Dial) -> Dial:
        if client.network is None:
            return near if client.reading is None else slow
        network = Network(client.network, seed=self._plan.seed, client=client.name)
        return through(network, slow, self.now)

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

    # The server.

    async def _measure(self, control: Control) -> None:
        while True:
            due_at = self.now() + MEASURE_EVERY_S
            await self._until(due_at)
            lag_s = self.now() - due_at
            self._lag_s = max(self._lag_s, lag_s)
            statistics = await _statistics(control)
            if statistics is not None:
                tables, counters = _numbers(statistics, "tables"), _numbers(statistics, "counters")
                self._log.append(Measured(self.now(), tables, round(lag_s, 6), counters))

    async def _wait_until_empty(self, control: Control, grace_s: float | None) -> None:
        """Look until the tables are empty, or for so long that they should be; what was seen last is what counts.

        Of a server that ran before, what counts is what was added to its tables since. Others may have come and gone
        meanwhile: the server's own count of connections tells, and then nothing is held against it. What a long grace time
        keeps, or one that is not known, is neither waited for nor counted.
        """
        waits_s = FOREIGN_GRACE_S_MAX if self._baseline is not None else math.inf
        forgets = grace_s is not None and grace_s <= waits_s
        until = self.now() + EMPTYING_MARGIN_S + (grace_s if grace_s is not None and forgets else 0.0)
        while True:
            statistics = await _statistics(control)
            if statistics is None:
                return
            tables = _numbers(statistics, "tables")
            others = False
            if self._baseline is not None:
                before = self._baseline.tables
                tables = {name: max(0, size - before.get(name, 0)) for name, size in tables.items() if name != "heads"}
                connects = _numbers(statistics, "counters").get("connects", 0) - self._baseline.counters.get("connects", 0)
                others = connects > self._live.history.joined
                if not forgets:
                    tables.update(dict.fromkeys(KEPT_FOR_GRACE, 0))
            is_late = self.now() >= until
            if is_late or not any(tables.get(name, 0) for name in MUST_BE_EMPTY):
                self._log.append(Emptied(self.now(), tables, others))
                return
            await self._until(self.now() + LOOK_EVERY_S)

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
            stall_after_s=settings_of(plan).stall_after_s,
            shared=self._target is not None,
            uploads={
                upload.upload_id: UploadFacts(upload.name, upload.owner, plan.will_end(upload), bool(upload.events))
                for upload in plan.uploads
            },
            clients={
                client.name: ClientFacts(
                    client.user,
                    [self._upload_ids[subscribe.upload] for subscribe in client.subscribes],
                    is_slow(client),
                    reads_again_at(client),
                )
                for client in plan.clients
            },
        )


def is_slow(client: PlannedClient) -> bool:
    """Whether nothing can be said of how soon it has what was sent to it."""
    return client.reading is not None or is_far(client)


def is_far(client: PlannedClient) -> bool:
    """Whether its network alone makes it late."""
    return client.network is not None and worst_delay_s(client.network) >= SOON_S


def reads_again_at(client: PlannedClient) -> float | None:
    """When one that only pauses reads again all that comes."""
    reading = client.reading
    if reading is None or reading.stop is None or reading.for_s is None or is_far(client):
        return None
    return client.join_s + reading.stop + reading.for_s


async def _statistics(control: Control) -> dict[str, Any] | None:
    """None where the server does not answer: that it is gone is noticed elsewhere."""
    try:
        return await control.statistics()
    except VuemanticsError:
        return None


def _numbers(statistics: dict[str, Any], name: str) -> dict[str, int]:
    """The tables or the counters. What is counted by kind gets names such as ``events.accepted``."""
    found: dict[str, int] = {}
    for key, value in statistics.get(name, {}).items():
        if isinstance(value, int):
            found[key] = value
        elif isinstance(value, dict):
            found.update({f"{key}.{kind}": count for kind, count in value.items() if isinstance(count, int)})
    return found
