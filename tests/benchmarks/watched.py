"""What it costs a node to be watched: CPU, and the latency of what it delivers.

    python -m tests.benchmarks.watched [connections] [seconds of each phase] [rounds]

Method: a gateway in its own process on core 0, with idle connections, each of a user and an upload of its own, and traffic
besides: 20 uploads, five events a second each, followed by 20 browsers. Phases without a watcher, with one and with three, in
turn, so that a busy machine troubles all alike. A watcher is a process of its own on core 1 that reads
``/watch?view=connections`` in the order ``-pending`` once a second. Compared are the CPU time of the gateway's process a
second of each phase, and the time from when an event is published over the control port until its frame has been read.
"""

import asyncio
import os
import platform
import re
import statistics
import subprocess
import sys
import time

import httpx

from tests.benchmarks.idle_memory import connect
from tests.benchmarks.node import BareClient, Node, masked, node
from tests.gateway.nodes import event

BUSY = 20
EVENTS_PER_S = 5.0
WATCHERS = (0, 1, 3)

_DUE = re.compile(rb'"due": ?([0-9.]+)')

WATCH = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1] + "/watch?view=connections&sort=-pending&every=1s") as answer:
    for line in answer:
        print(len(line), flush=True)
"""


class Browser(BareClient):
    """Notes how late each event is."""

    def __init__(self, number: int, latencies: list[float]) -> None:
        super().__init__(f"busy-{number}", f"busy-{number}")
        self.latencies = latencies

    def data_received(self, data: bytes) -> None:
        if not self.subscribed.done():
            super().data_received(data)
            return
        now = time.monotonic()
        self.latencies += [now - float(due) for due in _DUE.findall(data)]
        if b'"action":"ping"' in data:
            self.transport.write(masked('{"action": "pong"}'))


async def _feed(control: httpx.AsyncClient, seconds: float) -> None:
    started_at = time.monotonic()
    for turn in range(int(seconds * BUSY * EVENTS_PER_S)):
        due = started_at + turn / BUSY / EVENTS_PER_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        said = event(f"busy-{turn % BUSY}", turn % 101, due=time.monotonic())
        assert (await control.post("/events", content=said)).json()["verdict"] == "accepted"


async def _phase(target: Node, control: httpx.AsyncClient, seconds: float, watchers: int) -> tuple[float, int]:
    """CPU seconds a second, and the frames that the watchers read."""
    command = [sys.executable, "-c", WATCH, target.control]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(watchers)]
    try:
        for process in processes:
            os.sched_setaffinity(process.pid, {1})
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)
        before, began_at = target.cpu_s(), time.monotonic()
        await _feed(control, seconds)
        used_s = (target.cpu_s() - before) / (time.monotonic() - began_at)
    finally:
        for process in processes:
            process.kill()
    return used_s, sum(process.communicate()[0].count("\n") for process in processes)


async def _run(target: Node, connections: int, seconds: float, rounds: int) -> None:
    idle = await connect(target, range(connections))
    latencies: list[float] = []
    busy = [Browser(number, latencies) for number in range(BUSY)]
    for tab in busy:
        await asyncio.get_running_loop().create_connection(lambda tab=tab: tab, "127.0.0.1", target.port)  # type: ignore[misc]
        await tab.subscribed
    cpu: dict[int, list[float]] = {count: [] for count in WATCHERS}
    late: dict[int, list[float]] = {count: [] for count in WATCHERS}
    async with httpx.AsyncClient(base_url=target.control) as control:
        await _feed(control, 2)
        for _ in range(rounds):
            for count in WATCHERS:
                latencies.clear()
                used_s, frames = await _phase(target, control, seconds, count)
                assert frames >= count * (seconds - 2), "the watchers must have watched"
                cpu[count].append(used_s)
                late[count] += latencies
        page = (await control.get("/connections", params={"sort": "-pending", "limit": 1})).json()
        assert page["total"] == connections + BUSY, page["total"]
    for count in WATCHERS:
        quantiles = statistics.quantiles(late[count], n=1000)
        shares = ", ".join(f"{used_s * 100:.1f}" for used_s in cpu[count])
        print(f"{count} watchers: {statistics.median(cpu[count]) * 100:.1f} % of a core (each round: {shares})")
        print(f"  {len(late[count])} deliveries, p50 {quantiles[499] * 1e3:.2f} ms, p99 {quantiles[989] * 1e3:.2f} ms")
    for client in [*idle, *busy]:
        client.transport.abort()


def main() -> None:
    connections = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    os.sched_setaffinity(0, {1})
    print(f"machine: {platform.platform()}, Python {platform.python_version()}, {connections} idle connections")
    with node(core=0, ping_interval="300s", silence_timeout="300s") as target:
        asyncio.run(_run(target, connections, seconds, rounds))


if __name__ == "__main__":
    main()
