"""How one node knows of the others around the simulated middle, and asks them something."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.nodes import About, Answers, Handler
from vuemantics_ws.errors import VuemanticsError
from vuemantics_ws.simulation.hub.asking import Asking
from vuemantics_ws.simulation.hub.middle import Middle, Peer
from vuemantics_ws.simulation.hub.store import PRESENT_S, RENEWED_S

logger = logging.getLogger(__name__)

AWAY_S = 1.0
"""How often it tries while the middle is away."""

ASK_TIMEOUT_S = 1.0
"""How long answers are waited for, and how long a node may take to answer."""


class _Other(NamedTuple):
    about: dict[str, Any]
    heard_at: float


class _Question:
    """One of ours. It is whole once all who were asked have answered."""

    def __init__(self, whole: "asyncio.Future[None]") -> None:
        self.whole = whole
        self.asked: list[str] | None = None
        self.answers: dict[str, tuple[str, bytes | None]] = {}

    def look(self) -> None:
        if self.asked is not None and all(node_id in self.answers for node_id in self.asked) and not self.whole.done():
            self.whole.set_result(None)


class SimulatedNodes:
    """A :class:`~vuemantics_ws.brokers.nodes.Nodes`. What nodes say of themselves and to each other travels as JSON."""

    def __init__(self, middle: Middle, peer: Peer, asking: Asking, clock: Clock) -> None:
        self.node_id = peer.node_id
        self._middle = middle
        self._peer = peer
        self._asking = asking
        self._clock = clock
        self._loop = middle.loop
        self._about: About = dict  # nothing, before it is introduced
        self._handlers: Mapping[str, Handler] = {}
        self._others: dict[str, _Other] = {}
        self._said: tuple[Any, Any] | None = None
        self._questions: dict[int, _Question] = {}
        self._number = 0
        self._answering: dict[asyncio.Task[None], None] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._is_renewing = False
        self._is_changed = False
        self._is_started = False

    def introduce(self, about: About, handlers: Mapping[str, Handler]) -> None:
        self._about, self._handlers = about, handlers

    def start(self) -> None:
        self._is_started = True
        self.changed()

    def stop(self) -> None:
        self._is_started = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._answering:
            task.cancel()

    def changed(self) -> None:
        """What this node says of itself is another thing: say it in the next turn of the loop, however often it changes."""
        if self._is_renewing:
            self._is_changed = True
        elif self._is_started and not self._is_changed:
            self._is_changed = True
            self._set_timer(0)

    def others(self) -> list[dict[str, Any]]:
        now = self._clock.monotonic()
        self._others = {id_: other for id_, other in self._others.items() if now - other.heard_at < PRESENT_S}
        return [
            {**other.about, "id": node_id, "seen_s": round(max(0.0, now - other.heard_at), 3)}
            for node_id, other in self._others.items()
        ]

    async def ask(self, question: str, arguments: dict[str, Any], *, node_id: str | None = None) -> Answers:
        self._number += 1
        number, asked = self._number, _Question(self._loop.create_future())
        self._questions[number] = asked
        said = msgspec.json.encode(arguments)
        asking = self._asking.ask(len(said), self._middle.ask, self._peer, node_id, number, question, said)
        asking.add_done_callback(lambda answered: self._were_asked(asked, answered))
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await asked.whole
        except TimeoutError:
            pass  # whoever has not answered is missing, for whatever reason
        finally:
            del self._questions[number]
        answers = sorted((name, id_, answer) for id_, (name, answer) in asked.answers.items())
        useful = {id_: msgspec.json.decode(answer) for _, id_, answer in answers if answer is not None}
        names = {id_: name for name, id_, _ in answers} | {other["id"]: other["name"] for other in self.others()}
        wanted = names if node_id is None else {node_id: names.get(node_id, node_id)}
        return Answers(list(useful.values()), [name for id_, name in wanted.items() if id_ not in useful])

    # What is heard.

    def gone(self, node_id: str) -> None:
        self._others.pop(node_id, None)

    def hear_question(self, asker: str, number: int, question: str, arguments: bytes) -> None:
        answering = self._loop.create_task(self._answer(asker, number, question, msgspec.json.decode(arguments)))
        self._answering[answering] = None
        answering.add_done_callback(lambda task: self._answering.pop(task, None))

    def hear_answer(self, number: int, node_id: str, name: str, answer: bytes | None) -> None:
        asked = self._questions.get(number)
        if asked is not None:
            asked.answers[node_id] = name, answer
            asked.look()

    def _were_asked(self, asked: _Question, answered: "asyncio.Future[list[str]]") -> None:
        asked.asked = answered.result() if answered.exception() is None else []
        asked.look()

    async def _answer(self, asker: str, number: int, question: str, arguments: dict[str, Any]) -> None:
        name, answer = str(self._about().get("name", "")), None
        handler = self._handlers.get(question)
        if handler is not None:
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    answer = msgspec.json.encode(await handler(arguments))
            except (VuemanticsError, TimeoutError):
                pass
            except Exception as error:  # noqa: BLE001 - the edge of a task
                logger.error("a fault of ours while another node was answered: %s", type(error).__name__)
        said = (self._peer, asker, number, name, answer)
        self._peer.sharing.ask(len(answer or b""), _nothing, self._middle.answer, *said)

    # Being there.

    def _renew(self) -> None:
        self._timer, self._is_changed, self._is_renewing = None, False, True
        about = self._about()
        said = msgspec.json.encode(about) if about else b""
        matters = about.get("state"), about.get("adopts")
        asking = self._asking.ask(len(said), self._middle.renew, self._peer, said)
        asking.add_done_callback(lambda answered: self._renewed(matters, answered))

    def _renewed(self, matters: tuple[Any, Any], answered: "asyncio.Future[list[tuple[str, float, bytes]]]") -> None:
        self._is_renewing = False
        if answered.exception() is not None:
            pause_s = AWAY_S
        else:
            now, pause_s = self._clock.monotonic(), RENEWED_S
            for node_id, age_s, about in answered.result():
                self._others[node_id] = _Other(msgspec.json.decode(about), now - age_s)
            if matters != self._said:
                self._said = matters
                self._peer.sharing.ask(0, _nothing, self._middle.greet, self._peer)
        if self._is_started:
            self._set_timer(0 if self._is_changed and pause_s == RENEWED_S else pause_s)

    def _set_timer(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._renew) if delay_s else self._loop.call_soon(self._renew)


def _nothing(answer: object) -> None:
    """Nobody waits for it."""
