"""The same file in both arms: the same verdict on everything, and the same conversation with every client.

Of every client this is exact, one connection after the other:

- whether it authenticated, and how it ended: the code, the reason, and who closed it;
- of each upload the ends that it was told, with their versions, in order;
- which of its subscribes were answered, and every error, with its words, in order.

And this is not, since it depends on what came first, and in neither arm is another order wrong:

- which progress it saw, which may be newer by the time it joins, and may be conflated;
- whether an end came once more as the answer to a subscribe, as it does to whoever asks after it;
- whether an upload was known when it was asked for, and what was told of one upload before another.

Not compared are the rules for the simulator itself, since virtual time is never late; what a file expects of one arm alone;
what real time must ``sometimes`` come by, where it was too late for it; and all that is expected of a real run that was late,
because the machine was busy.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.program import running
from tests.simulation.virtual.playing import bundled, played
from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.log import Authenticated, Began, Closed, Opened, Received, Record, from_ndjson

LANES = [["failed-and-stalled"], ["happy-path", "late-join"], ["auth-matrix", "slow-consumer"]]
"""One after the other, beside other lanes: most of their time is waiting, but each needs a core while it starts."""

LATE_S = 0.25
"""By how much a real run may be late, and all of it is compared."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Outcome(NamedTuple):
    laws: dict[str, str]
    """The verdicts by their names."""
    expectations: dict[str, str]
    lag_s: float
    records: list[Record]


@dataclass(slots=True)
class Told:
    """What is exact of one connection."""

    authenticated: bool = False
    ends: dict[str, list[tuple[str, Version | None]]] = field(default_factory=lambda: defaultdict(list))
    answered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    ended: tuple[int, str, str] | None = None


@pytest.fixture(scope="module")
def in_real_time(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("agreement")
    with ThreadPoolExecutor() as threads:
        lanes = threads.map(lambda names: [(name, played_for_real(name, folder)) for name in names], LANES)
        return {name: outcome for lane in lanes for name, outcome in lane}


def played_for_real(name: str, folder: Path) -> Outcome:
    trace = folder / f"{name}.ndjson"
    with running("simulate", name, "--json", "--trace", str(trace)) as process:
        out, err = process.communicate()
    assert process.returncode in (0, 1), err  # with 1 where the machine is too busy for what is expected of real time alone
    report = json.loads(out)
    laws, expectations = (
        {named(each["name"], each["about"]): each["verdict"] for each in report[kind]} for kind in ("laws", "expectations")
    )
    return Outcome(laws, expectations, report["lag_s"], from_ndjson(trace.read_bytes()))


def in_virtual_time(name: str) -> Outcome:
    run, log = played(bundled(name))
    laws, expectations = (
        {named(each.name, each.about): str(each.verdict) for each in found}
        for found in (run.report.laws, run.report.expectations)
    )
    return Outcome(laws, expectations, run.report.lag_s, list(log))


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


@pytest.mark.parametrize("name", [name for lane in LANES for name in lane])
def test_both_arms_agree(name: str, in_real_time: dict[str, Outcome]) -> None:
    real = in_real_time[name]

    virtual = in_virtual_time(name)

    assert conversations(virtual.records) == conversations(real.records)
    assert virtual.laws == real.laws
    assert virtual.expectations.keys() == real.expectations.keys()
    if real.lag_s <= LATE_S:
        assert {each for each in real.expectations if differ(each, virtual, real)} == set()


def differ(expectation: str, virtual: Outcome, real: Outcome) -> bool:
    verdicts = virtual.expectations[expectation], real.expectations[expectation]
    came_too_late = expectation.startswith("sometimes: ") and verdicts[1] == "vacuous"
    return "not judged here" not in verdicts and not came_too_late and verdicts[0] != verdicts[1]
