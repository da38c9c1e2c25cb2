"""Every fault that a file may have happens in virtual time, is seen, and leaves everybody with what they are owed."""

import re

import pytest

from tests.simulation.virtual.playing import of, plan, played
from vuemantics_ws.errors import EnvironmentUnfit
from vuemantics_ws.simulation.format.faults import FAULTS
from vuemantics_ws.simulation.log import FaultBegan, FaultEnded, Published
from vuemantics_ws.simulation.virtual.around_hub import HubAsRedis
from vuemantics_ws.simulation.virtual.run import VirtualOptions

WORLD = """\
    server: {{nodes: 2, config: {{grace: 20s, drain: 1s}}}}
    users: {{alice: {{count: 3}}}}
    uploads: [{{id: up, owner: alice, count: 6, start: 0s..5s, pipeline: {{progress: 2/s, for: 25s}}, outcome: completed}}]
    clients:
      - {{id: tab, user: alice, count: 12, join: 0s..1s}}
      - {{id: far, user: alice, count: 3, join: 0s..1s, network: wifi}}
    faults:
      - {{at: 10s, {fault}}}
    expect:
      - terminal: {{is: completed, within: 5s, after: faults}}
"""

SEEN = {
    "do: connections.kill, target: 50%": (r"\d+ connections were reset", None),
    "do: node.restart, target: 'node:0', down: 2s": ("it takes nobody any more", r"it was ready again after 0\.\d s"),
    "do: node.kill, target: 'node:1', down: 2s": ("it ended with exit code -9", r"it was ready again after 0\.\d s"),
    "do: node.pause, target: 'node:0', for: 5s": ("it does not answer", "it answers again"),
    "do: redis.down, for: 5s": ("it ended with exit code -9", "another process answers$"),
    "do: redis.down, for: 5s, lose_data: true": ("it ended with exit code -9", "another process answers, with nothing in it"),
    "do: redis.hang, for: 5s": ("it does not answer", "it answers again"),
    "do: redis.restart": ("it ended with exit code -9", "another process answers$"),
    "do: redis.restart, lose_data: true": ("it ended with exit code -9", "another process answers, with nothing in it"),
    "do: redis.flush": (r"\d+ keys are gone", None),
    "do: redis.kill_pubsub": (r"\d connections of subscribers were ended", None),
    "do: redis.failover, for: 2s, behind: 1s": (
        "it ended with exit code -9", "another process answers, which had not heard the last 1 s",
    ),
    "do: redis.failover, for: 2s, behind: 30s": (
        "it ended with exit code -9", "another process answers, which had not heard the last 30 s",
    ),
    "do: partition, between: ['node:0', redis], for: 5s": (
        r"\d+ connections are cut off", r"\d+ bytes waited, and something passes again",
    ),
    "do: partition, between: ['node:0', tab], for: 5s": (
        r"\d+ connections are cut off", r"\d+ bytes waited, and something passes again",
    ),
    "do: network.change, target: tab, how: mobile, for: 5s": ("12 clients are on another network", None),
    "do: clock.jump, for: 1h": (r"2 clocks jumped by \+3600 s", None),
    "do: clock.jump, for: 1h, how: back, target: 'node:1'": (r"1 clock jumped by -3600 s", None),
}  # fmt: skip
"""By fault: what is seen of its beginning, and of its end where that is another thing."""


def test_no_fault_is_left_out() -> None:
    assert {fault.partition(",")[0].removeprefix("do: ") for fault in SEEN} == set(FAULTS)


@pytest.mark.parametrize("broker", ["simulated", "redis"])
@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_is_seen_and_everybody_learns_the_end(fault: str, broker: str) -> None:
    began, ended = SEEN[fault]

    run, log = played(plan(WORLD.format(fault=fault), duration="2m"), VirtualOptions(broker=broker))  # type: ignore[arg-type]

    assert run.report.broken() == []
    (first,), (last,) = of(log, FaultBegan), of(log, FaultEnded)
    assert re.match(began, first.evidence or "")
    assert re.match(ended or began, last.evidence or "") or (ended is None and last.evidence is None)


MEETING = """\
    server: {{nodes: 2, config: {{grace: 20s, drain: 1s}}}}
    users: {{alice: {{}}}}
    uploads: [{{id: up, owner: alice, start: 0s, pipeline: video}}]
    clients: [{{id: tab, user: alice}}]
    faults:
      - {{at: 8s, do: {one}}}
      - {{at: 9s..19s, do: {other}}}
"""


@pytest.mark.parametrize("broker", ["simulated", "redis"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("node.kill, target: 'node:1', down: 10s", "node.kill, target: 'node:1', down: 1s"),
        ("node.restart, target: 'node:1', down: 10s", "node.kill, target: 'node:1', down: 1s"),
        ("redis.failover, for: 10s", "redis.restart, lose_data: true"),
        ("redis.down, for: 10s", "redis.down, for: 1s"),
    ],
)
def test_what_two_faults_befall_at_once_is_started_again_once(one: str, other: str, broker: str) -> None:
    meeting = plan(MEETING.format(one=one, other=other), duration="2m", seed=3)

    _, log = played(meeting, VirtualOptions(broker=broker))  # type: ignore[arg-type]

    assert None in [began.evidence for began in of(log, FaultBegan)], "they have not met"
    assert len(of(log, FaultEnded)) == 2


def test_a_redis_that_cannot_be_started_again_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cannot(self: HubAsRedis) -> None:
        raise EnvironmentUnfit("nobody starts it")

    monkeypatch.setattr(HubAsRedis, "start", cannot)

    with pytest.raises(EnvironmentUnfit, match="nobody starts it"):
        played(plan(WORLD.format(fault="do: redis.restart"), duration="2m"), VirtualOptions(broker="simulated"))


@pytest.mark.parametrize("broker", ["simulated", "redis"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_plain_publishers_are_heard_from_the_beginning(nodes: int, broker: str) -> None:
    world = f"""\
        server: {{nodes: {nodes}, config: {{access: open, grace: 5s, drain: 1s}}}}
        users: {{alice: {{}}}}
        uploads: [{{id: up, owner: alice, count: 6, start: 0s, pipeline: image, publisher: plain}}]
        clients: [{{id: tab, user: alice}}]
        faults: [{{at: 20s, do: node.restart}}]
    """

    run, log = played(plan(world, duration="1m"), VirtualOptions(broker=broker))  # type: ignore[arg-type]

    assert run.report.broken() == []
    assert {published.verdict for published in of(log, Published)} == {"accepted"}


def test_what_plain_publishers_say_while_the_only_node_is_gone_is_lost_and_no_fault_of_anybody() -> None:
    world = """\
        server: {config: {access: open, grace: 30s, drain: 1s}}
        users: {alice: {}}
        uploads: [{id: up, owner: alice, count: 3, start: 0s, pipeline: {progress: 2/s, for: 40s}, publisher: plain}]
        clients: [{id: tab, user: alice, reconnect: {initial: 1s, max: 2s, attempts: 100}}]
        faults: [{at: 10s, do: node.kill, down: 20s}]
    """

    run, log = played(plan(world, duration="2m"))

    assert run.report.broken() == []
    assert "unheard" in {published.verdict for published in of(log, Published)}


@pytest.mark.parametrize("do", ["node.kill", "node.restart"])
@pytest.mark.parametrize("seed", range(5))
def test_a_follow_outlives_its_node_for_all_of_the_grace_time(seed: int, do: str) -> None:
    world = f"""\
        server: {{config: {{grace: 5s, drain: 1s}}}}
        users: {{alice: {{count: 5}}}}
        uploads: [{{id: up, owner: alice, count: 5, start: 0s, pipeline: {{progress: 2/s, for: 60s}}}}]
        clients: [{{id: tab, user: alice, count: 5, reconnect: {{initial: 3s, jitter: 1s}}}}]
        faults: [{{at: 24s..29s, do: {do}, down: 1ms}}]
    """

    run, _ = played(plan(world, duration="2m", seed=seed), VirtualOptions(broker="simulated"))

    assert run.report.broken() == []


@pytest.mark.parametrize(
    ("down_s", "last"), [(3, r"\d+ bytes waited, and something passes again$"), (8, r"\d+ bytes waited, and there is nobody")]
)
def test_a_partition_from_a_redis_that_is_down_is_seen_by_who_tries_to_reach_it(down_s: int, last: str) -> None:
    parted = "do: partition, between: ['node:0', redis], for: 5s"
    fault = f"do: redis.down, for: {down_s}s}}\n      - {{at: 11s, {parted}"

    run, log = played(plan(WORLD.format(fault=fault), duration="2m"), VirtualOptions(broker="redis"))

    assert run.report.broken() == []
    began = [each.evidence for each in log if isinstance(each, FaultBegan) and each.do == "partition"]
    ended = [each.evidence for each in log if isinstance(each, FaultEnded) and each.do == "partition"]
    assert began == ["nobody was connected; who tries to will wait"]
    assert re.match(last, ended[0] or "")


def test_a_partition_of_a_node_that_is_not_there_is_not_seen() -> None:
    parted = "do: partition, between: ['node:0', redis], for: 2s"
    fault = f"do: node.kill, target: 'node:0', down: 5s}}\n      - {{at: 11s, {parted}"

    run, log = played(plan(WORLD.format(fault=fault), duration="2m"), VirtualOptions(broker="redis"))

    assert [finding.name for finding in run.report.broken()] == ["faults"]
    assert [each.evidence for each in log if isinstance(each, FaultEnded) and each.do == "partition"] == [None]
