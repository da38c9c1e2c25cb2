"""Verdicts as JUnit has them, for whatever shows test results: a suite for each run, a case for each law and expectation."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.judging.report import Report
from vuemantics_ws_cli.console import printable
from vuemantics_ws_cli.views.figures import figures
from vuemantics_ws_cli.views.records import record_line

_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, however it is written (section 2.2)."""


class Played(NamedTuple):
    """A run with the command line that plays it again."""

    report: Report
    replay: str


def junit(runs: Sequence[Played]) -> str:
    """One document for all runs."""
    suites = Element("testsuites", name="vuemantics-ws simulate")
    for played in runs:
        suites.append(_suite(played))
    for count in ("tests", "failures", "errors", "skipped"):
        suites.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    suites.set("time", f"{sum(played.report.lasted_s for played in runs):.3f}")
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _suite(played: Played) -> Element:
    report = played.report
    suite = Element("testsuite", name=_text(report.scenario), time=f"{report.lasted_s:.3f}")
    properties = SubElement(suite, "properties")
    for name, value in {"seed": report.seed, "arm": report.arm, "replay": played.replay}.items():
        SubElement(properties, "property", name=name, value=_text(str(value)))
    taken: set[str] = set()
    for findings in (report.laws, report.rules, report.expectations):
        for finding in findings:
            suite.append(_case(finding, played, taken))
    suite.set("tests", str(len(report.findings)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _case(finding: Finding, played: Played, taken: set[str]) -> Element:
    report = played.report
    name = f"{finding.name}: {finding.about}"
    if name in taken:  # two expectations of a file may be the same, and whoever shows results tells them apart by name
        name = f"{name} ({sum(other.startswith(name) for other in taken) + 1})"
    taken.add(name)
    case = Element("testcase", classname=_text(report.scenario), name=_text(name), time="0")
    is_open = report.interrupted and finding.verdict == "vacuous"
    if is_open or finding.verdict in ("does not apply", "not judged here"):
        SubElement(case, "skipped", message="not seen yet" if is_open else finding.verdict)
    elif not finding.is_good:
        _fail(case, finding, played)
    if finding.figures:
        SubElement(case, "system-out").text = _text(figures(finding.figures))
    return case


def _fail(case: Element, finding: Finding, played: Played) -> None:
    report, violation = played.report, finding.violation
    message = "nothing was seen that could have broken it, so nothing is proved"
    lines: list[str] = []
    if violation is not None:
        message = printable(f"at {violation.at:.3f} s: {violation.message}")
        lines = [record_line(record, report.upload_names, report.client_names) for record in violation.context]
    failure = SubElement(case, "failure", type=finding.verdict, message=_text(message))
    failure.text = _text("\n".join([message, *lines, f"again with: {played.replay}"]))


def _text(text: str) -> str:
    return _NO_XML.sub("?", text)
