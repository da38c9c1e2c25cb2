"""The verdict of a run: every law, every expectation, and what a person needs where one of them does not hold."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from vuemantics_ws.simulation.checkers import check_laws
from vuemantics_ws.simulation.expectations import check_expectations
from vuemantics_ws.simulation.findings import Finding
from vuemantics_ws.simulation.history import SOON_S, History
from vuemantics_ws.simulation.log import Closed, Opened, Published, Received, Record, Settled, Unreachable
from vuemantics_ws.simulation.plan import Plan


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run.

    ``lag_s`` is by how much the 99th of a hundred events was published late, or the observer itself was at worst: beyond some
    milliseconds the machine was too busy for times to mean much.
    """

    scenario: str
    seed: int
    arm: str
    lasted_s: float
    cut_short: bool
    lag_s: float
    laws: tuple[Finding, ...]
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

    @property
    def holds(self) -> bool:
        return all(finding.is_good for finding in (*self.laws, *self.expectations))

    def broken(self) -> list[Finding]:
        """What does not hold, the earliest first; what saw nothing comes last."""
        broken = [finding for finding in (*self.laws, *self.expectations) if not finding.is_good]
        return sorted(broken, key=lambda finding: finding.violation.at if finding.violation else float("inf"))


def judge_run(plan: Plan, records: Iterable[Record], *, arm: str = "real") -> Report:
    """Judge a whole run, of either arm."""
    history = History(records)
    published = [record for record in history.records if isinstance(record, Published)]
    lags = sorted(record.sent_at - record.scheduled_at for record in published)
    closed = [record for record in history.records if isinstance(record, Closed)]
    received = [record for record in history.records if isinstance(record, Received)]
    return Report(
        scenario=history.began.scenario,
        seed=history.began.seed,
        arm=arm,
        lasted_s=history.ends_at,
        cut_short=any(isinstance(record, Settled) and record.cut_short for record in history.records),
        lag_s=max(lags[int(len(lags) * 0.99)] if lags else 0.0, history.soon_s - SOON_S),
        laws=tuple(check_laws(history)),
        expectations=tuple(check_expectations(plan, history)),
        published=dict(Counter(record.verdict or "failed" for record in published)),
        received=dict(Counter(record.action for record in received)),
        connections=sum(isinstance(record, Opened) for record in history.records),
        closes={str(code): count for code, count in sorted(Counter(record.code for record in closed).items())},
        unreachable=sum(isinstance(record, Unreachable) for record in history.records),
        upload_names={upload_id: upload.name for upload_id, upload in history.began.uploads.items()},
        client_names={number: connection.client for number, connection in history.connections.items()},
    )


def to_json(report: Report) -> dict[str, Any]:
    """The report as one JSON object. Where something does not hold, it has the names behind ids and connections too."""
    names = {} if report.holds else {"upload_names": report.upload_names, "client_names": report.client_names}
    return {
        "scenario": report.scenario,
        "seed": report.seed,
        "arm": report.arm,
        "holds": report.holds,
        "lasted_s": round(report.lasted_s, 3),
        "cut_short": report.cut_short,
        "lag_s": round(report.lag_s, 4),
        "laws": [_finding(finding) for finding in report.laws],
        "expectations": [_finding(finding) for finding in report.expectations],
        "published": report.published,
        "received": report.received,
        "connections": report.connections,
        "closes": report.closes,
        "unreachable": report.unreachable,
        **names,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": finding.name,
        "about": finding.about,
        "verdict": finding.verdict,
        "samples": finding.samples,
    }
    if finding.violation is not None:
        said["violation"] = {
            "at": round(finding.violation.at, 3),
            "message": finding.violation.message,
            "context": [msgspec.to_builtins(record) for record in finding.violation.context],
        }
    return said
