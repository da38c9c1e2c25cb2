"""Verdicts as JUnit: what shows test results can read them, whatever came over the wire."""

from xml.etree import ElementTree as ET

from tests.simulation.judging.expecting import CAT, both_follow, plan
from tests.simulation.judging.histories import Story
from vuemantics_ws.simulation.judging.report import judge_run
from vuemantics_ws.simulation.log import Undocumented
from vuemantics_ws_cli.views.junit import junit
from vuemantics_ws_cli.views.results import Played

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "properties": ["property"],
    "testcase": ["skipped", "failure", "system-out"],
}
"""What Jenkins and its kin read, in the order in which they want it."""

REPLAY = "vuemantics-ws simulate 'a & b.yaml' --seed 1"


def read(*stories: Story, expectation: str = "terminal: {}", interrupted: bool = False) -> ET.Element:
    runs = [Played(judge_run(plan(expectation), story.records, interrupted=interrupted), REPLAY) for story in stories]
    return ET.fromstring(junit(runs).encode())


def good() -> Story:
    told = both_follow().waits().publishes(CAT, 1, 1, end=True)
    return told.gets("desk", CAT, 1, 1, end=True).gets("phone", CAT, 1, 1, end=True).waits().is_over()


def bad() -> Story:
    return both_follow().gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1).waits().is_over()


def test_it_has_the_structure_that_everybody_reads() -> None:
    for element in read(good(), bad()).iter():
        assert set(element.keys()) == ATTRIBUTES[element.tag]
        order = [CHILDREN.get(element.tag, []).index(child.tag) for child in element]
        assert order == sorted(order)


def test_what_holds_is_a_case_that_passed() -> None:
    (suite,) = read(good())

    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "story",
        "11",
        "0",
        "0",
    )
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names[0] == "order: versions only grow"
    assert names[-1] == "terminal: all clients learn that all uploads ended"
    assert len(set(names)) == 11
    assert {(each.get("name"), each.get("value")) for each in suite.findall("properties/property")} == {
        ("seed", "1"), ("arm", "real"), ("replay", REPLAY),
    }  # fmt: skip


def test_what_does_not_hold_has_its_message_its_context_and_the_way_to_see_it_again() -> None:
    whole = read(good(), bad())

    failure = whole[1].find("testcase[@name='order: versions only grow']/failure")
    assert failure is not None
    assert failure.get("type") == "violated"
    assert "desk (connection 1) got (1, 1) of cat after (1, 2)" in failure.get("message", "")
    assert failure.text is not None
    assert "desk (1) received upload_progress cat (1, 1)" in failure.text
    assert failure.text.endswith(f"again with: {REPLAY}")
    assert whole.get("failures") == whole[1].get("failures") != "0"
    assert whole.get("tests") == "22"


def test_nothing_seen_is_a_failure_of_its_own_kind() -> None:
    (suite,) = read(good(), expectation="received: {clients: tablet, action: ping, max: 0}")

    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "vacuous"


def test_what_was_not_judged_or_not_seen_yet_was_skipped() -> None:
    (suite,) = read(good(), expectation="latency: {p99: 1ms, modes: [virtual]}")
    (interrupted,) = read(both_follow(), interrupted=True)

    assert [skipped.get("message") for skipped in suite.findall("testcase/skipped")] == ["not judged here"]
    assert "not seen yet" in {skipped.get("message") for skipped in interrupted.findall("testcase/skipped")}
    assert interrupted.get("failures") == "0"


def test_figures_are_what_a_case_has_to_say() -> None:
    (suite,) = read(good(), expectation="latency: {p99: 1s}")

    said = suite.find("testcase[system-out]/system-out")
    assert said is not None
    assert said.text is not None
    assert "p99 " in said.text


def test_whatever_came_over_the_wire_is_still_xml() -> None:
    story = both_follow()
    story.add(Undocumented(story.step(), 1, "an unknown action '</failure>\x00\x1b[2J\ud800\uffff&\"'"))

    (suite,) = read(story.is_over())

    failure = suite.find("testcase[@name='documented: only messages and close codes of the protocol']/failure")
    assert failure is not None
    assert "an unknown action '</failure>\\x00\\x1b[2J\\ud800?&\"'" in failure.get("message", "")


def test_two_expectations_that_say_the_same_have_two_names() -> None:
    (suite,) = read(good(), expectation="close: {codes: [1000]}\n  - close: {codes: [1000]}")

    names = [case.get("name") for case in suite.findall("testcase")][-2:]
    assert names == ["close: all clients end with 1000", "close: all clients end with 1000 (2)"]
