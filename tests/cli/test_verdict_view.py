"""The verdict of a run, at any width and without colour."""

import re

import pytest
from rich.cells import cell_len

from tests.cli.drawing import drawn
from tests.simulation.judging.histories import CAT, DOG, Story
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.report import Report, judge_run
from vuemantics_ws.simulation.log import UploadFacts
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws_cli.views.records import record_line
from vuemantics_ws_cli.views.verdict import verdict


def plan_of(expect: str) -> Plan:
    text = (
        f"version: 1\nname: story\ndescription: d\nduration: 1s\nusers: {{u: {{}}}}\nclients: [{{id: desk, user: u}}]\n{expect}"
    )
    return make_plan(parse_scenario(text, file="s", environment={}), 1)


def report_of(story: Story, expect: str = "") -> Report:
    return judge_run(plan_of(expect), story.is_over().records)


def shown(report: Report, width: int) -> str:
    lines = drawn(verdict(report, replay="vuemantics-ws simulate story --seed 1", versions="Python 3"), width=width)
    assert max(cell_len(line) for line in lines) <= width
    return "\n".join(lines)


class TestVerdictView:
    @pytest.mark.parametrize("width", [80, 160])
    def test_what_holds_is_a_table_and_a_sentence(self, width: int) -> None:
        text = shown(
            report_of(Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits()), width
        )

        assert re.search(r"^held +order +versions only grow +1 *$", text, re.MULTILINE)
        assert "vacuous" in text
        assert "story does not hold" in text

    @pytest.mark.parametrize("width", [80, 160])
    def test_what_does_not_hold_shows_the_first_violation_and_what_led_to_it(self, width: int) -> None:
        story = Story().joins("desk").follows("desk", CAT).gets("desk", CAT, 1, 2).gets("desk", CAT, 1, 1)

        text = shown(report_of(story, "expect: [{terminal: {}}]"), width)

        flat = " ".join(text.split())
        assert "order violated at 0.050 s: desk (connection 1) got (1, 1) of cat after (1, 2)" in flat
        assert "> 0.050 s desk (1) received upload_progress cat (1, 1)" in flat
        assert "terminal: nothing was seen that could have broken it, so nothing is proved" in flat
        assert "again with: vuemantics-ws simulate story --seed 1" in flat

    def test_a_server_with_another_access_rule_than_the_scenarios_is_named_where_something_does_not_hold(self) -> None:
        def told(access: str) -> str:
            return " ".join(shown(report_of(Story(access=access).joins("desk")), 160).split())

        assert "the server's access rule is open, and the scenario was written for another" in told("open")
        assert "access rule" not in told("owner")

    def test_of_what_others_publish_nobody_counts_the_events(self) -> None:
        theirs = {CAT: UploadFacts("cat", "alice", ends=False, published=False)}

        assert "others published, 0 states received" in shown(report_of(Story(uploads=theirs).joins("desk")), 160)

    def test_where_nothing_is_uploaded_nobody_publishes_and_one_is_no_plural(self) -> None:
        said = shown(report_of(Story(uploads={}).joins("desk")), 160)

        assert "0 events published, 0 states received on 1 connection in" in said

    def test_what_was_measured_has_a_column_or_stands_below(self) -> None:
        story = Story().joins("desk", took_s=0.0123).follows("desk", CAT).waits()
        report = report_of(story.publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).waits(), "expect: [{latency: {p99: 250ms}}]")

        narrow, wide = shown(report, 80), shown(report, 160)

        assert re.search(r"^ +p50 20 ms, p99 20 ms, max 20 ms *$", narrow, re.MULTILINE)
        assert re.search(r"^held +latency .* 1   p50 20 ms, p99 20 ms, max 20 ms *$", wide, re.MULTILINE)
        for text in (narrow, wide):
            assert "latency p50 20 ms, p90 20 ms, p99 20 ms, max 20 ms; 0.2 deliveries a second" in text
            assert "connect time p50 12 ms" in text

    def test_the_laws_the_rules_and_the_expectations_stand_apart(self) -> None:
        lines = shown(report_of(Story().joins("desk"), "expect: [{close: {codes: [1000]}}]"), 160).splitlines()

        names = [re.split(r"  +", line)[1] if line.strip() else "" for line in lines[3:] if "   " in line or not line.strip()]
        assert names[:13] == [
            "order", "convergence", "the end arrives", "no seam", "privacy", "independence", "no residue", "documented",
            "taken", "", "generator", "", "close",
        ]  # fmt: skip

    @pytest.mark.parametrize("width", [80, 160])
    def test_no_line_ends_with_blanks(self, width: int) -> None:
        text = shown(report_of(Story().joins("desk"), "expect: [{close: {codes: [1000]}}]"), width)

        assert [line for line in text.splitlines() if line != line.rstrip()] == []

    def test_what_is_not_judged_in_this_arm_is_said_not_to_be(self) -> None:
        text = shown(report_of(Story().joins("desk"), "expect: [{latency: {p99: 1ms, modes: [virtual]}}]"), 80)

        assert re.search(r"^not judged here +latency ", text, re.MULTILINE)

    @pytest.mark.parametrize("width", [80, 160])
    def test_an_interrupted_run_is_judged_as_far_as_it_came(self, width: int) -> None:
        story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
        good = judge_run(plan_of("expect: [{terminal: {}}]"), story.records, interrupted=True)
        bad = judge_run(plan_of(""), story.gets("desk", CAT, 1, 1).records, interrupted=True)

        assert "story was interrupted, seed 1" in shown(good, width)
        assert re.search(r"^not seen yet +terminal ", shown(good, width), re.MULTILINE)
        assert "story was interrupted, and does not hold: 2 of 10" in " ".join(shown(bad, width).split())
        assert "nothing is proved" not in shown(bad, width)

    def test_what_came_over_the_wire_cannot_move_the_cursor(self) -> None:
        story = Story().joins("desk")
        story.records.append(story.hears("desk", "upload\x1b[2J").records.pop())

        line = record_line(story.records[-1], {DOG: "dog"}, {1: "desk"})

        assert "\x1b" not in line
        assert "upload\\x1b[2J" in line


@pytest.mark.parametrize("width", [80, 160])
def test_faults_are_listed_with_their_times_and_with_what_was_seen(width: int) -> None:
    story = Story().joins("desk").breaks("redis.hang", evidence="it does not answer").waits(5.0)
    story.mends("redis.hang", evidence="it answers again").breaks("redis.flush", 2, evidence=None)

    text = " ".join(shown(report_of(story), width).split())

    assert "2 faults on 1 node:" in text
    assert "0.0 to 5.0 s redis.hang of node:0: it does not answer; it answers again" in text
    assert "5.0 s redis.flush of node:0: nothing was seen of it" in text
