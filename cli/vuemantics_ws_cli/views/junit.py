"""Verdicts as JUnit has them, for whatever shows test results: a suite for each run, a case for each law and expectation."""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from vuemantics_ws.simulation.judging.findings import Finding
from vuemantics_ws.simulation.sweeping.sweep import Total
from vuemantics_ws_cli.console import printable, printable_lines
from vuemantics_ws_cli.views.figures import figures
from vuemantics_ws_cli.views.records import record_line
from vuemantics_ws_cli.views.results import Played, Swept

_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, however it is written (section 2.2)."""


def junit(results: Sequence[Played | Swept]) -> str:
    """One document for all of them. Of a sweep each case is about all seeds, and there are more of the seed that failed."""
    suites = Element("testsuites", name="vuemantics-ws simulate")
    for result in results:
        suites.append(_suite(result) if isinstance(result, Played) else _suite_of_seeds(result))
    for count in ("tests", "failures", "errors", "skipped"):
        suites.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    suites.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
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
    if played.virtual is not None and played.virtual.fault is not None:
        suite.append(_came_to_nothing(played, "the run"))
    return _counted(suite)


def _suite_of_seeds(swept: Swept) -> Element:
    result, failure = swept.result, swept.failure
    suite = Element("testsuite", name=_text(swept.scenario), time=f"{result.took_s:.3f}")
    properties = SubElement(suite, "properties")
    seeds = f"{result.seeds[0]}..{result.seeds[-1]}"
    for name, value in {"seeds": seeds, "played": result.played, "arm": "virtual", "replay": swept.replay}.items():
        SubElement(properties, "property", name=name, value=_text(str(value)))
    taken: set[str] = set()
    for total in result.totals.values():
        if total.verdict in ("violated", "vacuous"):
            continue  # the seed that failed has it
        case = SubElement(suite, "testcase", classname=_text(swept.scenario), name=_name(total, taken), time="0")
        if total.verdict != "held":
            SubElement(case, "skipped", message=total.verdict)
    if failure is not None:
        for finding in failure.report.broken():
            suite.append(_case(finding, failure, taken, seed=failure.report.seed))
        if failure.virtual is not None and failure.virtual.fault is not None:
            suite.append(_came_to_nothing(failure, f"the run (seed {failure.report.seed})"))
    if swept.other_hash is not None and result.failed is not None:
        name = f"determinism (seed {result.failed.seed})"
        case = SubElement(suite, "testcase", classname=_text(swept.scenario), name=name, time="0")
        SubElement(case, "failure", type="not deterministic", message="the same seed gave another run")
    return _counted(suite)


def _counted(suite: Element) -> Element:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    return suite


def _came_to_nothing(played: Played, name: str) -> Element:
    assert played.virtual is not None
    fault = printable_lines(played.virtual.fault or "")
    case = Element("testcase", classname=_text(played.report.scenario), name=name, time="0")
    failure = SubElement(case, "failure", type="came to nothing", message=_text(fault.partition("\n")[0]))
    failure.text = _text(f"{fault}\nagain with: {played.replay}")
    return case


def _name(found: Finding | Total, taken: set[str], seed: int | None = None) -> str:
    """Two expectations of a file may be the same, and whoever shows results tells them apart by name."""
    name = f"{found.name}: {found.about}" + (f" (seed {seed})" if seed is not None else "")
    if name in taken:
        name = f"{name} ({sum(other.startswith(name) for other in taken) + 1})"
    taken.add(name)
    return _text(name)


def _case(finding: Finding, played: Played, taken: set[str], *, seed: int | None = None) -> Element:
    report = played.report
    case = Element("testcase", classname=_text(report.scenario), name=_name(finding, taken, seed), time="0")
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
