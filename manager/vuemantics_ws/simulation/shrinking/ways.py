"""How a run fails, so that a smaller one can be said to fail as it does, and what is likely to be enough for that."""

import re

from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws.simulation.log import Closed, Opened, Received


def way_of(report: Report) -> str | None:
    """How a run fails, in words that are the same for smaller ones; None where it holds.

    A law fails as itself, whatever it says. An expectation that was given other numbers would soon fail for them alone, and so
    would nearly everything in a run that is cut short: so what an expectation says counts, and whether the run came to its end.
    """
    broken = report.broken()
    return _way(broken[0], report) if broken else None


def in_the_same_way(report: Report, way: str) -> bool:
    """Whether this is among the ways in which a run fails."""
    return any(_way(finding, report) == way for finding in report.broken())


def suspects_of(report: Report) -> list[str]:
    """The names of the clients and the uploads of which the first thing that does not hold speaks."""
    broken = report.broken()
    if not broken or broken[0].violation is None:
        return []
    violation = broken[0].violation
    names = [*report.upload_names.values(), *report.client_names.values()]
    found = [name for name in names if re.search(_whole(name), violation.message)]
    seen = (record for record in violation.context if isinstance(record, Opened | Received | Closed))
    found += [report.client_names.get(record.connection, "") for record in seen]
    return list(dict.fromkeys(name for name in found if name))


def _way(finding: Finding, report: Report) -> str:
    said = ""
    if finding in report.expectations and finding.violation is not None:
        said = finding.violation.message
        for name in sorted({*report.upload_names.values(), *report.client_names.values()}, key=len, reverse=True):
            said = re.sub(_whole(name), "X", said)
        said = re.sub(r"\d+(\.\d+)?", "N", said)
    return f"{finding.name} {finding.verdict}{' cut short' if report.cut_short else ''} {said}".rstrip()


def _whole(name: str) -> str:
    """A pattern for it, but not within a longer name."""
    return rf"(?<![\w:-]){re.escape(name)}(?![\w:-])"
