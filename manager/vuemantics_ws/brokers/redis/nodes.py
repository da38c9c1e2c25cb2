"""Who else is around the same Redis, and what they say when they are asked.

Nodes are told something on one channel of all, and each on one of its own. A message is a word and what belongs to it:
``hello ID`` and ``goodbye ID`` say that something about that node has changed; ``ask`` has a question, ``answer`` what a node
says to it, on the channel of whoever asked. PUBLISH counts who is told, so nobody waits for more answers than there can be.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from vuemantics_ws.ambient import Clock
from vuemantics_ws.brokers.nodes import About, Answers, Handler
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.subscriptions import Subscriptions
from vuemantics_ws.errors import BrokerAway, VuemanticsError

logger = logging.getLogger(__name__)

PRESENCE = Script("presence")

PRESENT_S = 15.0
"""For so long after it was last heard a node counts as present."""

RENEWED_S = 5.0
"""How often a node says that it is there, and learns who else is."""

AWAY_S = 1.0
"""How often it tries while Redis is away."""

ASK_TIMEOUT_S = 1.0
"""How long answers are waited for. A node that gets a question gives up answering after the same time."""

SUFFICES_S = 0.1
"""After so long it suffices that all have answered who are present: somebody else who was told may never do it."""

GOODBYE_TIMEOUT_S = 0.8

QUESTIONS_MAX = 64
"""So many are answered at once. Whoever asks more gets no answer, as from a node that is gone."""

ANSWER_BYTES_MAX = 2 * 1024 * 1024
"""A connection ends that brings much more at once."""


class _Question(msgspec.Struct):
    number: int
    asker: str
    question: str
    arguments: dict[str, Any]
    timeout_s: float


class _Answer(msgspec.Struct):
    number: int
    node_id: str
    name: str
    answer: dict[str, Any] | None


class _Present(msgspec.Struct):
    """What a node said of itself, and when it was heard, by our monotonic clock."""

    about: dict[str, Any]
    heard_at: float


class _Asked:
    """A question of ours. It is whole when as many have answered as were told, or all of those who suffice."""

    def __init__(self) -> None:
        self.answers: list[_Answer] = []
        self.whole = asyncio.Event()
        self._heard = 0
        self._told: int | None = None
        self._enough: set[str] | None = None

    async def wait(self, told: int, enough: Collection[str]) -> None:
        """``told`` is how many were; of those who are ``enough`` the ids."""
        self._told = told
        self._look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUFFICES_S):
                await self.whole.wait()
        self._enough = set(enough)
        self._look()
        await self.whole.wait()

    def hear(self, answer: _Answer | None) -> None:
        """None is ourselves: we are told what we ask, too."""
        self._heard += 1
        if answer is not None:
            self.answers.append(answer)
        self._look()

    def _look(self) -> None:
        all_told = self._told is not None and self._heard >= self._told
        if all_told or (self._enough is not None and self._enough <= {answer.node_id for answer in self.answers}):
            self.whole.set()


class _Ear:
    """Hears one of the channels."""

    def __init__(self, nodes: "RedisNodes") -> None:
        self._nodes = nodes

    def on_message(self, payload: bytes) -> None:
        self._nodes.hear(payload)

    def on_subscribed(self) -> None:
        self._nodes.changed()


class RedisNodes:
    """The nodes around one Redis, for a :class:`vuemantics_ws.brokers.nodes.Nodes`.

    Args:
        node_id: of this process, new at each start.
    """

    def __init__(self, commands: Commands, subscriptions: Subscriptions, keys: Keys, *, node_id: str, clock: Clock) -> None:
        self.node_id = node_id
        self._commands = commands
        self._subscriptions = subscriptions
        self._keys = keys
        self._clock = clock
        self._about: About = dict  # nothing, before it is introduced
        self._handlers: Mapping[str, Handler] = {}
        self._others: dict[str, _Present] = {}
        self._asked: dict[int, _Asked] = {}
        self._numbers = 0
        self._answering: dict[asyncio.Task[None], None] = {}
        self._changed = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def introduce(self, about: About, handlers: Mapping[str, Handler]) -> None:
        self._about, self._handlers = about, handlers

    def start(self) -> None:
        """Listen, and begin to be present. Needs a running loop."""
        self._subscriptions.subscribe(self._keys.nodes_channel, _Ear(self))
        self._subscriptions.subscribe(self._keys.node_channel(self.node_id), _Ear(self))
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Say goodbye, where that can be said, and answer nothing any more."""
        tasks = [*self._answering, *([self._keeping] if self._keeping is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._keeping is None:
            return
        self._keeping = None
        for channel in (self._keys.nodes_channel, self._keys.node_channel(self.node_id)):
            self._subscriptions.unsubscribe(channel)
        with contextlib.suppress(BrokerAway, TimeoutError):
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):
                await self._commands.execute("HDEL", self._keys.nodes, self.node_id)
                await self._tell(b"goodbye " + self.node_id.encode())

    # What others are told, and tell.

    def changed(self) -> None:
        self._changed.set()

    def others(self) -> list[dict[str, Any]]:
        now = self._clock.monotonic()
        self._others = {id_: other for id_, other in self._others.items() if now - other.heard_at < PRESENT_S}
        return [
            {**other.about, "id": node_id, "seen_s": round(max(0.0, now - other.heard_at), 3)}
            for node_id, other in self._others.items()
            if other.about
        ]

    def present(self) -> list[str]:
        """The ids of all nodes that are there as far as this one knows, its own first."""
        now = self._clock.monotonic()
        return [self.node_id, *(id_ for id_, other in self._others.items() if now - other.heard_at < PRESENT_S)]

    async def ask(self, question: str, arguments: dict[str, Any], *, node_id: str | None = None) -> Answers:
        self._numbers += 1
        asked = self._asked[self._numbers] = _Asked()
        said = _Question(self._numbers, self.node_id, question, arguments, ASK_TIMEOUT_S)
        to = self._keys.nodes_channel if node_id is None else self._keys.node_channel(node_id)
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                told = await self._commands.publish(to, b"ask " + msgspec.json.encode(said))
                await asked.wait(told, [other["id"] for other in self.others()] if node_id is None else [node_id])
        except (BrokerAway, TimeoutError):
            pass  # whoever has not answered is missing, for whatever reason
        finally:
            del self._asked[said.number]
        asked.answers.sort(key=lambda answer: (answer.name, answer.node_id))
        useful = {answer.node_id: answer.answer for answer in asked.answers if answer.answer is not None}
        names = {answer.node_id: answer.name for answer in asked.answers if answer.name}
        names |= {other["id"]: other["name"] for other in self.others()}
        wanted = names if node_id is None else {node_id: names.get(node_id, node_id)}
        return Answers(list(useful.values()), [name for id_, name in wanted.items() if id_ not in useful])

    def hear(self, payload: bytes) -> None:
        """Something was told to all nodes, or to this one."""
        word, _, rest = payload.partition(b" ")
        try:
            if word == b"ask":
                self._hear_question(msgspec.json.decode(rest, type=_Question))
            elif word == b"answer":
                answer = msgspec.json.decode(rest, type=_Answer)
                if (asked := self._asked.get(answer.number)) is not None:
                    asked.hear(answer)
            elif word == b"goodbye":
                self._others.pop(rest.decode(), None)
            elif word == b"hello" and rest.decode() != self.node_id:
                self.changed()
        except (msgspec.DecodeError, UnicodeDecodeError):
            logger.warning("another node said something that cannot be read; is it of the same version?")

    def _hear_question(self, question: _Question) -> None:
        if question.asker == self.node_id:
            if (asked := self._asked.get(question.number)) is not None:
                asked.hear(None)
        elif len(self._answering) < QUESTIONS_MAX:
            answering = asyncio.get_running_loop().create_task(self._answer(question))
            self._answering[answering] = None
            answering.add_done_callback(self._answering.pop)

    async def _answer(self, question: _Question) -> None:
        name = str(self._about().get("name", ""))
        said = _Answer(question.number, self.node_id, name, await self._find_answer(question))
        encoded = msgspec.json.encode(said)
        if len(encoded) > ANSWER_BYTES_MAX:
            said.answer = None
            encoded = msgspec.json.encode(said)
        with contextlib.suppress(BrokerAway):
            await self._commands.publish(self._keys.node_channel(question.asker), b"answer " + encoded)

    async def _find_answer(self, question: _Question) -> dict[str, Any] | None:
        handler = self._handlers.get(question.question)
        if handler is None:
            return None
        try:
            async with asyncio.timeout(question.timeout_s):
                return await handler(question.arguments)
        except (VuemanticsError, TimeoutError):
            return None
        except Exception as error:  # noqa: BLE001 - the edge of a task
            logger.error("a fault of ours while another node was answered: %s", type(error).__name__)
            return None

    async def _keep(self) -> None:
        """Be present, for as long as this process is."""
        told = None
        while True:
            self._changed.clear()
            pause_s = RENEWED_S
            try:
                about = self._about()
                await self._renew(about)
                if (matters := (about.get("state"), about.get("adopts"))) != told:
                    told = matters
                    await self._tell(b"hello " + self.node_id.encode())
            except BrokerAway:
                pause_s = AWAY_S
            except Exception as error:  # noqa: BLE001 - the edge of a task: whoever is not renewed is no node to the others
                logger.error("a fault of ours while this node said that it is there: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()

    async def _renew(self, about: dict[str, Any]) -> None:
        arguments: list[bytes | int | float | str] = [self.node_id, round(PRESENT_S * 1000), msgspec.json.encode(about)]
        said = await self._commands.run(Call(PRESENCE, [self._keys.nodes], arguments))
        now = self._clock.monotonic()
        for node_id, age_ms, other in zip(said[::3], said[1::3], said[2::3], strict=True):
            if (id_ := node_id.decode()) != self.node_id:
                with contextlib.suppress(msgspec.DecodeError):
                    self._others[id_] = _Present(msgspec.json.decode(other, type=dict[str, Any]), now - age_ms / 1000)

    async def _tell(self, message: bytes) -> None:
        await self._commands.publish(self._keys.nodes_channel, message)
