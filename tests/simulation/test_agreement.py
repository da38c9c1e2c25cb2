"""The same file in both arms: the same verdict on everything, and the same conversation with every client.

Of every client this is exact, one connection after the other:

- whether it authenticated, and how it ended: the code, the reason, and who closed it;
- of each upload the ends that it was told, with their versions, in order;
- which of its subscribes were answered, and every error, with its words, in order.

And this is not, since it depends on what came first, and in neither arm is another order wrong:

- which progress it saw, which may be newer by the time it joins, and may be conflated;
- whether an end came once more as the answer to a subscribe, as it does to whoever asks after it;
- whether an upload was known when it was asked for, and what was told of one upload before another.

Not compared are the rules for the simulator itself, since a machine may be busy and virtual time is never late; what a file
expects of real time alone; and what real time must come by ``sometimes``, where a busy machine was too late for it.
"""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.program import start
from tests.simulation.virtual.playing import played
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.format.bundled import bundled_text
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.log import Authenticated, Began, Closed, Opened, Received, Record, from_ndjson
from vuemantics_ws.simulation.planning.plan import make_plan

SCENARIOS = ["happy-path", "late-join", "failed-and-stalled", "auth-matrix", "slow-consumer"]

FEWER = {
    "count: 50,": f"count: 50, only: {list(range(20))},",
    "count: 20,": "count: 20, only: [0, 1],",
}
"""Of slow-consumer's uploads and fine readers: still more than its slow readers take, and a tenth of the work."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Outcome(NamedTuple):
    verdicts: dict[str, str]
    """Of each law and each expectation."""
    records: list[Record]


@dataclass(slots=True)
class Told:
    """What is exact of one connection."""

    authenticated: bool = False
    ends: dict[str, list[tuple[str, Version | None]]] = field(default_factory=lambda: defaultdict(list))
    answered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    ended: tuple[int, str, str] | None = None


def text_of(name: str) -> str:
    text = bundled_text(name)
    if name == "slow-consumer":
        for all_of_them, some in FEWER.items():
            assert all_of_them in text
            text = text.replace(all_of_them, some)
    return text


@pytest.fixture(scope="module")
def in_real_time(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All of them at once, since most of their time is waiting."""
    folder = tmp_path_factory.mktemp("agreement")
    running: dict[str, tuple[subprocess.Popen[str], Path]] = {}
    try:
        for name in SCENARIOS:
            file, trace = folder / f"{name}.yaml", folder / f"{name}.ndjson"
            file.write_text(text_of(name), encoding="utf-8")
            running[name] = start("simulate", str(file), "--json", "--trace", str(trace)), trace
        return {name: outcome(process, trace) for name, (process, trace) in running.items()}
    finally:
        for process, _ in running.values():
            process.kill()
            process.communicate()


def outcome(process: "subprocess.Popen[str]", trace: Path) -> Outcome:
    out, err = process.communicate()
    assert process.returncode in (0, 1), err  # with 1 where the machine is too busy for what is expected of real time alone
    report = json.loads(out)
    verdicts = {named(each["name"], each["about"]): each["verdict"] for each in [*report["laws"], *report["expectations"]]}
    return Outcome(verdicts, from_ndjson(trace.read_bytes()))


def in_virtual_time(name: str) -> Outcome:
    scenario = parse_scenario(text_of(name), file=f"{name}.yaml", environment={})
    run, log = played(make_plan(scenario, scenario.seed))
    found = [*run.report.laws, *run.report.expectations]
    verdicts: dict[str, str] = {named(each.name, each.about): each.verdict for each in found}
    return Outcome(verdicts, list(log))


def named(name: str, about: str) -> str:
    return f"{name}: {about}"


def conversations(records: Iterable[Record]) -> dict[str, list[Told]]:
    """By client: what is exact of each of its connections, in the order in which it opened them."""
    names: dict[str, str] = {}
    told: dict[int, Told] = {}
    clients: dict[str, list[int]] = defaultdict(list)
    for record in records:
        match record:
            case Began():
                names = {upload_id: upload.name for upload_id, upload in record.uploads.items()}
            case Opened():
                clients[record.client].append(record.connection)
                told[record.connection] = Told()
            case Authenticated():
                told[record.connection].authenticated = True
            case Received(upload_id=upload_id) if record.terminal:
                ends = told[record.connection].ends[names[upload_id or ""]]
                if (end := (record.action, record.version)) not in ends:
                    ends.append(end)
            case Received(action="subscribed", upload_id=upload_id):
                told[record.connection].answered[names[upload_id or ""]] += 1
            case Received(action="error" | "auth_error"):
                told[record.connection].errors.append((record.action, record.code, record.words))
            case Closed():
                told[record.connection].ended = (record.code, record.reason, record.by)
    return {client: [told[number] for number in sorted(numbers)] for client, numbers in clients.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_arms_agree(name: str, in_real_time: dict[str, Outcome]) -> None:
    real = in_real_time[name]

    virtual = in_virtual_time(name)

    assert virtual.verdicts.keys() == real.verdicts.keys()
    for each, verdict in virtual.verdicts.items():
        came_too_late = each.startswith("sometimes: ") and real.verdicts[each] == "vacuous"
        if verdict != "not judged here" and not came_too_late:
            assert verdict == real.verdicts[each], each
    there, here = conversations(real.records), conversations(virtual.records)
    assert here.keys() == there.keys()
    for client, told in there.items():
        assert here[client] == told, client
