"""Two small worlds in which every law has something to hold for, and what it takes to play them on a node that is broken."""

import asyncio
import textwrap
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import Began, Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.playing.world import World
from vuemantics_ws.simulation.real.dialing import tcp
from vuemantics_ws.simulation.real.node import GATEWAY
from vuemantics_ws.simulation.real.system import RealSystem
from vuemantics_ws.simulation.site import Rules
from vuemantics_ws.simulation.system import System

BROKEN_NODE = ("-m", "tests.simulation.judging.broken_node")
"""It has to find the tests: ``PYTHONPATH`` must say where."""

PLAY_TIMEOUT_S = 40.0
RECEIVE_BUFFER_BYTES = 2_048
"""Of a tab that reads slowly: so little that its server soon has to wait."""


class Act(NamedTuple):
    """What a tab does beside what the file says: ``gives up UPLOAD``, ``stops reading`` or ``reads on``."""

    at_s: float
    client: str
    does: str


class SmallWorld(NamedTuple):
    body: str
    acts: tuple[Act, ...]


HOUSEHOLD = SmallWorld(
    """\
    server: {config: {grace: 600ms, drain: 0, ping_interval: 200ms}}
    users: {alice: {}, bob: {}, carol: {}}
    uploads:
      - {id: cat, owner: alice, start: 150ms, pipeline: [{stage: queued, for: 200ms, steps: 4}, {stage: indexing, for: 700ms}]}
      - id: dog
        owner: alice
        start: 100ms
        pipeline: [{stage: queued, for: 100ms, steps: 2}, {stage: indexing, for: 400ms, steps: 8}]
        regenerate: {after: 150ms}
      - {id: owl, owner: carol, start: 250ms, pipeline: [{stage: queued, for: 350ms, steps: 7}], outcome: stalled@queued}
    clients:
      - {id: desk, user: alice, subscribe: [cat, dog]}
      - {id: phone, user: alice, join: 400ms, subscribe: none}
      - {id: tablet, user: bob, join: 300ms, subscribe: [dog]}
      - {id: nest, user: carol, join: 200ms, subscribe: [owl], leave: {after: 700ms}}
      - {id: again, user: carol, join: 1050ms, subscribe: none}
    """,
    (Act(0.75, "phone", "gives up cat"),),
)
"""Alice's two tabs, of which one comes late and gives up the cat; bob, who asks for what is hers; carol, who comes back."""

SLOW_READER = SmallWorld(
    """\
    server:
      config:
        {grace: 0, drain: 0, write_buffer_bytes_max: 1KiB, write_bytes_max: 1KiB, unsent_bytes_max: 1KiB, reply_bytes_max: 1KiB,
         direct_bytes_max: 1KiB}
    users: {alice: {}}
    uploads:
      - {id: film, owner: alice, start: 400ms, pipeline: [{stage: queued, for: 1500ms, steps: 150}]}
    clients:
      - {id: slow, user: alice, subscribe: [film]}
      - {id: fast, user: alice, subscribe: [film]}
    """,
    (Act(0.35, "slow", "stops reading"), Act(2.0, "slow", "reads on")),
)
"""A tab that takes nothing for two seconds, while a sibling reads."""


async def play(world: SmallWorld, *, fault: str | None = None) -> Report:
    """Play it on a node that has the fault, or on one that has none, and judge it."""
    plan = make_plan(parse_scenario(_HEAD + textwrap.dedent(world.body), file="small.yaml", environment={}), 1)
    log = Log()
    program = GATEWAY if fault is None else (*BROKEN_NODE, fault)
    clock = SystemClock()

    def make_system(now: Callable[[], float]) -> RealSystem:
        return RealSystem(plan, log, now=now, clock=clock, program=program)

    acting = _Acting(plan, make_system, log, clock=clock, holds=lambda: True)
    acting.acts = world.acts
    await asyncio.wait_for(acting.play(), PLAY_TIMEOUT_S)
    return judge_run(plan, log)


_HEAD = "version: 1\nname: small\ndescription: A small world.\nduration: 6s\n"


class _Acting(World):
    """A world whose tabs act. Whoever stops reading is one that reads slowly, to the laws too."""

    acts: tuple[Act, ...] = ()

    def _schedule(self, system: System) -> None:
        super()._schedule(system)
        for act in self.acts:
            browser = self._browsers[act.client]
            if act.does == "stops reading":
                browser._dial = tcp(browser._uri, receive_buffer_bytes=RECEIVE_BUFFER_BYTES)
                self._at(act.at_s, browser.pause_reading)
            elif act.does == "reads on":
                self._at(act.at_s, browser.resume_reading)
            else:
                self._at(act.at_s, browser.unsubscribe, self._upload_ids[act.does.removeprefix("gives up ")])

    def _facts(self, rules: Rules) -> Began:
        facts = super()._facts(rules)
        again = {act.client: act.at_s for act in self.acts if act.does == "reads on"}
        clients = {
            name: msgspec.structs.replace(client, reads_slowly=name in again, reads_again_at=again.get(name))
            for name, client in facts.clients.items()
        }
        return msgspec.structs.replace(facts, clients=clients)
