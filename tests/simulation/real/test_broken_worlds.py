"""The real arm with faults, played for real: many nodes, a Redis, and whatever befalls them."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.simulation.playing import not_held, of, plan, played
from tests.simulation.test_world import node_pids
from vuemantics_ws.errors import BadScenario, EnvironmentUnfit
from vuemantics_ws.simulation.log import Emptied, FaultBegan, FaultEnded, Health, NodeExited, Opened, Published, Unsent

pytestmark = pytest.mark.slow

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None and not os.environ.get("CI"),
    reason="redis-server is missing: apt-get install redis-server, or brew install redis",
)

TWO_NODES = """\
    server: {nodes: 2, config: {grace: 2s, drain: 500ms}}
    users: {u: {count: 4}}
    uploads:
      - {id: up, owner: u, count: 12, start: 0s..5s, pipeline: [{stage: queued, for: 1s}, {stage: indexing, for: 2s, steps: 4}]}
    clients:
      - {id: tab, user: u, count: 12, join: 0s..500ms, reconnect: {initial: 200ms, jitter: 200ms}}
"""


def broken(*faults: str, head: str = TWO_NODES, expect: str = "{terminal: {within: 5s, after: faults}}") -> str:
    said = "".join(f"      - {fault}\n" for fault in faults)
    return f"{head}    faults:\n{said}    expect:\n      - {expect}\n"


@needs_redis
def test_a_redis_that_hangs_dies_and_loses_its_data_costs_nobody_an_end() -> None:
    report, log = played(
        plan(
            broken(
                "{at: 1s, do: redis.kill_pubsub}",
                "{at: 2s, do: redis.hang, for: 1s}",
                "{at: 4s, do: redis.down, for: 500ms}",
                "{at: 6s, do: redis.restart, lose_data: true}",
            ),
            duration="40s",
        )
    )

    assert not_held(report) == []
    assert [fault.do for fault in report.faults] == ["redis.kill_pubsub", "redis.hang", "redis.down", "redis.restart"]
    assert len(of(log, Opened)) == 12
    assert {opened.node for opened in of(log, Opened)} == {"node:0", "node:1"}
    assert {emptied.node for emptied in of(log, Emptied)} == {"node:0", "node:1"}
    assert "degraded" in {health.state for health in of(log, Health)}
    assert any(published.held_up_s > 0.1 for published in of(log, Published))
    assert node_pids() == set()


@needs_redis
def test_who_was_on_a_node_that_is_killed_or_replaced_goes_on_at_another() -> None:
    report, log = played(
        plan(
            broken(
                "{at: 1500ms, do: node.restart, target: 'node:0', down: 200ms}",
                "{at: 5s, do: node.kill, target: 'node:1', down: 500ms}",
                expect="{terminal: {within: 2s, after: reconnect}}",
            ),
            duration="40s",
        )
    )

    assert not_held(report) == []
    exits = [(record.node, record.code, record.killed) for record in of(log, NodeExited)]
    assert exits[:2] == [("node:0", 0, False), ("node:1", -9, True)]
    assert sorted(exits[2:]) == [("node:0", 0, False), ("node:1", 0, False)]
    assert len(of(log, Opened)) > 12


@needs_redis
def test_a_node_that_is_cut_off_from_redis_says_so_and_its_neighbour_goes_on() -> None:
    report, log = played(
        plan(broken("{at: 1s, do: partition, between: ['node:0', redis], for: 6s}"), duration="40s"),
    )

    assert not_held(report) == []
    assert {health.node for health in of(log, Health) if health.state == "degraded"} == {"node:0"}
    (ended,) = of(log, FaultEnded)
    assert ended.evidence is not None
    assert "bytes waited" in ended.evidence


@needs_redis
def test_what_plain_publishers_say_to_redis_is_adopted_and_what_they_say_while_nobody_hears_is_lost() -> None:
    head = TWO_NODES.replace("drain: 500ms", "drain: 500ms, access: open").replace("{id: up,", "{id: up, publisher: plain,")
    expected = "{received: {action: upload_progress, min: 5}}"

    report, log = played(plan(broken("{at: 1s, do: redis.kill_pubsub}", head=head, expect=expected), duration="40s"))

    assert not_held(report) == []
    assert len(of(log, Published)) == 12 * 6
    accepted = [published for published in of(log, Published) if published.verdict == "accepted"]
    assert len(accepted) > 50
    assert all(published.seq is not None and published.attempt is not None for published in accepted)


ONE_NODE = """\
    server: {config: {grace: 8s, drain: 0s}}
    users: {u: {count: 4}}
    uploads:
      - {id: up, owner: u, count: 8, start: 0s..3s, pipeline: [{stage: queued, for: 1s}, {stage: indexing, for: 2s, steps: 4}]}
    clients:
      - {id: tab, user: u, count: 8, join: 0s..200ms, reconnect: {initial: 200ms, jitter: 200ms}}
      - {id: far, user: u, count: 4, join: 0s..200ms}
"""


def test_what_befalls_clients_and_a_node_that_stands_still_needs_no_redis() -> None:
    report, log = played(
        plan(
            broken(
                "{at: 1s, do: connections.kill, target: tab}",
                "{at: 1500ms, do: network.change, target: far, how: mobile, for: 1s}",
                "{at: 3s, do: node.pause, for: 800ms}",
                "{at: 5s, do: partition, between: ['node:0', far], for: 800ms}",
                head=ONE_NODE,
            ),
            duration="40s",
        )
    )

    assert not_held(report) == []
    assert [began.evidence for began in of(log, FaultBegan)] == [
        "8 connections were reset",
        "4 clients are on another network",
        "it does not answer",
        "4 connections are cut off",
    ]


AWAY = """\
    server: {config: {grace: 5s, drain: 0s}}
    users: {u: {}}
    uploads:
      - {id: early, owner: u, pipeline: [{stage: queued, for: 5s}]}
      - {id: meanwhile, owner: u, start: 1200ms, pipeline: [{stage: queued, for: 4s}]}
    clients:
      - {id: tab, user: u, reconnect: {initial: 4s, jitter: 0s}}
"""


def test_a_tab_that_a_fault_kept_from_asking_need_not_learn_of_what_it_never_asked_for() -> None:
    fault = "{at: 1s, do: connections.kill}"

    report, log = played(plan(broken(fault, head=AWAY, expect="{terminal: {within: 1s}}"), duration="40s"))

    assert not_held(report) == []
    assert [record.client for record in of(log, Unsent)] == ["tab"]
    (terminal,) = report.expectations
    assert (terminal.samples, terminal.figures) == (1, {"never_asked_while_away": 1})


def test_a_fault_of_which_nothing_is_seen_fails_the_run() -> None:
    report, _ = played(
        plan(
            broken("{at: 500ms, do: connections.kill, target: late}", head=ONE_NODE).replace(
                "      - {id: far,", "      - {id: late, user: u, join: 2s}\n      - {id: far,"
            ),
            duration="40s",
        )
    )

    assert [finding.name for finding in not_held(report)] == ["faults"]


def test_what_cannot_happen_to_a_server_that_is_not_ours_is_refused() -> None:
    head = ONE_NODE.replace("server: {", "server: {url: 'ws://127.0.0.1:1', control: 'http://127.0.0.1:1', ")

    with pytest.raises(BadScenario, match=r"faults\[0\]: node.pause befalls processes that are not ours"):
        played(plan(broken("{at: 1s, do: node.pause, for: 1s}", head=head)))


def test_without_redis_on_the_machine_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(EnvironmentUnfit, match="redis-server is not on this machine") as unfit:
        played(plan(TWO_NODES))

    assert "apt-get install redis-server" in (unfit.value.hint or "")
    assert node_pids() == set()


def test_a_node_that_stands_still_ends_where_whoever_started_it_is_killed() -> None:
    program = """\
        import asyncio
        from vuemantics_ws.gateway.settings import Settings
        from vuemantics_ws.simulation.real.node import Node
        async def main():
            async with Node(Settings(port=0, control_port=0)) as node:
                await node.pause()
                print(node.pid, flush=True)
                await asyncio.sleep(60)
        asyncio.run(main())
        """
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()

    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    """Zombies apart, which wait for somebody else to look at them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False
