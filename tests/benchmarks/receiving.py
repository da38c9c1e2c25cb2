"""What it costs a node to hear one published event, beside redis-py's own PubSub.

    python -m tests.benchmarks.receiving [messages] [uploads]

Method: a redis-server of its own and a feeder in a process of its own on core 0, which publishes ready messages of some 400
bytes over all uploads in turn, pipelined, as fast as Redis takes them. The receiver on core 1 subscribes to every upload's
channel and counts. Compared is its CPU time (user and system) for each message, and how many arrive in a second: rounds of the
systems in turn, the median of three.
"""

import asyncio
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import hiredis
import uvloop
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.redis_server import RedisServer
from vuemantics_ws.brokers.redis.address import Endpoint, RedisAddress
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.brokers.redis.subscriptions import Subscriptions

KEYS = Keys("vuemantics-ws:")
PIPELINED = 500

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Figures(NamedTuple):
    cpu_us: float
    messages_per_s: float


def channels(uploads: int) -> list[bytes]:
    return [KEYS.state_channel(f"{number:08x}-0000-4000-8000-000000000000") for number in range(uploads)]


class Counter:
    """Counts what was heard, and says when all of it was."""

    def __init__(self, messages: int) -> None:
        self.heard = 0
        self.messages = messages
        self.subscribed = 0
        self.done = asyncio.Event()

    def on_message(self, payload: bytes) -> None:
        self.heard += 1
        if self.heard == self.messages:
            self.done.set()

    def on_subscribed(self) -> None:
        self.subscribed += 1


async def _ours(port: int, uploads: int, messages: int, feed: Callable[[], None]) -> Figures:
    client = AsyncRedis(port=port)

    async def send_canary(channel: bytes, payload: bytes) -> None:
        await client.publish(channel, payload)

    subscriptions = Subscriptions(
        RedisAddress("server", (Endpoint("127.0.0.1", port),)),
        canary_channel=lambda number: b"canary-%d" % number,
        send_canary=send_canary,
        read_ended=lambda: None,
        changed=lambda: None,
        dice=random.Random(1),
        canary_timeout_s=60.0,
    )
    counter = Counter(messages)
    for channel in channels(uploads):
        subscriptions.subscribe(channel, counter)
    subscriptions.start()
    while counter.subscribed < uploads:
        await asyncio.sleep(0.01)
    feed()
    cpu_s, started_at = time.process_time(), time.monotonic()
    await counter.done.wait()
    cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - started_at
    assert subscriptions.condition.gaps == 0, "the connection was lost meanwhile"
    await subscriptions.stop()
    await client.aclose()
    return Figures(cpu_s / messages * 1e6, messages / took_s)


async def _theirs(port: int, uploads: int, messages: int, feed: Callable[[], None]) -> Figures:
    client = AsyncRedis(port=port)
    pubsub: Any = client.pubsub(ignore_subscribe_messages=True)
    counter = Counter(messages)
    tell = dict.fromkeys(channels(uploads), counter.on_message)
    names = list(tell)
    for start in range(0, uploads, PIPELINED):
        await pubsub.subscribe(*names[start : start + PIPELINED])
    feed()
    cpu_s, started_at = time.process_time(), time.monotonic()
    async for message in pubsub.listen():
        tell[message["channel"]](message["data"])
        if counter.done.is_set():
            break
    cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - started_at
    await pubsub.aclose()
    await client.aclose()
    return Figures(cpu_s / messages * 1e6, messages / took_s)


SYSTEMS = {"vuemantics-ws": _ours, "redis-py's PubSub": _theirs}


def _publish(port: int, messages: int, uploads: int) -> None:
    """The feeder: waits for a line, then publishes as fast as it can."""
    redis = Redis(port=port)
    names = channels(uploads)
    header = b"1 %d - 0123456789abcdef 0 - - owner\n"
    body = b'{"attempt":1,"seq":1,"action":"upload_progress",' + b'"x":"' + b"x" * 300 + b'"}'
    commands = [hiredis.pack_command((b"PUBLISH", name, header % 1 + body)) for name in names]  # type: ignore[arg-type]
    connection: Any = redis.connection_pool.get_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    sent = 0
    while sent < messages:
        batch = [commands[number % uploads] for number in range(sent, min(messages, sent + PIPELINED))]
        connection.send_packed_command([b"".join(batch)])
        for _ in batch:
            connection.read_response()
        sent += len(batch)
    connection.disconnect()


def _measure(system: str, loop: str, port: int, messages: int, uploads: int) -> Figures:
    arguments = ["--publish", str(port), str(messages), str(uploads)]
    feeder = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.receiving", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert feeder.stdin is not None
    assert feeder.stdout is not None
    writer = feeder.stdin
    os.sched_setaffinity(feeder.pid, {0})
    feeder.stdout.readline()

    def feed() -> None:
        writer.write(b"\n")
        writer.flush()

    try:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            return runner.run(SYSTEMS[system](port, uploads, messages, feed))
    finally:
        feeder.kill()
        feeder.communicate()


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--publish"]:
        _publish(*(int(argument) for argument in arguments[1:]))
        return
    messages = int(arguments[0]) if arguments else 300_000
    uploads = int(arguments[1]) if len(arguments) > 1 else 1_000
    os.sched_setaffinity(0, {1})
    print(f"machine: {platform.platform()}, Python {platform.python_version()}; {messages} messages over {uploads} uploads")
    figures: dict[tuple[str, str], list[Figures]] = {}
    with RedisServer("--client-output-buffer-limit", "pubsub", "0", "0", "0") as redis:
        os.sched_setaffinity(redis.pid, {0})
        for _ in range(3):
            for system in SYSTEMS:
                for loop in LOOPS:
                    figures.setdefault((system, loop), []).append(_measure(system, loop, redis.port, messages, uploads))
    for (system, loop), of in figures.items():
        cpu = [each.cpu_us for each in of]
        rate = statistics.median(each.messages_per_s for each in of)
        print(
            f"{system:20} {loop:8} {statistics.median(cpu):6.2f} µs a message ({min(cpu):.2f} to {max(cpu):.2f}), {rate:,.0f}/s"
        )


if __name__ == "__main__":
    main()
