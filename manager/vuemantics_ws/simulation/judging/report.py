"""The verdict of a run: every law, every expectation, and what a person needs where one of them does not hold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from vuemantics_ws.simulation.format.expected import Arm
from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.disturbances import SOON_S
from vuemantics_ws.simulation.judging.expectations import check_expectations
from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.generator import generator
from vuemantics_ws.simulation.judging.history import History
from vuemantics_ws.simulation.judging.injected import injected
from vuemantics_ws.simulation.judging.latency import connect_time, latency_by_entry
from vuemantics_ws.simulation.judging.percentiles import Durations
from vuemantics_ws.simulation.judging.sound import sound
from vuemantics_ws.simulation.log import Closed, FaultBegan, FaultEnded, Opened, Received, Record, Settled, Unreachable
from vuemantics_ws.simulation.planning.plan import Plan


class FaultSeen(NamedTuple):
    """A fault, with what was seen of its beginning and of its end; ``ended_at_s`` is None where it never ended."""

    do: str
    target: str
    began_at_s: float
    ended_at_s: float | None
    seen: tuple[str, ...]

    @property
    def lasted(self) -> bool:
        """Whether it was more than a moment."""
        return self.ended_at_s is not None and self.ended_at_s - self.began_at_s >= 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run.

    ``rules`` are what must hold of the run itself, or its verdict says little. ``lag_s`` is by how much the 99th of a hundred
    events was published late, or the observer itself was at worst: beyond some milliseconds the machine was too busy for times
    to mean much. An ``interrupted`` run is judged by what there is, so what was not seen yet is not held against it.
    """

    scenario: str
    seed: int
    arm: Arm
    lasted_s: float
    cut_short: bool
    lag_s: float
    laws: tuple[Finding, ...]
    rules: tuple[Finding, ...]
    expectations: tuple[Finding, ...]
    published: dict[str, int]
    received: dict[str, int]
    connections: int
    closes: dict[str, int]
    unreachable: int
    upload_names: dict[str, str]
    """By id."""
    client_names: dict[int, str]
    """By connection."""
    latency: dict[str, float] = field(default_factory=dict)
    """Percentiles of all clients, by their names with their unit; empty where nothing was measured."""
    latency_of: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same by the clients' entries in the file."""
    connect_time: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    others_publish: bool = False
    """Of its uploads."""
    nodes: tuple[str, ...] = ()
    faults: tuple[FaultSeen, ...] = ()
    other_access: str = ""
    """The server's access rule, where it is not the one that the scenario was written for."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return (*self.laws, *self.rules, *self.expectations)

    @property
    def holds(self) -> bool:
        return not self.interrupted and not self.broken()

    @property
    def states(self) -> int:
        """States that clients got, all together."""
        return sum(self.received.get(action, 0) for action in ("upload_progress", "upload_completed", "upload_failed"))

    @property
    def deliveries_per_s(self) -> float:
        return self.states / self.lasted_s if self.lasted_s else 0.0

    def broken(self) -> list[Finding]:
        """What does not hold, the earliest first; what saw nothing comes last."""
        broken = [finding for finding in self.findings if not finding.is_good]
        if self.interrupted:
            broken = [finding for finding in broken if finding.violation is not None]
        return sorted(broken, key=lambda finding: finding.violation.at if finding.violation else float("inf"))


def judge_run(plan: Plan, records: Iterable[Record] | History, *, arm: Arm = "real", interrupted: bool = False) -> Report:
    """Judge a whole run, of either arm; or one that was ``interrupted``, as far as it came, from its log or its history."""
    history = records if isinstance(records, History) else History(records)
    published = history.published
    lags = Durations(record.sent_at - record.scheduled_at - record.held_up_s for record in published)
    by_entry = latency_by_entry(history)
    latency = _together(by_entry.values())
    connect_times = (connect_time(connection) for connection in history.connections.values())
    return Report(
        scenario=history.began.scenario,
        seed=history.began.seed,
        arm=arm,
        lasted_s=history.ends_at,
        cut_short=any(settled.cut_short for settled in history.of(Settled)),
        lag_s=max(lags.at(0.99) if lags.count else 0.0, history.soon_s - SOON_S),
        laws=tuple(check_laws(history)),
        rules=tuple(_rules(plan, history, latency, arm, interrupted)),
        expectations=tuple(check_expectations(plan, history, arm=arm, interrupted=interrupted)),
        published=dict(Counter(record.verdict or "failed" for record in published)),
        received=dict(Counter(record.action for record in history.of(Received))),
        connections=len(history.of(Opened)),
        closes={str(code): count for code, count in sorted(Counter(record.code for record in history.of(Closed)).items())},
        unreachable=len(history.of(Unreachable)),
        upload_names={upload_id: upload.name for upload_id, upload in history.began.uploads.items()},
        client_names={number: connection.client for number, connection in history.connections.items()},
        latency=latency.figures(),
        latency_of={entry: durations.figures() for entry, durations in by_entry.items()},
        connect_time=Durations(took_s for took_s in connect_times if took_s is not None).figures(),
        interrupted=interrupted,
        others_publish=bool(history.began.uploads) and not any(upload.published for upload in history.began.uploads.values()),
        nodes=history.began.nodes,
        faults=tuple(_faults(history.records)),
        other_access=history.began.access if history.began.access != plan.access else "",
    )


def _rules(plan: Plan, history: History, latency: Durations, arm: Arm, interrupted: bool) -> Iterator[Finding]:
    yield generator(plan, history, latency, arm=arm)
    if plan.faults:
        yield injected(plan, history, interrupted=interrupted)
    if arm == "virtual":
        yield sound(history)


def _faults(records: Iterable[Record]) -> Iterator[FaultSeen]:
    ended = {record.number: record for record in records if isinstance(record, FaultEnded)}
    for record in records:
        if isinstance(record, FaultBegan):
            end = ended.get(record.number)
            seen = dict.fromkeys(each.evidence for each in (record, end) if each is not None and each.evidence is not None)
            yield FaultSeen(record.do, record.target, record.at, end.at if end is not None else None, tuple(seen))


def _together(parts: Iterable[Durations]) -> Durations:
    whole = Durations()
    for part in parts:
        whole.merge(part)
    return whole


def to_json(report: Report) -> dict[str, Any]:
    """The report as one JSON object. Where something does not hold, it has the names behind ids and connections too."""
    names = {} if report.holds else {"upload_names": report.upload_names, "client_names": report.client_names}
    return {
        "scenario": report.scenario,
        "seed": report.seed,
        "arm": report.arm,
        "holds": report.holds,
        **({"interrupted": True} if report.interrupted else {}),
        "lasted_s": round(report.lasted_s, 3),
        "cut_short": report.cut_short,
        "lag_s": round(report.lag_s, 4),
        "laws": [_finding(finding) for finding in report.laws],
        "rules": [_finding(finding) for finding in report.rules],
        "expectations": [_finding(finding) for finding in report.expectations],
        "published": report.published,
        "received": report.received,
        "deliveries_per_s": round(report.deliveries_per_s, 1),
        "latency": {**_rounded(report.latency), "of": {entry: _rounded(each) for entry, each in report.latency_of.items()}},
        "connect_time": _rounded(report.connect_time),
        "connections": report.connections,
        "closes": report.closes,
        "unreachable": report.unreachable,
        "nodes": list(report.nodes),
        "faults": [
            {
                **fault._asdict(),
                "began_at_s": round(fault.began_at_s, 3),
                "ended_at_s": round(fault.ended_at_s, 3) if fault.ended_at_s is not None else None,
            }
            for fault in report.faults
        ],
        **names,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": finding.name,
        "about": finding.about,
        "verdict": finding.verdict,
        "samples": finding.samples,
    }
    if finding.figures:
        said["figures"] = _rounded(finding.figures)
    if finding.violation is not None:
        said["violation"] = {
            "at": round(finding.violation.at, 3),
            "message": finding.violation.message,
            "context": [msgspec.to_builtins(record) for record in finding.violation.context],
        }
    return said


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """To the microsecond, which is more than a clock of ours says."""
    return {name: round(value, 6) for name, value in figures.items()}
