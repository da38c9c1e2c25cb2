"""A Redis in memory answers as the real one does: the same random histories, asked of both by the same code.

A history is made of a seed; one that fails says which. Scripts are told the time: the real ones as an argument, those in memory
by a clock.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.brokers.redis.clocked import ClockedCommands
from tests.events import completed, failed, progress
from tests.memory_redis_server import MemoryRedisServer
from tests.redis_server import RedisServer
from tests.simulation.resp.listening import Line
from vuemantics_ws.brokers.redis.address import RedisAddress
from vuemantics_ws.brokers.redis.commands import Call, Commands, Script
from vuemantics_ws.brokers.redis.heads import Heads, Stored
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.core.upload import Event, Upload
from vuemantics_ws.messages import VERSION_NUMBER_MAX

STARTED_AT_S = 1_700_000_000.0
ROUNDS = 40
UPLOADS = ["u0", "u1", "u2"]
USERS = ["ann", "bob"]
NODES = [f"{number:08x}" for number in range(11)]
OWNERS = [None, None, "ann", "bob é"]
PAUSES_S = [0.0, 0.0, 0.0, 0.25, 5.0, 9.75, 10.0, 10.25, 15.0, 59.75, 60.0, 60.25]
LIVES_S = 150_000
"""Six digits of it, whatever a history takes."""

PRESENCE, USER, CANARY = Script("presence"), Script("user"), Script("canary")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def wall(self) -> float:
        return STARTED_AT_S + self.now_s


class Subject:
    """One of the two, and all that it said."""

    def __init__(self, commands: Commands, clock: Clock, keys: Keys, seed: int) -> None:
        self.commands = commands
        self.clock = clock
        self.keys = keys
        self.heads = Heads(commands, keys, head_ttl_s=LIVES_S, dice=random.Random(seed))
        self.said: list[Any] = []

    def set_clock(self, now_s: float) -> None:
        self.clock.now_s = now_s
        if isinstance(self.commands, ClockedCommands):
            self.commands.now_s = now_s


class History:
    """What happens in a round, drawn from the dice in the same way for each subject."""

    def __init__(self, subject: Subject, seed: int) -> None:
        self._subject = subject
        self._dice = random.Random(seed)
        self._round = 0
        self._floods = 0
        self._nodes = [{upload_id: Upload() for upload_id in UPLOADS} for _ in range(2)]
        """What two nodes have heard, each of it less than all."""

    async def live(self) -> None:
        now_s = 0.0
        acts = [self._publish] * 6 + [self._flood, self._reconcile, self._reconcile, self._read, self._renew]
        acts += [
            self._follow,
            self._follow,
            self._follow,
            self._be_present,
            self._be_present,
            self._fly_canary,
            self._lose,
            self._say,
        ]
        for self._round in range(ROUNDS):
            now_s += self._dice.choice(PAUSES_S) + self._dice.choice([0, 0.001, 0.000_001])
            self._subject.set_clock(now_s)
            self._subject.said.append(await self._dice.choice(acts)(now_s))
        await self._be_present(now_s)

    async def _publish(self, now_s: float) -> Any:
        return await self._subject.heads.publish_all([self._event(now_s) for _ in range(self._dice.randrange(1, 30))])

    def _event(self, now_s: float) -> Event:
        dice = self._dice
        upload_id, number = dice.choice(UPLOADS), dice.randrange(4)
        version = (dice.randrange(1, 3 + self._round // 8), dice.randrange(1, 6)) if dice.random() < 0.4 else None
        if dice.random() < 0.001:
            version = (VERSION_NUMBER_MAX, VERSION_NUMBER_MAX - dice.randrange(2))
        match dice.randrange(6):
            case 0:
                published = completed(upload_id=upload_id, number=number, text=dice.choice("ab"), version=version)
            case 1:
                published = failed(upload_id=upload_id, number=number, version=version)
            case kind:
                stage = ["queued", "vision_analysis", "vision_analysis", "indexing"][kind - 2]
                published = progress(stage, upload_id=upload_id, number=number, version=version)
        event = Event.read(published, owner=dice.choice(OWNERS), presumed=dice.random() < 0.05)
        for node in self._nodes:
            if dice.random() < 0.6:
                node[upload_id].judge(event, now_s)
        return event

    async def _flood(self, now_s: float) -> Any:
        upload_id = self._dice.choice(UPLOADS)
        numbers = range(1000 * self._floods, 1000 * self._floods + self._dice.choice([63, 64, 65, 130]))
        self._floods += 1
        events = [Event.read(progress(upload_id=upload_id, number=number)) for number in numbers]
        return await self._subject.heads.publish_all(events)

    async def _reconcile(self, now_s: float) -> Any:
        known = self._dice.choice(self._nodes)
        stored = dict(zip(UPLOADS, await self._subject.heads.read(UPLOADS, now_s), strict=True))
        heads = []
        for upload_id, upload in known.items():
            there = stored[upload_id]
            is_known = self._dice.random() < 0.5
            incarnation = there.incarnation if isinstance(there, Stored) and is_known else b"former"
            if upload.head is not None:
                heads.append((upload_id, Stored(upload.head, incarnation)))
        return _plain(await self._subject.heads.reconcile(heads, now_s))

    async def _read(self, now_s: float) -> Any:
        return _plain(await self._subject.heads.read(UPLOADS, now_s))

    async def _renew(self, now_s: float) -> Any:
        await self._subject.heads.renew(UPLOADS)

    async def _follow(self, now_s: float) -> Any:
        return [await self._change_follows() for _ in range(8)]

    async def _change_follows(self) -> Any:
        dice, keys = self._dice, self._subject.keys
        user_id, node = dice.choice(USERS), dice.choice(NODES)
        present = dice.sample(NODES, dice.randrange(len(NODES)))
        pairs = [part for _ in range(dice.randrange(4)) for part in (dice.choice("+++++-x."), f"v{dice.randrange(6)}")]
        settings: list[bytes | str | int] = [
            keys.user_channel(user_id),
            "PUBLISH",
            node,
            f"{dice.getrandbits(64):016x}",
            LIVES_S * 1000,
            4,
        ]
        arguments = [*settings, dice.choice([0, 1, 1, 1]), dice.choice([0, 0, 0, dice.randrange(200)]), len(present), *present]
        commands, key, revision_key = self._subject.commands, keys.user(user_id), keys.revision(user_id)
        born, revision, *uploads = await commands.run(Call(USER, [key, revision_key], [*arguments, *pairs]))
        await commands.execute("EXPIRE", key, 10 * LIVES_S)
        await commands.run(Call(USER, [key, revision_key], arguments))  # changes nothing, but may renew it
        lives = len(str(await commands.execute("TTL", key)))
        return born, revision, sorted(uploads), lives  # in Lua, a table has no order

    async def _be_present(self, now_s: float) -> Any:
        said = f"{{'said at': {now_s}}}\n"
        answers = []
        for node in self._dice.sample(NODES, 3):
            answer = await self._subject.commands.run(Call(PRESENCE, [self._subject.keys.nodes], [node, 15_000, said]))
            answers.append(sorted(zip(answer[::3], answer[1::3], answer[2::3], strict=True)))
        return answers

    async def _fly_canary(self, now_s: float) -> Any:
        channel = self._subject.keys.canary_channel("node", self._dice.randrange(2))
        return await self._subject.commands.run(Call(CANARY, [channel], ["PUBLISH", f"{now_s}", LIVES_S]))

    async def _lose(self, now_s: float) -> Any:
        """Some key is gone, in one of the ways in which keys go, or lives longer than it should."""
        dice, keys = self._dice, self._subject.keys
        upload_id = dice.choice(UPLOADS)
        key = dice.choice([keys.head(upload_id), keys.digests(upload_id), keys.user(dice.choice(USERS))])
        command = dice.choice([("DEL", key), ("PEXPIRE", key, 0), ("EXPIRE", key, -1), ("EXPIRE", key, 10 * LIVES_S)])
        return await self._subject.commands.execute(*command)

    async def _say(self, now_s: float) -> Any:
        """Plain commands, some of them wrong."""
        dice, keys = self._dice, self._subject.keys
        key, field = keys.head(dice.choice(["p", "q"])), dice.choice("abc")
        commands: list[tuple[bytes | int | str, ...]] = [
            ("SET", key, field),
            ("SET", key, "1", "EX", LIVES_S, "GET"),
            ("SET", key, "2", "NX"),
            ("SET", key, "3", "XX", "KEEPTTL"),
            ("SET", key, "4", "PX"),
            ("SET", key, "4", "EX", "0"),
            ("GET", key),
            ("HSET", key, field, "x", "d", "y"),
            ("HSET", key, field),
            ("HGET", key, field),
            ("HMGET", key, "a", "b", "c"),
            ("HDEL", key, field, "d"),
            ("HLEN", key),
            ("ZCARD", key),
            ("ZRANGE", key, 0, -1),
            ("EXPIRE", key, "soon"),
            ("PEXPIRE", key, LIVES_S * 1000),
            ("DEL", key, keys.head("r")),
            ("EXISTS", key, key),
            ("TYPE", key),
            ("GETT", key, "x"),
            ("GET", key, key),
            ("SELECT", "x"),
            ("SCRIPT", "WHAT"),
            ("EVALSHA", "0" * 40, 0),
            ("EVALSHA", PRESENCE.sha, 2, key),
            ("EVALSHA", PRESENCE.sha, -1),
        ]
        line = self._subject.commands._line
        return [str(answer) for answer in await line.send(key, dice.choices(commands, k=20))]


def _plain(answers: Sequence[Stored | Exception | None]) -> list[Any]:
    """With the bytes of each frame, since a frame equals none but itself."""
    return [
        (answer.head._replace(frame=answer.head.frame.data), answer.incarnation) if isinstance(answer, Stored) else answer  # type: ignore[arg-type]
        for answer in answers
    ]


async def _kept(line: Line, prefix: str) -> dict[bytes, tuple[Any, int]]:
    """All that is under the prefix, and of how many digits its time to live is."""
    kept: dict[bytes, tuple[Any, int]] = {}
    for key in sorted(await line.ask("KEYS", f"{prefix}*")):
        kind = await line.ask("TYPE", key)
        value: Any
        match kind:
            case b"hash":
                found = await line.ask("HGETALL", key)
                value = sorted(zip(found[::2], found[1::2], strict=True))
            case b"zset":
                value = await line.ask("ZRANGE", key, 0, -1, "WITHSCORES")
            case _:
                value = await line.ask("GET", key)
        kept[key] = value, len(str(await line.ask("TTL", key)))
    return kept


@asynccontextmanager
async def _hearing(port: int, prefix: str) -> AsyncIterator[Line]:
    line = await Line.open(port)
    await line.ask("PSUBSCRIBE", f"{prefix}*")
    await line.ask("SUBSCRIBE", f"{prefix}state:{{u1}}")
    yield line
    await line.close()


async def _play(subject: Subject, port: int, prefix: str, seed: int) -> tuple[list[Any], list[Any], dict[bytes, Any]]:
    async with _hearing(port, prefix) as hearing:
        await History(subject, seed).live()
        line = await Line.open(port)
        last = f"{prefix}end".encode()
        await line.ask("PUBLISH", last, "")
        heard = await hearing.until([b"pmessage", f"{prefix}*".encode(), last, b""])
        kept = await _kept(line, prefix)
        await line.close()
    await subject.commands.close()
    return subject.said, heard, kept


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def memory(clock: Clock) -> Iterator[MemoryRedisServer]:
    with MemoryRedisServer(wall=clock.wall) as server:
        yield server


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 30))])
def test_both_say_and_tell_and_keep_the_same(
    redis: RedisServer, memory: MemoryRedisServer, clock: Clock, prefix: str, seed: int
) -> None:
    real = Subject(ClockedCommands(RedisAddress.read(redis.url)), Clock(), Keys(prefix), seed)
    in_memory = Subject(Commands(RedisAddress.read(memory.url)), clock, Keys(prefix), seed)

    said, heard, kept = asyncio.run(_play(real, redis.port, prefix, seed))
    said_too, heard_too, kept_too = asyncio.run(_play(in_memory, memory.port, prefix, seed))

    assert said_too == said
    assert heard_too == heard
    assert kept_too == kept
    assert len(heard) > ROUNDS
