"""The real arm: a plan played against a node of its own, over real sockets and in real time.

What happened is in the log; judging it is somebody else's. Whatever goes wrong, nothing is left behind: no process, no socket,
no folder.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from datetime import datetime

from websockets.uri import parse_uri

from vuemantics_ws.ambient import Clock, timestamp
from vuemantics_ws.client.control import Control
from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.browser import Browser
from vuemantics_ws.simulation.checkers import MUST_BE_EMPTY
from vuemantics_ws.simulation.dialing import tcp
from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.log import (
    Began,
    ClientFacts,
    Emptied,
    Log,
    Measured,
    NodeExited,
    Published,
    Settled,
    UploadFacts,
)
from vuemantics_ws.simulation.node import GATEWAY, Node
from vuemantics_ws.simulation.pipeline import completed_event, failed_event, progress_event
from vuemantics_ws.simulation.plan import Plan, PlannedUpload
from vuemantics_ws.simulation.reconnecting import backoff_of
from vuemantics_ws.simulation.schedule import PlannedEvent
from vuemantics_ws.simulation.worker import Workers

QUIET_S = 1.25
"""How long nothing happens before the browsers leave: a little longer than what the laws call soon."""

MEASURE_EVERY_S = 0.25
LOOK_EVERY_S = 0.1
GOODBYES_S = 5.0
"""What the goodbyes of all browsers may take together."""

EMPTYING_MARGIN_S = 5.0
"""How much longer than the grace time the server's tables may take to become empty."""

TOKEN_TTL_S = 86_400.0


def settings_of(plan: Plan) -> Settings:
    """How the node of a plan is set up: in development mode, on ports of its own, with the file's settings."""
    config = {"access": "owner", "log_level": "warning", **plan.scenario.server.config}
    settings = Settings.from_mapping(config)
    return dataclasses.replace(settings, port=0, control_port=0)


class World:
    """Plays one plan once, and records it. Must be made inside the loop that plays it.

    Args:
        log: where everything goes. It begins with a :class:`Began`, and ends with the node's exit.
        clock: for the timestamps of events; all waiting is the loop's.
        holds: asked once nothing is left to happen: whether what the file expects has come already. While it says no, the
            world waits for as long as the file's expectations allow.
        program: what its node runs.
    """

    def __init__(
        self, plan: Plan, log: Log, *, clock: Clock, holds: Callable[[], bool], program: Sequence[str] = GATEWAY
    ) -> None:
        self._plan = plan
        self._program = program
        self._log = log
        self._clock = clock
        self._holds = holds
        self._settings = settings_of(plan)
        self._upload_ids = {upload.name: upload.upload_id for upload in plan.uploads}
        self._browsers: dict[str, Browser] = {}
        self._wanted: dict[str, list[str]] = {client.name: [] for client in plan.clients}
        """Of each client that has not authenticated yet: what it will ask for then."""
        self._numbers = itertools.count(1)
        self._timers: list[asyncio.TimerHandle] = []
        self._began_at = 0.0
        self._lag_s = 0.0
        """By how much this process was late at worst."""
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Seconds since the scenario began."""
        return self._loop.time() - self._began_at

    async def play(self) -> None:
        """All of it, from the node's start to its end.

        Raises:
            EnvironmentUnfit: the node does not start.
        """
        async with (
            Node(self._settings, program=self._program) as node,
            Control(node.control) as control,
            Workers(node.control) as workers,
        ):
            tokens = {user: (await control.token(user, ttl_s=TOKEN_TTL_S)).token for user in self._plan.users}
            self._began_at = self._loop.time()
            self._log.append(self._facts())
            self._schedule(node, tokens)
            dying = asyncio.ensure_future(node.wait())
            playing = asyncio.ensure_future(self._play(node, control, workers))
            try:
                await asyncio.wait([dying, playing], return_when=asyncio.FIRST_COMPLETED)
                if dying.done() and not self._stopping:
                    self._log.append(NodeExited(self.now(), dying.result(), asked=False))
                else:
                    await playing
            finally:
                self._end_all()
                for task in (playing, dying):
                    task.cancel()
                await asyncio.wait([playing, dying])

    async def _play(self, node: Node, control: Control, workers: Workers) -> None:
        measuring = asyncio.ensure_future(self._measure(control))
        publishing = [asyncio.ensure_future(self._publish_all(upload, workers)) for upload in self._plan.uploads]
        try:
            cut_short = await self._until_nothing_is_left(publishing)
        finally:
            for task in (measuring, *publishing):
                task.cancel()
            await asyncio.wait([measuring, *publishing])
        for task in (measuring, *publishing):
            if not task.cancelled():
                task.result()  # a fault of ours must not pass for a quiet worker
        self._log.append(Settled(self.now(), cut_short))
        await self._say_goodbyes()
        await self._wait_until_empty(control)
        self._stopping = True
        self._log.append(NodeExited(self.now(), await node.stop(), asked=True))

    async def _until_nothing_is_left(self, publishing: "list[asyncio.Task[None]]") -> bool:
        """Whether the scenario's duration came first."""
        duration_s = self._plan.scenario.duration
        await self._until(self._plan.last_action_s)
        late = set[asyncio.Task[None]]()
        if publishing:
            _, late = await asyncio.wait(publishing, timeout=max(0.0, duration_s - self.now()))
        await self._until(self.now() + QUIET_S + self._lag_s)
        patient_until = self.now() + _patience_s(self._plan)
        while self.now() < patient_until:
            looked_at = self.now()
            if self._holds():
                break
            await self._until(self.now() + max(LOOK_EVERY_S, 10 * (self.now() - looked_at)))  # looking costs time, too
        return bool(late) or any(event.at_s > duration_s for upload in self._plan.uploads for event in upload.events[-1:])

    # The clients.

    def _schedule(self, node: Node, tokens: dict[str, str]) -> None:
        uri = parse_uri(node.url)
        dial = tcp(uri)
        for client in self._plan.clients:
            browser = Browser(
                client.name,
                uri=uri,
                token=tokens[client.user],
                dial=dial,
                log=self._log,
                now=self.now,
                dice=stream(self._plan.seed, client.name, "reconnect"),
                numbers=self._numbers,
                backoff=backoff_of(client.reconnect),
                on_authenticated=self._authenticated,
            )
            self._browsers[client.name] = browser
            self._at(client.join_s, browser.open)
            for subscribe in client.subscribes:
                self._at(subscribe.at_s, self._want, browser, self._upload_ids[subscribe.upload])
            if client.leave_s is not None:
                self._at(client.leave_s, browser.leave, client.leave_how)

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

    def _authenticated(self, browser: Browser) -> None:
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

    # The workers.

    async def _publish_all(self, upload: PlannedUpload, workers: Workers) -> None:
        for event in upload.events:
            if event.at_s > self._plan.scenario.duration:
                return
            await self._until(event.at_s)
            await self._publish(upload, event, workers)

    async def _publish(self, upload: PlannedUpload, event: PlannedEvent, workers: Workers) -> None:
        said = event_bytes(upload, event, timestamp(self._clock))
        sent_at = self.now()
        verdict = attempt = seq = problem = None
        try:
            receipt = await workers.publish(said, owner=upload.owner if upload.versioned else None)
            verdict, attempt, seq = receipt.verdict, receipt.attempt, receipt.seq
        except VuemanticsError as error:
            problem = error.message
        self._log.append(
            Published(
                at=self.now(),
                scheduled_at=event.at_s,
                sent_at=sent_at,
                upload_id=upload.upload_id,
                action=event.action,
                terminal=event.action != "upload_progress",
                stage=event.stage.value,
                percent=event.percent,
                size_bytes=len(said),
                verdict=verdict,
                attempt=attempt,
                seq=seq,
                error=problem,
            )
        )

    # The server.

    async def _measure(self, control: Control) -> None:
        while True:
            due_at = self.now() + MEASURE_EVERY_S
            await self._until(due_at)
            lag_s = self.now() - due_at
            self._lag_s = max(self._lag_s, lag_s)
            tables = await _tables(control)
            if tables is not None:
                self._log.append(Measured(self.now(), tables, round(lag_s, 6)))

    async def _wait_until_empty(self, control: Control) -> None:
        """Look until the tables are empty, or for so long that they should be; what was seen last is what counts."""
        until = self.now() + self._settings.grace_s + EMPTYING_MARGIN_S
        while True:
            tables = await _tables(control)
            if tables is None:
                return
            is_late = self.now() >= until
            if is_late or not any(tables.get(name, 0) for name in MUST_BE_EMPTY):
                self._log.append(Emptied(self.now(), tables))
                return
            await self._until(self.now() + LOOK_EVERY_S)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.now()))

    def _facts(self) -> Began:
        plan, settings = self._plan, self._settings
        handed_over_bytes_max = settings.write_buffer_bytes_max + settings.write_bytes_max
        return Began(
            scenario=plan.scenario.name,
            seed=plan.seed,
            access=settings.resolved_access,
            grace_s=settings.grace_s,
            uploads_per_user_max=settings.uploads_per_user_max,
            waiting_bytes_max=settings.reply_bytes_max + settings.direct_bytes_max + handed_over_bytes_max,
            uploads={
                upload.upload_id: UploadFacts(upload.name, upload.owner, plan.will_end(upload)) for upload in plan.uploads
            },
            clients={
                client.name: ClientFacts(client.user, [self._upload_ids[subscribe.upload] for subscribe in client.subscribes])
                for client in plan.clients
            },
        )


def event_bytes(upload: PlannedUpload, event: PlannedEvent, when: datetime) -> bytes:
    """What a worker publishes: with a version, unless it is a plain one."""
    version = (event.attempt, event.seq) if upload.versioned else None
    if event.action == "upload_progress":
        return progress_event(upload.upload_id, event.stage, event.percent, when, version=version)
    if event.action == "upload_failed":
        return failed_event(upload.upload_id, when, reason=f"{event.stage} failed", version=version)
    return completed_event(upload.upload_id, when, description=f"A simulated upload named {upload.name}", version=version)


async def _tables(control: Control) -> dict[str, int] | None:
    """None where the server does not answer: that it is gone is noticed elsewhere."""
    try:
        statistics = await control.statistics()
    except VuemanticsError:
        return None
    return {name: size for name, size in statistics.get("tables", {}).items() if isinstance(size, int)}


def _patience_s(plan: Plan) -> float:
    """How long the file's expectations may take after the last thing that happens."""
    terminals = [expectation.terminal for expectation in plan.scenario.expect if expectation.terminal is not None]
    return max((terminal.within or 0.0 for terminal in terminals), default=0.0)
