"""Every mistake in a scenario file is answered once, with what was expected."""

import pytest

from tests.simulation.format.files import SMALL, changed, expecting, problems, with_client, with_upload

WRONG = {
    "a version that is true": (changed("version: 1", "version: true"), "version: expected 1, got true"),
    "an auth that is a number": (with_client(script="[{auth: 1}]"), "script[0].auth: expected true, got 1"),
    "no unit": (changed("10s", "10"), "expected a duration with its unit"),
    "a unit that is none": (changed("10s", "10 apples"), "expected a duration such as"),
    "a duration below nothing": (changed("10s", "-1s"), "expected a duration such as"),
    "text for a list": (
        changed("clients:\n  - {id: tab, user: alice}", "clients: tab"),
        "clients: expected a list, such as clients: [{id: tab, user: alice}], got 'tab'",
    ),
    "text for keys": (changed("{alice: {}}", "alice"), "expected keys and values"),
    "nobody at all": (changed("{alice: {}}", "{}"), "users: expected at least 1 of them"),
    "an empty pipeline": (with_upload(pipeline="[]"), "expected at least 1 of them"),
    "a number for text": (
        changed("description: One upload and one tab.", "description: 12"),
        "expected text, such as description: What it shows., got 12",
    ),
    "text for a number": (with_upload(count="three"), "expected a whole number, got 'three'"),
    "half a client": (with_client(count="1.5"), "expected a whole number, got 1.5"),
    "nobody in a fleet": (with_client(count="0"), "expected at least 1, got 0"),
    "a fleet too big": (with_client(count="10001"), "expected at most 10000"),
    "a name with a colon": (changed("id: tab", "id: 'tab:0'"), "expected a name of at most 64 letters"),
    "a client called all": (changed("id: tab", "id: all"), "all stands for everybody"),
    "a stage that is an end": (with_upload(pipeline="[{stage: completed, for: 1s}]"), "expected one of queued"),
    "a stage that is not passed": (with_upload(outcome="failed@extracting_frames"), "expected a stage of the pipeline"),
    "an outcome that is none": (with_upload(outcome="done"), "expected completed, failed, stalled"),
    "a stage of what has none": (with_upload(outcome="completed@indexing"), "expected completed, failed, stalled"),
    "shares that are not all": (
        with_upload(outcome="{completed: 97%, failed: 2%}"),
        "outcome: expected shares that make 100% together, got 99%",
    ),
    "a share without its sign": (
        with_upload(outcome="{completed: 97%, failed: 3}"),
        "outcome.failed: expected a share such as 10%, got 3 (did you mean 3%?)",
    ),
    "a stage in a share that is not passed": (
        with_upload(outcome="{completed: 97%, failed@extracting_frames: 3%}"),
        "outcome.failed@extracting_frames: expected a stage of the pipeline",
    ),
    "a typo in one stage": (
        with_upload(pipeline="[{stage: queued, for: 1s}, {stage: indexin, for: 1s}]"),
        "pipeline[1].stage: expected one of queued",
    ),
    "a rate of progress without unit": (
        with_upload(pipeline="{progress: 10, for: 1s}"),
        "pipeline.progress: expected a rate such as 20/s, got 10 (did you mean 10/s?)",
    ),
    "a fleet that is counted twice": (
        with_upload(count="3", arrive="{rate: 5/s, for: 1m}"),
        "expected start and count, or arrive",
    ),
    "an arrival of too many": (with_upload(arrive="{rate: 1000000/s, for: 31d}"), "uploads in all"),
    "a join that is no time": (with_client(join="soon"), "clients[0].join: expected a duration such as"),
    "a join with two meanings": (
        with_client(join="{around: up.start, arrive: 1/s, for: 1s}"),
        "join: expected a time, or exactly one of around, ramp and arrive",
    ),
    "a join around nothing": (
        with_client(join="{around: upp.terminal}"),
        "join.around: there is no upload 'upp' (did you mean up?)",
    ),
    "a join around no moment": (
        with_client(join="{around: up.end}"),
        "join.around: expected UPLOAD.start or UPLOAD.terminal, got 'up.end'",
    ),
    "a ramp that falls": (
        with_client(join="{ramp: [{to: 3, over: 1s}, {to: 2, over: 1s}]}"),
        "expected a ramp that does not fall",
    ),
    "a count beside a ramp": (
        with_client(count="3", join="{ramp: [{to: 3, over: 1s}]}"),
        "expected a count, or a join that says how many come",
    ),
    "a network that is not there": (with_client(network="wfi"), "network: there is no network 'wfi' (did you mean wifi?)"),
    "a token that is none": (with_client(token="expird"), "got 'expird' (did you mean expired?)"),
    "a list for a token": (with_client(token="[]"), "token: expected one of valid, none"),
    "a ttl of an expired token": (with_client(token="{kind: expired, ttl: 3s}"), "expected ttl beside a valid token only"),
    "one upload for a list": (
        with_client(subscribe="up"),
        "subscribe: expected own, none, or a list of uploads such as [holiday], got 'up'",
    ),
    "a reconnect that is none": (
        with_client(reconnect="nnone"),
        "expected default, none, or keys and values, got 'nnone' (did you mean none?)",
    ),
    "a step that is none": (with_client(script="[auth, ath]"), "script[1]: expected auth, or exactly one of wait"),
    "a step with a typo": (
        with_client(script="[auth, {wiat: 1s}]"),
        "script[1].wiat: there is no such key (did you mean wait?)",
    ),
    "a step that does two things": (
        with_client(script="[{wait: 1s, send_raw: x}]"),
        "script[0]: expected auth, or exactly one",
    ),
    "too many steps": (with_client(script="[" + "auth, " * 1001 + "]"), "script: expected at most 1000 of them"),
    "two ways of reading": (with_client(reading="{rate: 1kB/s, stop: 1s}"), "reading: expected exactly one of rate and stop"),
    "a node that is none": (with_client(node="'node:x'"), "node: expected a node such as node:0, got 'node:x'"),
    "a key without a value": (with_client(leave=""), "leave: expected a value, got nothing"),
    "a sweep backwards": (SMALL + "sweep: 5..1", "sweep: expected a range from the smaller to the larger"),
    "a sweep that is none": (SMALL + "sweep: 5", "sweep: expected a range of seeds such as 1..500, got 5"),
    "a sweep without end": (SMALL + "sweep: 1..1000001", "sweep: expected at most 1000000 seeds, got 1000001"),
    "a URL that is none": (SMALL + "server: {url: 'http://127.0.0.1'}", "server.url: expected a URL that begins with ws://"),
    "half a character": (with_client(script='[{send_raw: "\\ud800"}]'), "expected whole characters"),
    "a duration beyond reason": (changed("10s", "32d"), "duration: expected at most 31d, got '32d'"),
    "a rate beyond reason": (with_upload(arrive="{rate: 1000001/s, for: 1s}"), "expected at most 1000000/s"),
    "a number beyond reason": (
        with_upload(count="99999999999999999999"),
        "expected a whole number, got '99999999999999999999'",
    ),
    "a metric that is none": (
        expecting("server: {metric: conections, min: 1}"),
        "got 'conections' (did you mean connections?)",
    ),
    "a limit that is none": (expecting("server: {metric: limits.grace, min: 1}"), "expected one of connections"),
    "a close code that is none": (expecting("server: {metric: closes.999, min: 1}"), "expected one of connections"),
    "a probe that is none": (expecting("sometimes: {that: reconected}"), "got 'reconected' (did you mean reconnected?)"),
    "bounds that exclude each other": (
        expecting("dropped: {reason: stale, min: 2, max: 1}"),
        "expected a min that is not above max",
    ),
    "no clients at all": (expecting("terminal: {clients: []}"), "expected all, a name, or a list of names that is not empty"),
    "a latency without its unit": (
        expecting("latency: {clients: tab, p99: 500}"),
        "latency.p99: expected a duration with its unit, such as 250ms or 30s, got 500 (did you mean 500ms?)",
    ),
    "a network without units": (SMALL + "network: {far: {latency: 80}}", "got 80 (did you mean 80ms?)"),
    "a jitter without its unit": (SMALL + "network: {far: {jitter: 9}}", "got 9 (did you mean 9ms?)"),
    "no percentile": (expecting("latency: {clients: tab}"), "expected at least one of p50"),
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
        "expected exactly one of terminal, received, close",
    ),
    "an unknown setting": (SMALL + "server: {config: {grac: 1s}}", "no such setting (did you mean grace?)"),
    "a setting without unit": (SMALL + "server: {config: {grace: 5}}", "server.config.grace: expected DURATION"),
    "a setting out of range": (SMALL + "server: {config: {ping_interval: 1ms}}", "ping_interval: expected at least"),
    "a setting that is ours": (SMALL + "server: {config: {port: 80}}", "a simulation chooses it"),
    "an upload where there is none": (
        with_client(join="{around: up.start}").replace("uploads:\n  - {id: up, owner: alice, pipeline: image}\n", ""),
        "clients[0].join.around: there is no upload 'up'",
    ),
    "some of what is no fleet": (with_upload(only="[0]"), "expected only beside what makes a fleet"),
    "a member that the fleet does not have": (
        with_client(count="3", only="[0, 3]"),
        "expected members below 3 for only, got 3",
    ),
    "a member twice": (with_upload(count="3", only="[1, 2, 1]"), "expected each member once, got 1 twice"),
    "no member": (with_upload(count="3", only="[]"), "expected at least 1"),
    "an audit that goes back to nothing": (
        with_upload(pipeline="[{stage: description_audit, for: 1s}]", messiness="{retries: 5%}"),
        "expected no retries where there is no stage vision_analysis with a description_audit after it",
    ),
    "an audit at a rate of progress": (
        with_upload(pipeline="{progress: 5/s, for: 1s}", messiness="{retries: 5%}"),
        "expected no retries where there is no stage",
    ),
    "too many events": (
        with_upload(count="10000", pipeline="[{stage: queued, for: 1s, steps: 1000}]"),
        "expected at most 1000000 events in all, got up to 10010000",
    ),
    "too many subscribes": (
        with_upload(count="1000").replace("user: alice}", "user: alice, count: 1001}"),
        "expected at most 1000000 subscribes of all clients together, got up to 1001000",
    ),
    "too many clients": (
        SMALL + "".join(f"  - {{id: t{n}, user: alice, count: 10000, subscribe: none}}\n" for n in range(2)),
        "expected at most 20000 clients in all, got 20001",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name: str) -> None:
    text, said = WRONG[name]

    found = problems(text)

    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("x.yaml:")
