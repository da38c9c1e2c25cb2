"""The virtual arm: a plan played by the production gateway in one process, on a loop whose clock jumps."""

import asyncio
import gc
import logging
from typing import Any

import pytest

from tests.simulation.virtual.playing import bundled, of, plan, played
from vuemantics_ws.errors import BadScenario
from vuemantics_ws.gateway.conversation import UploadConversation
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.simulation.clock.loop import VirtualLoop
from vuemantics_ws.simulation.judging.expectations import all_have_come
from vuemantics_ws.simulation.log import Began, Closed, Emptied, NodeExited, Settled, Troubled
from vuemantics_ws.simulation.playing.world import World
from vuemantics_ws.simulation.virtual.run import VirtualFault, VirtualOptions

TWO_NODES = """\
    server: {nodes: 2, config: {grace: 2s, drain: 500ms}}
    users: {alice: {}, bob: {}}
    uploads:
      - {id: up, owner: alice, pipeline: [{stage: queued, for: 5s, steps: 10}, {stage: indexing, for: 10s, steps: 20}]}
    clients:
      - {id: tab, user: alice, count: 6, join: 0s..1s}
      - {id: late, user: alice, join: 20s, subscribe: [up]}
      - {id: stranger, user: bob, subscribe: [up]}
    expect:
      - terminal: {clients: [tab, late], is: completed, within: 1s}
      - received: {clients: stranger, action: upload_completed, max: 0}
      - close: {codes: [1000], max_reconnects: 0}
"""


@pytest.mark.parametrize("broker", ["simulated", "redis"])
def test_two_nodes_keep_every_law_around_either_broker(broker: str) -> None:
    run, log = played(plan(TWO_NODES, duration="1m"), VirtualOptions(broker=broker))  # type: ignore[arg-type]

    assert run.report.broken() == []
    assert run.report.arm == "virtual"
    assert isinstance(log.records[0], Began)
    assert [(exited.node, exited.code, exited.asked) for exited in of(log, NodeExited)] == [
        ("node:0", 0, True), ("node:1", 0, True),
    ]  # fmt: skip
    assert {emptied.node for emptied in of(log, Emptied)} == {"node:0", "node:1"}
    times = [record.at for record in log]
    assert times == sorted(times)


def test_everything_is_judged_that_is_judged_in_real_time() -> None:
    run, _ = played(bundled("happy-path"))

    assert {law.verdict for law in run.report.laws} == {"held"}
    assert [(rule.name, rule.verdict) for rule in run.report.rules] == [("generator", "held"), ("sound", "held")]


def test_what_a_file_expects_in_real_time_alone_is_not_judged() -> None:
    run, _ = played(
        plan("""\
            users: {alice: {}}
            uploads: [{id: up, owner: alice, pipeline: [{stage: queued, for: 100ms}]}]
            clients: [{id: tab, user: alice}]
            expect:
              - latency: {p99: 1ms, modes: [real]}
            """)
    )

    assert run.report.holds
    assert run.report.expectations[0].verdict == "not judged here"


def test_a_silent_upload_is_ended_by_a_node() -> None:
    run, _ = played(
        plan(
            """\
            server: {nodes: 2, config: {stall_after: 20s, grace: 0}}
            users: {alice: {}}
            uploads:
              - {id: up, owner: alice, pipeline: image, outcome: stalled@indexing}
              - {id: other, owner: alice, pipeline: image}
            clients: [{id: tab, user: alice, count: 2}]
            expect:
              - terminal: {clients: tab, uploads: up, is: failed, within: 22s}
            """,
            duration="2m",
        )
    )

    assert run.report.broken() == []
    assert run.report.received["upload_failed"] == 2


def test_a_law_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vuemantics_ws.gateway.server.owner_only", lambda user_id, head: True)

    run, _ = played(plan(TWO_NODES, duration="1m"))

    assert "privacy" in {finding.name for finding in run.report.broken()}


class TestFaultsOfOurOwn:
    ONE = """\
        server: {config: {grace: 0}}
        users: {alice: {}}
        uploads: [{id: up, owner: alice, pipeline: [{stage: queued, for: 100ms}]}]
        clients: [{id: tab, user: alice}]
    """

    def test_an_error_that_a_node_logs_is_a_finding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stopped = Gateway.stop

        async def stop(self: Gateway, **options: object) -> None:
            logging.getLogger("vuemantics_ws.gateway.server").error("something at %s is wrong", hex(id(self)))
            await stopped(self)

        monkeypatch.setattr(Gateway, "stop", stop)

        run, log = played(plan(self.ONE))

        (troubled,) = of(log, Troubled)
        assert (troubled.node, troubled.what) == ("node:0", "it logged an error: something at 0x… is wrong")
        assert [finding.name for finding in run.report.broken()] == ["sound"]

    def test_an_exception_that_reaches_nobody_is_a_finding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = UploadConversation.__init__

        def begin(self: UploadConversation, gateway: Gateway, *others: object) -> None:
            begun(self, gateway, *others)  # type: ignore[arg-type]
            gateway.timers._loop.call_later(0.01, lambda: 1 / 0)

        monkeypatch.setattr(UploadConversation, "__init__", begin)

        run, log = played(plan(self.ONE))

        (troubled,) = of(log, Troubled)
        assert troubled.node == "node:0"
        assert "ZeroDivisionError: division by zero" in troubled.what
        assert not run.report.holds

    def test_one_of_the_simulator_is_no_verdict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def received(*_: object, **__: object) -> None:
            raise ValueError("nonsense")

        monkeypatch.setattr("vuemantics_ws.simulation.browser.tab.read", received)

        with pytest.raises(VirtualFault, match=r"the simulator met a fault of its own: .*ValueError: nonsense"):
            played(plan(self.ONE))

    def test_one_that_waits_for_ever_is_no_verdict_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def wait(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(World, "_say_goodbyes", wait)

        with pytest.raises(VirtualFault, match="it should have ended by"):
            played(plan(self.ONE))

    def test_logging_is_afterwards_as_it_was(self) -> None:
        logger = logging.getLogger("vuemantics_ws")
        before = logger.propagate, logger.handlers[:]

        played(plan(self.ONE))

        assert (logger.propagate, logger.handlers) == before


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

    began_to_go = of(log, Settled)[0].at
    closed = {record.connection: record for record in of(log, Closed)}
    assert sorted((record.code, record.at < began_to_go) for record in closed.values()) == [
        (1000, False), (1000, True), (1006, True), (1006, True),
    ]  # fmt: skip


def test_what_does_not_come_is_waited_for_and_looked_at_only_where_something_came(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def count(*arguments: Any, **options: Any) -> bool:
        nonlocal looks
        looks += 1
        return all_have_come(*arguments, **options)

    monkeypatch.setattr("vuemantics_ws.simulation.virtual.run.all_have_come", count)

    run, _ = played(
        plan(
            """\
            users: {alice: {}}
            uploads: [{id: up, owner: alice, pipeline: image, outcome: stalled@indexing}]
            clients: [{id: tab, user: alice}]
            expect:
              - terminal: {within: 2m}
            """,
            duration="10m",
        )
    )

    assert [finding.name for finding in run.report.broken()] == ["terminal"]
    assert run.report.lasted_s > 120
    assert looks < 40


def test_a_server_that_runs_already_has_no_virtual_time() -> None:
    with pytest.raises(BadScenario, match="has no virtual time"):
        played(
            plan("""\
                server: {url: "ws://127.0.0.1:8000/ws/uploads"}
                users: {alice: {}}
                clients: [{id: tab, user: alice}]
                """)
        )


def test_of_a_run_that_is_over_nothing_is_left_in_memory_but_its_log() -> None:
    gc.collect()
    before = len(_loops())

    _, log = played(bundled("quickstart"))

    assert len(log) > 100
    assert len(_loops()) == before


def _loops() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, VirtualLoop)]
