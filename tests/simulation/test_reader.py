"""A scenario file is read whole or not at all: all errors at once, with line, key and the nearest name."""

import textwrap
from pathlib import Path

import pytest

from vuemantics_ws.errors import BadScenario
from vuemantics_ws.messages import Stage
from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.reader import NotBuiltYet, load_scenario, parse_scenario
from vuemantics_ws.simulation.scenario import Scenario

SMALL = """\
version: 1
name: small
description: One upload and one tab.
duration: 10s
users: {alice: {}}
uploads:
  - {id: up, owner: alice, pipeline: image}
clients:
  - {id: tab, user: alice}
"""


def read(text: str) -> Scenario:
    return parse_scenario(text, file="x.yaml", environment={})


def problems(text: str) -> list[str]:
    with pytest.raises(BadScenario) as refused:
        read(text)
    return list(refused.value.problems)


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def with_upload(**keys: str) -> str:
    """The small scenario with these keys on its upload."""
    given = {"pipeline": "image", **keys}
    written = ", ".join(f"{key}: {value}" for key, value in given.items())
    return changed("{id: up, owner: alice, pipeline: image}", f"{{id: up, owner: alice, {written}}}")


def with_client(**keys: str) -> str:
    written = "".join(f", {key}: {value}" for key, value in keys.items())
    return changed("{id: tab, user: alice}", f"{{id: tab, user: alice{written}}}")


def expecting(expectation: str) -> str:
    return SMALL + f"expect:\n  - {expectation}\n"


def test_what_is_left_out_has_its_default() -> None:
    scenario = read(SMALL)

    assert (scenario.seed, scenario.duration, scenario.server.nodes, scenario.server.config) == (1, 10.0, 1, {})
    upload, client = scenario.uploads[0], scenario.clients[0]
    assert (upload.start, upload.outcome.kind, upload.publisher, upload.regenerate) == (
        Spread(0, 0),
        "completed",
        "versioned",
        None,
    )
    assert [step.stage for step in upload.pipeline][:2] == [Stage.QUEUED, Stage.VISION_ANALYSIS]
    assert (client.join, client.subscribe, client.leave, client.token) == (Spread(0, 0), None, None, "valid")
    assert (client.reconnect.initial, client.reconnect.max, client.reconnect.jitter, client.reconnect.attempts) == (
        1,
        30,
        3,
        10,
    )


def test_everything_that_is_built_can_be_said() -> None:
    scenario = read(
        textwrap.dedent("""\
        version: 1
        name: full-1
        description: Everything.
        seed: 7
        duration: 2m
        server: {nodes: 1, config: {grace: 2s, message_bytes_max: 4KiB, messages_per_s: 5/s, access: open}}
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
        clients:
          - {id: tab, user: u, count: 40, join: 0s..5s, subscribe: own, token: valid}
          - {id: eye, user: alice, subscribe: [up, again], leave: {after: 1s..2s, how: vanish}, reconnect: none}
          - {id: ear, user: alice, subscribe: none, reconnect: {initial: 500ms, factor: 2, max: 20s, jitter: full, attempts: 3}}
        expect:
          - terminal: {clients: [tab, eye], uploads: again, is: failed, within: 1s, after: reconnect}
          - received: {clients: all, uploads: all, action: upload_progress, per: upload, min: 1, max: 9}
          - close: {clients: ear, codes: [1000, 1006], within: 1s, between: 1s..2s, max_reconnects: 0}
        """)
    )

    up, again = scenario.uploads
    tab, eye, ear = scenario.clients
    assert (up.start, up.pipeline[1].for_s, up.pipeline[1].steps) == (Spread(0, 480), 90.0, 3)
    assert (up.outcome.kind, up.outcome.at, again.outcome.kind) == ("stalled", Stage.INDEXING, "failed")
    assert again.regenerate is not None
    assert (again.regenerate.after, again.regenerate.times) == (1.0, 2)
    assert (tab.subscribe, eye.subscribe, ear.subscribe) == (None, ["up", "again"], [])
    assert eye.leave is not None
    assert (eye.leave.after, eye.leave.how, eye.reconnect.attempts, ear.reconnect.jitter) == (Spread(1, 2), "vanish", 0, None)
    terminal = scenario.expect[0].terminal
    assert terminal is not None
    assert (terminal.clients, terminal.uploads, terminal.outcome, terminal.after) == (
        ["tab", "eye"],
        ["again"],
        "failed",
        "reconnect",
    )
    received = scenario.expect[1].received
    assert received is not None
    assert (received.clients, received.uploads, received.min, received.max) == (None, None, 1, 9)


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
        "x.yaml:1: expected the key description",
        "x.yaml:2: name: expected a name of letters, digits, hyphens and underscores, got 'x y'",
        "x.yaml:3: descripton: there is no such key (did you mean description?)",
        "x.yaml:4: seed: expected at least 0, got -1",
        "x.yaml:5: duration: expected a duration with its unit, such as 250ms or 30s, got 5",
        "x.yaml:6: users.bob.cnt: there is no such key (did you mean count?)",
        "x.yaml:8: uploads[0].start: expected a range from the smaller to the larger, got '5s..1s'",
        "x.yaml:8: uploads[0].pipeline: expected image, video or a list of stages, got 'imag'",
        "x.yaml:8: uploads[0].outcome: expected completed, failed@STAGE or stalled@STAGE",
        "x.yaml:8: uploads[0].owner: there is no user 'alce' (did you mean alice?)",
        "x.yaml:10: clients[0].leave: expected the key after",
        "x.yaml:10: clients[0].leave.how: expected 'close', 'abort' or 'vanish', got 'clos'",
        "x.yaml:10: clients[0].subscribe[1]: there is no upload 'upp' (did you mean up?)",
        "x.yaml:12: expect[0].terminal.wihtin: there is no such key (did you mean within?)",
        "x.yaml:12: expect[0].terminal.clients: there is no client 'tap' (did you mean tab?)",
        "x.yaml:13: expect[1].received: expected min, max or both",
        "x.yaml:14: expect[2]: expected exactly one of terminal, received and close",
    ]


WRONG = {
    "no unit": (changed("10s", "10"), "expected a duration with its unit"),
    "a unit that is none": (changed("10s", "10 apples"), "expected a duration such as"),
    "a duration below nothing": (changed("10s", "-1s"), "expected a duration such as"),
    "text for a list": (changed("clients:\n  - {id: tab, user: alice}", "clients: tab"), "expected a list, got 'tab'"),
    "text for keys": (changed("{alice: {}}", "alice"), "expected keys and values"),
    "nobody at all": (changed("{alice: {}}", "{}"), "users: expected at least 1 of them"),
    "an empty pipeline": (with_upload(pipeline="[]"), "expected at least 1 of them"),
    "a number for text": (changed("description: One upload and one tab.", "description: 12"), "expected text, got 12"),
    "text for a number": (with_upload(count="three"), "expected a whole number, got 'three'"),
    "half a client": (with_client(count="1.5"), "expected a whole number, got 1.5"),
    "nobody in a fleet": (with_client(count="0"), "expected at least 1, got 0"),
    "a fleet too big": (with_client(count="10001"), "expected at most 10000"),
    "a name with a colon": (changed("id: tab", "id: 'tab:0'"), "expected a name of letters"),
    "a client called all": (changed("id: tab", "id: all"), "all stands for everybody"),
    "a stage that is an end": (with_upload(pipeline="[{stage: completed, for: 1s}]"), "expected one of queued"),
    "a stage that is not passed": (with_upload(outcome="failed@extracting_frames"), "expected a stage of the pipeline"),
    "an outcome without its stage": (with_upload(outcome="failed"), "expected completed, failed@STAGE"),
    "a stall that is regenerated": (
        with_upload(outcome="stalled@indexing", regenerate="{after: 1s}"),
        "what stalls is never regenerated",
    ),
    "a plain publisher where owners decide": (with_upload(publisher="plain"), "names no owner"),
    "two uploads of one name": (
        changed("pipeline: image}", "pipeline: image}\n  - {id: up, owner: alice, pipeline: image}"),
        "'up' stands twice, first in line 7",
    ),
    "a foreign action": (expecting("received: {action: upload_done, min: 1}"), "expected 'auth_success'"),
    "a close code out of range": (expecting("close: {codes: [99]}"), "expected at least 1000"),
    "no close codes": (expecting("close: {clients: tab}"), "expected the key codes"),
    "uploads of a ping": (expecting("received: {action: ping, uploads: up, min: 1}"), "expected no uploads"),
    "two expectations in one": (
        expecting("{terminal: {}, close: {codes: [1000]}}"),
        "expected exactly one of terminal, received and close",
    ),
    "an unknown setting": (SMALL + "server: {config: {grac: 1s}}", "no such setting (did you mean grace?)"),
    "a setting without unit": (SMALL + "server: {config: {grace: 5}}", "server.config.grace: expected DURATION"),
    "a setting out of range": (SMALL + "server: {config: {ping_interval: 1ms}}", "ping_interval: expected at least"),
    "a setting that is ours": (SMALL + "server: {config: {port: 80}}", "a simulation chooses it"),
    "too many events": (
        with_upload(count="10000", pipeline="[{stage: queued, for: 1s, steps: 1000}]"),
        "expected at most 1000000 events in all, got 10010000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str) -> None:
    text, said = WRONG[name]

    found = problems(text)

    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("x.yaml:")


UNBUILT = {
    "sweep": SMALL + "sweep: 1..500",
    "network": SMALL + "network: {mine: {latency: 5ms}}",
    "faults": SMALL + "faults:\n  - {at: 1s, do: node.kill, target: 'node:0'}",
    "url": SMALL + "server: {url: 'ws://127.0.0.1:1/ws/uploads'}",
    "more than one node": SMALL + "server: {nodes: 2}",
    "claims": SMALL + "server: {config: {access: claims}}",
    "arrive": with_upload(arrive="{rate: 5/s, for: 1m}"),
    "messiness": with_upload(messiness="{duplicate: 10%}"),
    "an outcome with shares": with_upload(outcome="{completed: 97%, failed: 3%}"),
    "a pipeline with a rate of progress": with_upload(pipeline="{progress: 10/s, for: 2m}"),
    "an exponential spread (~)": with_upload(start="~5s"),
    "anything but a duration or a range here": with_client(join="{around: up.terminal, spread: 50ms}"),
    "a token other than valid": with_client(token="expired"),
    "node": with_client(node="'node:0'"),
    "reading": with_client(reading="{rate: 40kB/s}"),
    "script": with_client(script="[auth]"),
    "after: faults": expecting("terminal: {after: faults}"),
    "modes": expecting("terminal: {modes: [real]}"),
    **{key: expecting(f"{key}: {{}}") for key in ("latency", "connect_time", "indistinguishable", "dropped")},
    **{key: expecting(f"{key}: {{}}") for key in ("server", "health", "rate", "sometimes", "errors")},
}


@pytest.mark.parametrize("what", UNBUILT)
def test_what_is_not_built_yet_is_refused_as_such(what: str) -> None:
    with pytest.raises(NotBuiltYet) as refused:
        read(UNBUILT[what])

    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].endswith(f"{what} is not built yet")


def test_a_file_that_is_wrong_as_well_is_wrong() -> None:
    with pytest.raises(BadScenario) as refused:
        read(SMALL + "sweep: 1..5\nsweeep: 3")

    assert not isinstance(refused.value, NotBuiltYet)
    assert len(refused.value.problems) == 2


def test_a_plain_publisher_may_speak_where_everybody_may_listen() -> None:
    text = with_upload(publisher="plain") + "server: {config: {access: open}}"

    assert read(text).uploads[0].publisher == "plain"


def test_a_file_that_is_not_there_is_an_error_of_the_same_kind(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")

    for path, said in ((tmp_path / "missing.yaml", "no such file"), (tmp_path, "is a directory"), (binary, "expected UTF-8")):
        with pytest.raises(BadScenario, match=said):
            load_scenario(path)


def test_a_file_is_read_with_the_environment_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + "seed: ${env:SEED|1}\n", encoding="utf-8")

    assert load_scenario(path, {"SEED": "5"}).seed == 5
