"""What a node around Redis takes in, and what an event costs on its way in and out.

    python -m tests.benchmarks.around_redis [seconds] [uploads] [browsers] [messages a second]

Method: a redis-server of its own, a feeder and the browsers on core 0, each in a process of its own; a whole gateway in this
process on core 1. Each browser is a bare socket of a user of its own and follows its share of the uploads.

*Flood*: the feeder publishes ready state messages of some 400 bytes over all uploads in turn, pipelined, at a steady rate. Told
is the CPU of the node for each message, and how long after the last one the newest state of every upload was known. The node
must keep up (Redis cuts off who does not), and must not grow.

*One at a time*: events are published through the node and come back to one browser of each upload, one after the other. Told is
the CPU of the node for one event, in and out, beside what Redis says that the script took (INFO commandstats) and what its
process took in all.
"""

import asyncio
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
import psutil  # type: ignore[import-untyped]
import uvloop
from redis import Redis

from tests.benchmarks.node import SECRET, BareClient
from tests.gateway.nodes import event
from tests.redis_server import RedisServer
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.brokers.redis.broker import RedisBroker
from vuemantics_ws.brokers.redis.keys import Keys
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.messages import with_version

PREFIX = "vuemantics-ws:"
PIPELINED = 50
"""Redis writes at most 64 KiB to a subscriber for each batch that it has read, so larger ones would pile up in it."""
EVENTS = 3_000
SETTLES_WITHIN_S = 10.0


def upload_ids(uploads: int) -> list[str]:
    return [f"{number:08x}-0000-4000-8000-000000000000" for number in range(uploads)]


# The browsers, in a process of their own.


async def _browse(port: int, uploads: int, browsers: int) -> None:
    ids = upload_ids(uploads)
    loop = asyncio.get_running_loop()
    for number in range(browsers):
        browser = BareClient(f"user-{number}", *ids[number::browsers])
        await loop.create_connection(lambda browser=browser: browser, "127.0.0.1", port)  # type: ignore[misc]
        await browser.subscribed
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


# The feeder, in a process of its own.


def _feed(port: int, uploads: int, seconds: float, per_s: float) -> None:
    """Waits for a line, publishes for so long, and prints how many, how often each upload, and in which time."""
    keys = Keys(PREFIX)
    names = [(keys.state_channel(upload_id), upload_id) for upload_id in upload_ids(uploads)]
    body = event(names[0][1], 50, note="x" * 100)
    header = b"2 %d - 0123456789abcdef 0 0123456789abcdef0123456789abcdef - \n"

    def round_of(seq: int) -> list[bytes]:
        payload = with_version(body, 2, seq)
        commands = [
            hiredis.pack_command((b"PUBLISH", name, header % seq + payload.replace(names[0][1].encode(), upload_id.encode())))  # type: ignore[arg-type]
            for name, upload_id in names
        ]
        return [b"".join(commands[first : first + PIPELINED]) for first in range(0, len(commands), PIPELINED)]

    ready = [round_of(seq) for seq in range(1, 33)]
    connection: Any = Redis(port=port).connection_pool.get_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    began_at = time.monotonic()
    sent = turn = 0
    while (took_s := time.monotonic() - began_at) < seconds:
        time.sleep(max(0.0, sent / per_s - took_s))
        batches = ready[turn] if turn < len(ready) else round_of(turn + 1)
        for number, batch in enumerate(batches):
            connection.send_packed_command([batch])
            for _ in range(min(PIPELINED, uploads - number * PIPELINED)):
                connection.read_response()
        turn += 1
        sent += uploads
    print(sent, turn, time.monotonic() - began_at, flush=True)


@contextmanager
def _process(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.benchmarks.around_redis", *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {0})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# The node.


async def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def _start(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def _settled(gateway: Gateway, uploads: int, seq: float) -> bool:
    until = time.monotonic() + SETTLES_WITHIN_S
    while time.monotonic() < until:
        heads = [upload.head for upload in gateway.manager.registry.uploads.values()]
        if len(heads) == uploads and all(head is not None and head.version == (2, seq) for head in heads):
            return True
        await asyncio.sleep(0.005)
    return False


async def _flood(gateway: Gateway, port: int, uploads: int, browsers: int, seconds: float, per_s: float) -> None:
    broker = gateway.broker
    assert isinstance(broker, RedisBroker)
    with (
        _process("--browse", gateway.address[1], uploads, browsers) as browsing,
        _process("--feed", port, uploads, seconds, per_s) as feeder,
    ):
        await _line(browsing)
        await _line(feeder)
        before_bytes, cpu_s, deliveries = (
            psutil.Process().memory_info().rss,
            time.process_time(),
            gateway.manager.counters.deliveries,
        )
        await _start(feeder)
        largest_bytes, feeding = 0, asyncio.ensure_future(_line(feeder))
        while not feeding.done():
            await asyncio.sleep(0.1)
            largest_bytes = max(largest_bytes, psutil.Process().memory_info().rss)
        sent, seq, took_s = map(float, feeding.result().split())
        stopped_at = time.monotonic()
        settled = await _settled(gateway, uploads, seq)
        behind_s, cpu_s = time.monotonic() - stopped_at, time.process_time() - cpu_s
        deliveries = gateway.manager.counters.deliveries - deliveries
        conflated = gateway.manager.counters.conflated + sum(connection.conflated for connection in gateway.connections)
    assert settled, "the newest states did not arrive"
    assert broker.health.gaps == 0, "the connection to Redis was lost meanwhile"
    print(
        f"  messages               {sent:>10,.0f}  {sent / took_s:,.0f} a second, over {uploads} uploads to {browsers} browsers"
    )
    share = cpu_s / (took_s + behind_s)
    print(f"  CPU of the node        {cpu_s / sent * 1e6:>10.2f}  µs a message, {share:.0%} of its core")
    print(f"  delivered              {deliveries:>10,}  the others were older than what was heard with them")
    print(f"  conflated              {conflated:>10,}  of those, because browsers did not keep up")
    print(f"  newest states there    {behind_s * 1000:>10.0f}  ms after the last was published")
    print(f"  memory                 {before_bytes / 2**20:>10.1f}  MiB before, {largest_bytes / 2**20:.1f} MiB at most")


async def _one_at_a_time(gateway: Gateway, redis: RedisServer, uploads: int, browsers: int) -> None:
    ids = upload_ids(uploads)
    with _process("--browse", gateway.address[1], uploads, browsers) as browsing:
        await _line(browsing)
        redis.cli("config", "resetstat")
        redis_cpu_s = sum(psutil.Process(redis.pid).cpu_times()[:2])
        cpu_s, began_at = time.process_time(), time.monotonic()
        for number in range(EVENTS):
            await gateway.manager.publish(event(ids[number % uploads], number % 101, number=number))
        cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - began_at
        redis_cpu_s = sum(psutil.Process(redis.pid).cpu_times()[:2]) - redis_cpu_s
    stats = dict(line.split(":", 1) for line in redis.cli("info", "commandstats").splitlines() if ":" in line)
    script = dict(part.split("=") for part in stats["cmdstat_evalsha"].split(","))
    print(f"  CPU of the node        {cpu_s / EVENTS * 1e6:>10.1f}  µs an event, from the call until a browser has it")
    print(f"  from call to verdict   {took_s / EVENTS * 1e6:>10.1f}  µs")
    print(f"  Redis, the script      {float(script['usec_per_call']):>10.1f}  µs an event")
    print(f"  Redis, all in all      {redis_cpu_s / EVENTS * 1e6:>10.1f}  µs an event, with what it reads and writes")


async def _serve(redis: RedisServer, uploads: int, browsers: int, seconds: float, per_s: float) -> None:
    settings = Settings(
        port=0, secret=SECRET, access="open", origins=("http://127.0.0.1:5173",), uploads_per_user_max=max(1_000, uploads)
    )
    clock = SystemClock()
    broker = RedisBroker(redis.url, prefix=PREFIX, adopt=False, clock=clock, limits=settings, dice=random.Random(1))
    gateway = Gateway(settings, secret=SECRET, broker=broker, clock=clock, dice=random.Random(1))
    await gateway.start()
    while not broker.health.ready:
        await asyncio.sleep(0.01)
    print("one at a time")
    await _one_at_a_time(gateway, redis, uploads, browsers)
    print(f"flood, {per_s:,.0f} a second")
    await _flood(gateway, redis.port, uploads, browsers, seconds, per_s)
    await gateway.stop()


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--browse"]:
        port, uploads, browsers = map(int, arguments[1:])
        asyncio.run(_browse(port, uploads, browsers))
        return
    if arguments[:1] == ["--feed"]:
        _feed(int(arguments[1]), int(arguments[2]), *map(float, arguments[3:]))
        return
    seconds = float(arguments[0]) if arguments else 10.0
    uploads = int(arguments[1]) if len(arguments) > 1 else 1_000
    browsers = int(arguments[2]) if len(arguments) > 2 else 20
    per_s = float(arguments[3]) if len(arguments) > 3 else 100_000.0
    os.sched_setaffinity(0, {1})
    print(f"machine: {platform.platform()}, Python {platform.python_version()}, uvloop")
    with RedisServer() as redis:
        os.sched_setaffinity(redis.pid, {0})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(redis, uploads, browsers, seconds, per_s))


if __name__ == "__main__":
    main()
