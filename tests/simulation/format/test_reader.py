"""A scenario file is read whole or not at all: all errors at once, with line, key and the nearest name."""

import os
import textwrap
from pathlib import Path

import pytest

from tests.simulation.format.files import SMALL, changed, expecting, problems, read, with_client, with_upload
from vuemantics_ws.errors import BadScenario
from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Exponential, Spread
from vuemantics_ws.simulation.format.reader import NotBuiltYet, examine, load_scenario
from vuemantics_ws.simulation.format.scenario import ProgressPipeline, Upload


def test_what_is_left_out_has_its_default() -> None:
    scenario = read(SMALL)

    assert (scenario.seed, scenario.duration, scenario.server.nodes, scenario.server.config) == (1, 10.0, 1, {})
    upload, client = scenario.uploads[0], scenario.clients[0]
    assert (upload.start, upload.publisher, upload.regenerate) == (Spread(0, 0), "versioned", None)
    assert endings(upload) == [("completed", None, 1.0)]
    assert isinstance(upload.pipeline, list)
    assert [step.stage for step in upload.pipeline][:2] == [Stage.QUEUED, Stage.VISION_ANALYSIS]
    assert (client.join.at, client.subscribe, client.leave, client.token.kind) == (Spread(0, 0), None, None, "valid")
    reconnect = client.reconnect
    assert (reconnect.initial, reconnect.max, reconnect.jitter, reconnect.attempts) == (1, 30, 3, 10)


def endings(upload: Upload) -> list[tuple[str, Stage | None, float]]:
    return [(share.ending.kind, share.ending.at, share.share) for share in upload.outcome.shares]


FULL = """\
version: 1
name: full-1
description: Everything.
seed: 7
sweep: 1..500
duration: 2m
server: {nodes: 1, config: {grace: 2s, message_bytes_max: 4KiB, messages_per_s: 5/s, access: open}}
network:
  train: {latency: 50ms..2s, jitter: 100ms, loss: 5%, bandwidth: 50kB/s, outage: {every: ~20s, for: 2s..5s, how: reset}}
users: {alice: {}, u: {count: 20}}
uploads:
  - id: up
    owner: u
    count: 40
    start: 0s..8m
    pipeline: [{stage: queued, for: 250ms}, {stage: indexing, for: 1m30s, steps: 3}]
    outcome: stalled@indexing
    publisher: plain
  - {id: again, owner: alice, pipeline: video, outcome: failed@vision_analysis, regenerate: {after: 1s, times: 2}}
  - id: flow
    owner: u
    arrive: {rate: 2/s, for: 30s}
    pipeline: {progress: 10/s, for: 2m}
    outcome: {completed: 97%, failed: 2%, stalled@indexing: 1%}
    messiness: {duplicate: 10%, reorder: 5%, after_terminal: 2}
  - {id: ghost, owner: alice, pipeline: image, publisher: none}
clients:
  - {id: tab, user: u, count: 40, join: 0s..5s, subscribe: own, token: valid, node: "node:0"}
  - {id: eye, user: alice, subscribe: [up, again], leave: {after: 1s..2s, how: vanish}, reconnect: none}
  - {id: ear, user: alice, subscribe: none, reconnect: {initial: 500ms, factor: 2, max: 20s, jitter: full, attempts: 3}}
  - {id: racing, user: alice, count: 3, join: {around: again.terminal, spread: 50ms}, network: mobile, reading: {rate: 40kB/s}}
  - {id: ramp, user: u, join: {ramp: [{to: 10, over: 5s}, {to: 30, over: 5s}]}, network: train, reading: {stop: 1s, for: 3s}}
  - {id: flood, user: u, join: {arrive: 10/s, for: 2s}, token: {ttl: 30s}}
  - id: rude
    user: alice
    token: alg_none
    script: [auth, {wait: 1s}, {send: {action: subscribe_upload, upload_id: again}}, {send_raw: "{not json"}]
expect:
  - terminal: {clients: [tab, eye], uploads: again, is: failed, within: 1s, after: reconnect}
  - received: {clients: all, uploads: all, action: upload_progress, per: upload, min: 1, max: 9}
  - close: {clients: ear, codes: [1000, 1006], within: 1s, between: 1s..2s, max_reconnects: 0}
  - latency: {clients: tab, uploads: up, p50: 10ms, p99: 250ms, modes: [real]}
  - connect_time: {p90: 1s, max: 5s}
  - indistinguishable: {clients: [eye, ear]}
  - dropped: {reason: after_terminal, min: 1}
  - server: {metric: outbox_bytes_max, max: 300kB}
  - rate: {of: connects, max: 60/s, window: 1s}
  - sometimes: {that: outbox used}
  - errors: {clients: rude, code: bad_message, max: 3}
"""


def test_everything_that_is_built_can_be_said() -> None:
    scenario = read(FULL)

    up, again, flow, ghost = scenario.uploads
    tab, eye, ear, racing, ramp, flood, rude = scenario.clients
    assert scenario.sweep == (1, 500)
    train = scenario.network["train"]
    assert (train.latency, train.loss, train.bandwidth) == (Spread(0.05, 2.0), 0.05, 50_000)
    assert train.outage is not None
    assert (train.outage.every, train.outage.for_s, train.outage.how) == (Exponential(20), Spread(2, 5), "reset")
    assert isinstance(up.pipeline, list)
    assert (up.start, up.pipeline[1].for_s, up.pipeline[1].steps) == (Spread(0, 480), 90.0, 3)
    assert (endings(up), endings(again)) == (
        [("stalled", Stage.INDEXING, 1.0)],
        [("failed", Stage.VISION_ANALYSIS, 1.0)],
    )
    assert again.regenerate is not None
    assert (again.regenerate.after, again.regenerate.times) == (1.0, 2)
    assert isinstance(flow.pipeline, ProgressPipeline)
    assert (flow.members, flow.pipeline.progress, flow.messiness.after_terminal) == (60, 10.0, 2)
    assert endings(flow) == [("completed", None, 0.97), ("failed", None, 0.02), ("stalled", Stage.INDEXING, 0.01)]
    assert ghost.publisher == "none"
    assert (tab.subscribe, eye.subscribe, ear.subscribe) == (None, ["up", "again"], [])
    assert eye.leave is not None
    assert (eye.leave.after, eye.leave.how, eye.reconnect.attempts, ear.reconnect.jitter) == (Spread(1, 2), "vanish", 0, None)
    assert (racing.join.around, racing.join.spread, ramp.members, flood.members) == ("again.terminal", 0.05, 30, 20)
    assert (flood.token.ttl, rude.token.kind) == (30.0, "alg_none")
    assert rude.script is not None
    assert [(step.auth, step.wait, step.send_raw) for step in rude.script] == [
        (True, None, None), (None, 1.0, None), (None, None, None), (None, None, "{not json"),
    ]  # fmt: skip
    terminal, received = scenario.expect[0].terminal, scenario.expect[1].received
    assert terminal is not None
    assert received is not None
    assert (terminal.clients, terminal.uploads, terminal.outcome) == (["tab", "eye"], ["again"], "failed")
    assert (received.clients, received.uploads, received.min, received.max) == (None, None, 1, 9)
    assert [expectation.server.max for expectation in scenario.expect if expectation.server] == [300_000]


def test_all_errors_come_at_once_each_with_file_line_and_key() -> None:
    text = textwrap.dedent("""\
        version: 2
        name: x y
        descripton: foo
        seed: -1
        duration: 5
        users: {alice: {}, bob: {cnt: 3}}
        uploads:
          - {id: up, owner: alce, start: 5s..1s, pipeline: imag, outcome: faild}
        clients:
          - {id: tab, user: alice, subscribe: [up, upp], leave: {how: clos}}
        expect:
          - terminal: {clients: tap, wihtin: 1s}
          - received: {action: upload_progress}
          - {}
        """)

    assert problems(text) == [
        "x.yaml:1: version: expected 1, got 2",
        "x.yaml:2: name: expected a name of at most 64 letters, digits, hyphens and underscores, got 'x y'",
        "x.yaml:3: descripton: there is no such key (did you mean description?)",
        "x.yaml:4: seed: expected at least 0, got -1",
        "x.yaml:5: duration: expected a duration with its unit, such as 250ms or 30s, got 5 (did you mean 5s?)",
        "x.yaml:6: users.bob.cnt: there is no such key (did you mean count?)",
        "x.yaml:8: uploads[0].start: expected a range from the smaller to the larger, got '5s..1s'",
        "x.yaml:8: uploads[0].pipeline: expected image, video, a list of stages or a rate of progress, "
        "got 'imag' (did you mean image?)",
        "x.yaml:8: uploads[0].outcome: expected completed, failed, stalled, failed@STAGE or stalled@STAGE, "
        "got 'faild' (did you mean failed?)",
        "x.yaml:8: uploads[0].owner: there is no user 'alce' (did you mean alice?)",
        "x.yaml:10: clients[0].leave: expected the key after, such as after: 5s",
        "x.yaml:10: clients[0].leave.how: expected 'close', 'abort' or 'vanish', got 'clos' (did you mean close?)",
        "x.yaml:10: clients[0].subscribe[1]: there is no upload 'upp' (did you mean up?)",
        "x.yaml:12: expect[0].terminal.wihtin: there is no such key (did you mean within?)",
        "x.yaml:12: expect[0].terminal.clients: there is no client 'tap' (did you mean tab?)",
        "x.yaml:13: expect[1].received: expected min, max or both",
        "x.yaml:14: expect[2]: expected exactly one of terminal, received, close, latency, connect_time, indistinguishable, "
        "dropped, server, health, rate, sometimes, errors",
    ]


NEWCOMERS = {
    "a typo": (
        changed("pipeline: image", "pipline: image"),
        "x.yaml:7: uploads[0].pipline: there is no such key (did you mean pipeline?)",
    ),
    "a wrong unit": (
        changed("10s", "10sec"),
        "x.yaml:4: duration: expected a duration such as 250ms, 30s or 5m, got '10sec'",
    ),
    "a missing name": (
        changed("user: alice}", "user: bob}"),
        "x.yaml:9: clients[0].user: there is no user 'bob' (there is: alice)",
    ),
    "a wrong type": (
        changed("users: {alice: {}}", "users: [alice]"),
        "x.yaml:5: users: expected keys and values, such as users: {alice: {}}, got a list",
    ),
    "a duplicate key": (
        SMALL + "duration: 20s\n",
        "x.yaml:10: duration: the key stands twice, first in line 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", NEWCOMERS)
def test_a_newcomers_mistake_is_answered_with_what_to_do(mistake: str) -> None:
    text, answer = NEWCOMERS[mistake]

    assert problems(text) == [answer]


UNBUILT = {
    "claims": SMALL + "server: {config: {access: claims}}",
    "http": SMALL + "server: {config: {access: http}}",
}


@pytest.mark.parametrize("what", UNBUILT)
def test_what_is_not_built_yet_is_refused_as_such(what: str) -> None:
    with pytest.raises(NotBuiltYet) as refused:
        read(UNBUILT[what])

    assert len(refused.value.problems) == 1
    assert f"{what} is not built yet" in refused.value.problems[0]


def with_fault(**keys: str) -> str:
    said = ", ".join(f"{key.removesuffix('_')}: {value}" for key, value in keys.items())
    return SMALL + "server: {nodes: 2}\nfaults:\n  - {" + said + "}\n"


def with_faults(*said: str) -> str:
    return SMALL + "server: {nodes: 2}\nfaults:\n" + "".join(f"  - {fault}\n" for fault in said)


FAULTY = {
    "a fault that is none": (with_fault(at="1s", do="node.kil"), "faults[0].do: expected 'connections.kill'"),
    "a fault without a time": (with_fault(do="node.kill"), "faults[0]: expected the key at"),
    "a partition of nothing": (with_fault(at="1s", do="partition", for_="1s"), "faults[0]: expected between with partition"),
    "a pause without end": (with_fault(at="1s", do="node.pause"), "faults[0]: expected for with node.pause"),
    "a key of another fault": (
        with_fault(at="1s", do="redis.flush", lose_data="true"),
        "faults[0]: expected no lose_data with redis.flush",
    ),
    "often without a pause": (with_fault(at="1s", do="redis.flush", times="3"), "faults[0]: expected every beside times"),
    "nobody": (with_fault(at="1s", do="connections.kill", target="0%"), "faults[0].target: expected a share above 0%"),
    "a way that there is not": (with_fault(at="1s", do="connections.kill", how="nicely"), "faults[0]: expected reset for how"),
    "a jump sideways": (
        with_fault(at="1s", do="clock.jump", for_="1h", how="bak"),
        "expected forward or back for how, got 'bak'",
    ),
    "a jump by nothing": (with_fault(at="1s", do="clock.jump"), "faults[0]: expected for with clock.jump"),
    "a jump of a node too many": (
        with_fault(at="1s", do="clock.jump", for_="1h", target="node:2"),
        "faults[0].target: there is no node 'node:2' (did you mean node:1?)",
    ),
    "a replica that never answers": (with_fault(at="1s", do="redis.failover"), "expected for with redis.failover"),
    "a Redis that is behind itself": (
        with_fault(at="1s", do="redis.restart", behind="1s"),
        "faults[0]: expected no behind with redis.restart",
    ),
    "a failover while Redis hangs": (
        with_faults("{at: 2s, do: redis.hang, for: 2s}", "{at: 3s, do: redis.failover, for: 1s}"),
        "faults[1].at: redis is still befallen by the redis.hang in line 12 (let this begin after 4s)",
    ),
    "a node too many": (
        with_fault(at="1s", do="node.kill", target="node:2"),
        "faults[0].target: there is no node 'node:2' (did you mean node:1?)",
    ),
    "a client that there is not": (
        with_fault(at="1s", do="connections.kill", target="tap"),
        "faults[0].target: there is no client 'tap' (did you mean tab?)",
    ),
    "a network that there is not": (
        with_fault(at="1s", do="network.change", how="moble"),
        "faults[0].how: there is no network 'moble' (did you mean mobile?)",
    ),
    "two nodes parted": (
        with_fault(at="1s", do="partition", between="['node:0', 'node:1']", for_="1s"),
        "faults[0].between: expected a node, and redis or the id of clients",
    ),
    "a node parted from nobody": (
        with_fault(at="1s", do="partition", between="['node:0', rediss]", for_="1s"),
        "faults[0].between[1]: there is no client 'rediss'",
    ),
    "a health that is none": (
        expecting("health: {node: 'node:0', is: fine, during: redis.hang}"),
        "health.is: expected 'ready', 'degraded' or 'draining', got 'fine'",
    ),
    "the health of a node too many": (
        expecting("health: {node: 'node:1', is: degraded, during: redis.hang}"),
        "health.node: there is no node 'node:1'",
    ),
    "a client on a node too many": (with_client(node="'node:1'"), "clients[0].node: there is no node 'node:1'"),
    "a fault after everything": (
        with_fault(at="90s", do="redis.flush"),
        "faults[0].at: expected a beginning before the duration of 10s is over, got 90s"
        " (let it begin sooner, or let duration be longer)",
    ),
    "the last time after everything": (
        with_fault(at="1s", do="redis.flush", times="5", every="3s"),
        "faults[0].at: expected a beginning before the duration of 10s is over, got 13s",
    ),
    "an end after everything": (
        with_fault(at="5s..7s", do="node.pause", for_="4s"),
        "faults[0].at: expected an end before the duration of 10s is over, got 11s",
    ),
    "a pause of a node that is being restarted": (
        with_faults("{at: 2s, do: node.restart, down: 2s}", "{at: 3s, do: node.pause, for: 1s}"),
        "faults[1].at: node:0 is still befallen by the node.restart in line 12 (let this begin after 4s)",
    ),
    "a restart at the moment at which a pause ends": (
        with_faults("{at: 3s, do: node.restart}", "{at: 1s, do: node.pause, for: 2s}"),
        "faults[0].at: node:0 is still befallen by the node.pause in line 13 (let this begin after 3s)",
    ),
    "a node that is gone for good": (
        with_faults("{at: 2s, do: node.kill}", "{at: 8s, do: node.kill, down: 1s}"),
        "faults[1].at: node:0 is gone for good since the node.kill in line 12 (give that a down)",
    ),
    "a fault that meets itself": (
        with_fault(at="1s", do="redis.down", for_="2s", times="3", every="1s"),
        "faults[0].at: redis is still befallen by the time before (let every be longer than 2s)",
    ),
    "a partition within a partition": (
        with_faults(
            "{at: 1s, do: partition, between: ['node:0', redis], for: 4s}",
            "{at: 2s, do: partition, between: [redis, 'node:0'], for: 1s}",
        ),
        "faults[1].at: what lies between node:0 and redis is still befallen by the partition in line 12",
    ),
}

MEETING = {
    "two nodes": ("{at: 2s, do: node.pause, for: 2s}", "{at: 3s, do: node.pause, target: 'node:1', for: 2s}"),
    "a node and Redis": ("{at: 2s, do: node.pause, for: 2s}", "{at: 3s, do: redis.flush}"),
    "one after the other": ("{at: 2s, do: node.pause, for: 2s}", "{at: 4500ms, do: node.kill}"),
    "perhaps": ("{at: 2s, do: node.pause, for: 2s}", "{at: 3s..6s, do: node.kill, down: 1s}"),
    "connections": ("{at: 2s, do: connections.kill, times: 3, every: 1s}", "{at: 2s, do: network.change, how: wifi, for: 3s}"),
    "jumps at once": ("{at: 2s, do: clock.jump, for: 30d}", "{at: 2s, do: clock.jump, for: 1h, how: back, target: 'node:1'}"),
    "until just before the end": ("{at: 2s, do: node.pause, for: 7s}", "{at: 9900ms, do: redis.flush}"),
}


@pytest.mark.parametrize("name", MEETING)
def test_faults_that_can_be_side_by_side_may_be(name: str) -> None:
    assert examine(with_faults(*MEETING[name]), {}).problems == []


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_that_cannot_be_is_refused(name: str) -> None:
    text, said = FAULTY[name]

    found = problems(text)

    assert len(found) == 1
    assert said in found[0]


def test_a_file_that_is_wrong_as_well_is_wrong() -> None:
    with pytest.raises(BadScenario) as refused:
        read(SMALL + "server: {config: {access: http}}\nsweeep: 3")

    assert not isinstance(refused.value, NotBuiltYet)
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ("up", None),
        ("another", None),
        ("fleet:1", None),
        ("fleeet:1", "(did you mean fleet?)"),
        ("fleet", "(did you mean fleet:0?)"),
        ("fleet:9", "(did you mean fleet?)"),
    ],
)
def test_a_script_may_name_any_upload_but_a_slip_is_hinted_at(named: str, hint: str | None) -> None:
    text = with_client(script=f"[auth, {{send: {{action: subscribe_upload, upload_id: '{named}'}}}}]").replace(
        "image}", "image}\n  - {id: fleet, owner: alice, count: 3, pipeline: image}"
    )

    examined = examine(text, {})

    assert examined.scenario is not None
    assert [found.at("x.yaml") for found in examined.hints] == (
        [
            f"x.yaml:10: clients[0].script[1].send.upload_id: no upload of the file is called {named!r}, "
            f"so it is sent as it stands {hint}"
        ]
        if hint
        else []
    )


def test_a_plain_publisher_may_speak_where_everybody_may_listen() -> None:
    text = with_upload(publisher="plain") + "server: {config: {access: open}}"

    assert read(text).uploads[0].publisher == "plain"


def test_a_file_that_is_not_there_is_an_error_of_the_same_kind(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")

    for path, said in ((tmp_path / "missing.yaml", "no such file"), (tmp_path, "is a directory"), (binary, "expected UTF-8")):
        with pytest.raises(BadScenario, match=said):
            load_scenario(path)


def test_of_a_file_that_is_too_big_no_more_is_read_than_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("# é", encoding="utf-8")
    os.truncate(path, 2**42)

    with pytest.raises(BadScenario, match=r"big\.yaml: expected a file of at most 1024 KiB"):
        load_scenario(path)


def test_a_file_is_read_with_the_environment_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + "seed: ${env:SEED|1}\n", encoding="utf-8")

    assert load_scenario(path, {"SEED": "5"}).seed == 5
