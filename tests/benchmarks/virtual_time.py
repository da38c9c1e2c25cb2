"""What virtual time costs: ``python -m tests.benchmarks.virtual_time [hour | small] [simulated | redis]``.

The *hour*: 1,000 browsers of 200 users, a fifth of which come and go, while 200 uploads run that are spread over the hour.
Pings go both ways all the time. The *small* one, as sweeps play thousands: 12 clients, 2 nodes and 3 uploads, one seed after
the other, each from its plan to its verdict.

Method: each case in a process of its own, which plays nothing else. What counts is its CPU time (user and system), reading
the scenario left out; the best of two hours, and the best of some hundred seeds beside their mean. The machine's load is
printed with it: neighbours on the same core cost CPU time, too.
"""

import os
import platform
import resource
import subprocess
import sys
import time
from typing import Any

from vuemantics_ws.simulation.clock import running
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.log import Log, Received
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.virtual.run import VirtualOptions, run_virtual

HOUR = """
version: 1
name: hour
description: An hour with a thousand browsers.
duration: 62m
server: {nodes: %NODES%, config: {grace: 1s, drain: 1s}}
users: {u: {count: 200}}
uploads:
  - {id: video, owner: u, count: 100, start: 30s..58m, pipeline: video}
  - {id: image, owner: u, count: 99, start: 30s..58m, pipeline: image}
  - {id: last, owner: u, start: 59m, pipeline: video} # so that the run lasts for the hour
clients:
  - {id: stays, user: u, count: 800, join: 0s..30s}
  - {id: comes, user: u, count: 160, join: 0s..50m, leave: {after: 1m..9m}}
  - {id: phone, user: u, count: 40, join: 0s..50m, network: mobile, leave: {after: 1m..9m}}
expect:
  - terminal: {clients: stays, is: completed, within: 1s}
"""

SMALL = """
version: 1
name: small
description: What sweeps play.
duration: 30s
server: {nodes: %NODES%, config: {grace: 1s, drain: 1s}}
users: {u: {count: 3}}
uploads:
  - {id: up, owner: u, count: 3, start: 500ms..1500ms, pipeline: {progress: 4/s, for: 2s}}
clients:
  - {id: early, user: u, count: 6, join: 0s..500ms}
  - {id: late, user: u, count: 3, join: 1s..4s, network: wifi}
  - {id: passing, user: u, count: 3, join: 0s..1s, leave: {after: 500ms..2s}}
expect:
  - terminal: {clients: [early, late], is: completed, within: 1s}
"""

CASES = {"hour": (HOUR, 1, 2), "small": (SMALL, 2, 300)}
"""Each with its nodes and how often it is played."""

BROKERS = ("simulated", "redis")


class CountedLoop(VirtualLoop):
    """Tells how many steps the newest run took."""

    newest: "CountedLoop"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        CountedLoop.newest = self


def main(cases: list[str], brokers: list[str]) -> None:
    one, five, _ = os.getloadavg()
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    print(f"{machine}; load {one:.1f}, {five:.1f} over five minutes", flush=True)
    for case in cases:
        for broker in brokers:
            subprocess.run([sys.executable, "-m", __spec__.name, "--play", case, broker], check=True)


def play(case: str, broker: str) -> None:
    text, nodes, times = CASES[case]
    nodes = 2 if broker == "redis" else nodes
    scenario = parse_scenario(text.replace("%NODES%", str(nodes)), file=case, environment={})
    options = VirtualOptions(broker="redis" if broker == "redis" else "simulated")
    vars(running)["VirtualLoop"] = CountedLoop
    before_bytes = _peak_bytes()
    took_s: list[float] = []
    log = Log()
    lasted_s = 0.0
    for seed in range(1, times + 1):
        began_at = time.process_time()
        log = Log()
        report, _ = run_virtual(make_plan(scenario, seed), log, options=options)
        took_s.append(time.process_time() - began_at)
        lasted_s = report.lasted_s
        if not report.holds:
            raise SystemExit(f"{case}, {broker}, seed {seed}: it does not hold")
    steps, received = CountedLoop.newest.steps, sum(isinstance(record, Received) for record in log)
    best_s, mean_s = min(took_s), sum(took_s) / len(took_s)
    print(f"{case}, {nodes} node{'s'[: nodes > 1]}, {broker}: {_said(best_s)} of CPU at best, {_said(mean_s)} on average;")
    print(f"    {lasted_s:,.0f} virtual s, {lasted_s / best_s:,.0f} times as fast as real time;")
    print(f"    {received:,} messages received, {best_s / received * 1e6:.0f} µs each; {steps:,} steps, {len(log):,} records;")
    print(f"    {(_peak_bytes() - before_bytes) / 2**20:,.0f} MiB of memory at most", flush=True)


def _said(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        play(*sys.argv[2:])
    else:
        wanted = sys.argv[1:]
        main([c for c in CASES if c in wanted] or [*CASES], [b for b in BROKERS if b in wanted] or [*BROKERS])
