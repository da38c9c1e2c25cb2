"""The real arm, played for real: a node in a process of its own, real sockets, and nothing left behind."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.simulation.playing import of, plan, played
from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.gateway.settings import Settings
from vuemantics_ws.simulation.log import (
    Authenticated,
    Began,
    Closed,
    Emptied,
    Log,
    NodeExited,
    Published,
    Record,
    Sent,
    Settled,
)
from vuemantics_ws.simulation.real import node as node_module
from vuemantics_ws.simulation.real.node import Node
from vuemantics_ws.simulation.real.run import run_real
from vuemantics_ws.simulation.site import settings_of

pytestmark = pytest.mark.slow


SMALL = """\
    server: {config: {grace: 200ms, drain: 0}}
    users: {alice: {}, bob: {}}
    uploads:
      - {id: up, owner: alice, start: 100ms, pipeline: [{stage: queued, for: 100ms}, {stage: indexing, for: 200ms, steps: 3}]}
    clients:
      - {id: tab, user: alice}
      - {id: late, user: alice, join: 600ms, subscribe: [up]}
      - {id: stranger, user: bob, subscribe: [up]}
    expect:
      - terminal: {clients: [tab, late], is: completed, within: 1s}
      - received: {clients: stranger, action: upload_completed, max: 0}
      - close: {codes: [1000], max_reconnects: 0}
"""


def test_a_small_world_keeps_every_law() -> None:
    report, log = played(plan(SMALL))

    assert report.broken() == []
    assert report.holds
    assert report.published == {"accepted": 5}
    assert isinstance(log.records[0], Began)
    last = log.records[-1]
    assert isinstance(last, NodeExited)
    assert (last.code, last.asked) == (0, True)
    (emptied,) = of(log, Emptied)
    assert isinstance(emptied, Emptied)
    assert emptied.tables.get("heads", 1) == 1
    times = [record.at for record in log]
    assert times == sorted(times)


def test_plain_publishers_speak_to_everybody_where_the_file_says_so() -> None:
    report, _ = played(
        plan("""\
            server: {config: {grace: 0, drain: 0, access: open}}
            users: {alice: {}, bob: {}}
            uploads:
              - id: up
                owner: alice
                start: 100ms
                pipeline: [{stage: queued, for: 100ms}]
                publisher: plain
                regenerate: {after: 100ms}
            clients:
              - {id: tab, user: alice}
              - {id: other, user: bob, subscribe: [up]}
            expect:
              - terminal: {within: 1s}
            """)
    )

    assert report.broken() == []
    assert report.expectations[0].samples == 2


def test_tabs_leave_as_the_file_says_and_those_that_vanished_are_cut_at_the_end() -> None:
    _, log = played(
        plan("""\
            server: {config: {grace: 0, drain: 0}}
            users: {alice: {}}
            clients:
              - {id: close, user: alice, leave: {after: 100ms, how: close}}
              - {id: abort, user: alice, leave: {after: 100ms, how: abort}}
              - {id: vanish, user: alice, leave: {after: 100ms, how: vanish}}
              - {id: stay, user: alice}
            """)
    )

    began_to_go = next(record.at for record in log if isinstance(record, Settled))
    closed = {record.connection: record for record in log if isinstance(record, Closed)}
    assert [(record.code, record.at < began_to_go) for _, record in sorted(closed.items())] == [
        (1000, True), (1006, True), (1006, True), (1000, False),
    ]  # fmt: skip
    assert isinstance(log.records[-2], Emptied)
    assert log.records[-2].tables["connections"] == 0


def test_the_duration_cuts_short_what_would_go_on() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 0, drain: 0}}
            users: {alice: {}}
            uploads:
              - {id: up, owner: alice, pipeline: [{stage: queued, for: 100ms}, {stage: indexing, for: 1m, steps: 2}]}
            clients:
              - {id: tab, user: alice}
              - {id: never, user: alice, join: 30s}
            expect:
              - terminal: {clients: tab}
            """,
            duration="300ms",
        )
    )

    assert report.cut_short
    assert report.lasted_s < 5
    assert [finding.name for finding in report.broken()] == ["terminal"]
    assert len(of(log, Published)) == 2
    assert len(of(log, Authenticated)) == 1


def test_a_tab_that_is_still_connecting_asks_once_it_can() -> None:
    _, log = played(plan(SMALL))

    asked = [record for record in log if isinstance(record, Sent)]
    authenticated = {record.connection: record.at for record in log if isinstance(record, Authenticated)}
    assert len(asked) == 3
    assert all(record.at >= authenticated[record.connection] for record in asked)


def node_pids() -> set[int]:
    """Gateways that this process has started and that still run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="utf-8").rsplit(") ", 1)[1].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"vuemantics_ws.gateway" in command:
            found.add(int(stat.parent.name))
    return found


def test_a_node_that_falls_ends_the_run_and_is_told() -> None:
    def kill(record: Record) -> None:
        if isinstance(record, Published):
            for pid in node_pids():
                os.kill(pid, 9)

    report, log = played(plan(SMALL), meanwhile=kill)

    assert not report.holds
    assert log.records[-1] == NodeExited(log.records[-1].at, -9, asked=False)
    documented = next(law for law in report.laws if law.name == "documented")
    assert documented.violation is not None
    assert "exit code -9 without being told to" in documented.violation.message


def test_being_cancelled_leaves_no_node_behind() -> None:
    async def main() -> set[int]:
        log, began = Log(), asyncio.Event()
        log.listen(lambda record: began.set())
        running = asyncio.ensure_future(run_real(plan(SMALL), log, clock=SystemClock()))
        await asyncio.wait_for(began.wait(), 10)
        pids = node_pids()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return pids

    pids = asyncio.run(main())

    assert len(pids) == 1
    assert node_pids() == set()


def test_being_cancelled_while_the_node_starts_leaves_none_behind() -> None:
    async def main() -> None:
        running = asyncio.ensure_future(run_real(plan(SMALL), Log(), clock=SystemClock()))
        async with asyncio.timeout(10):
            while not node_pids():  # noqa: ASYNC110 - a process that starts tells nobody
                await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())

    assert node_pids() == set()


def test_a_node_says_why_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "VARIABLE_PREFIX", "NOTHING_IS_TAKEN_OUT_")
    monkeypatch.setenv("VUEMANTICS_WS_GRACE", "banana")

    async def main() -> None:
        async with Node(Settings(port=0, control_port=0)):
            raise AssertionError("it cannot have started")

    with pytest.raises(EnvironmentUnfit, match="a node ended before it was ready") as unfit:
        asyncio.run(main())
    assert "VUEMANTICS_WS_GRACE: expected a duration" in (unfit.value.hint or "")


def test_a_node_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "START_TIMEOUT_S", 0.0)

    async def main() -> None:
        async with Node(Settings(port=0, control_port=0)):
            raise AssertionError("it cannot have been ready")

    with pytest.raises(EnvironmentUnfit, match="was not ready within 0 s"):
        asyncio.run(main())
    assert node_pids() == set()


def test_settings_of_the_machine_do_not_reach_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VUEMANTICS_WS_GRACE", "banana")

    async def main() -> int:
        async with Node(Settings(port=0, control_port=0, drain_s=0.0)) as node:
            return await node.stop()

    assert asyncio.run(main()) == 0


def test_a_plan_sets_its_node_up() -> None:
    settings = settings_of(plan(SMALL))

    assert (settings.port, settings.control_port, settings.access, settings.grace_s, settings.drain_s) == (
        0,
        0,
        "owner",
        0.2,
        0,
    )
    assert settings.secret is not None
    assert len(settings.secret) == 64
