"""A report says what held and what did not, with all that is needed to look into it."""

import json

from tests.simulation.judging.histories import CAT, Story
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.judging.report import judge_run, to_json
from vuemantics_ws.simulation.log import Settled
from vuemantics_ws.simulation.planning.plan import Plan, make_plan


def plan(expect: str = "") -> Plan:
    text = f"""\
version: 1
name: story
description: What the histories tell of.
duration: 10s
users: {{alice: {{}}}}
clients: [{{id: desk, user: alice}}]
{expect}
"""
    return make_plan(parse_scenario(text, file="r.yaml", environment={}), 1)


def good() -> Story:
    story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1)
    return story.publishes(CAT, 1, 2, end=True).gets("desk", CAT, 1, 2, end=True).waits()


def test_a_good_run_holds_and_is_counted() -> None:
    report = judge_run(plan("expect: [{close: {codes: [1000]}}]"), good().is_over().records)

    assert report.holds
    assert report.broken() == []
    assert (report.scenario, report.seed, report.arm, report.cut_short) == ("story", 1, "real", False)
    assert (report.connections, report.closes, report.published) == (1, {"1000": 1}, {"accepted": 2})
    assert report.received["upload_progress"] == 1
    assert abs(report.lag_s - 0.005) < 1e-9


def test_one_violation_is_enough_and_comes_with_its_context_and_names() -> None:
    report = judge_run(plan(), good().gets("desk", CAT, 1, 1).is_over().records)

    said = json.loads(json.dumps(to_json(report)))

    assert not report.holds
    assert {"order", "no seam"} <= {law["name"] for law in said["laws"] if law["verdict"] == "violated"}
    assert said["laws"][0]["name"] == "order"
    violation = said["laws"][0]["violation"]
    assert violation["message"].startswith("desk (connection 1) got (1, 1) of cat after (1, 2)")
    assert violation["context"][-1]["kind"] == "received"
    assert said["upload_names"][CAT] == "cat"
    assert said["client_names"] == {"1": "desk"}


def test_a_vacuous_expectation_does_not_hold() -> None:
    report = judge_run(plan("expect: [{received: {action: ping, min: 1, clients: desk}}]"), good().is_over().records)
    vacuous = judge_run(plan("expect: [{terminal: {}}]"), good().is_over().records)

    assert not report.holds
    assert [finding.verdict for finding in vacuous.broken()] == ["vacuous"]
    assert "violation" not in to_json(vacuous)["expectations"][0]


def test_the_earliest_violation_comes_first_and_what_saw_nothing_last() -> None:
    story = good().gets("desk", CAT, 1, 1).chokes("desk").is_over(follows=3)

    broken = judge_run(plan("expect: [{terminal: {}}]"), story.records).broken()

    moments = [finding.violation.at for finding in broken if finding.violation is not None]
    assert moments == sorted(moments)
    assert (broken[0].name, broken[-2].name, broken[-1].name) == ("order", "no residue", "terminal")


def test_the_laws_the_rules_and_the_expectations_stand_apart() -> None:
    report = judge_run(plan("expect: [{close: {codes: [1000]}}]"), good().is_over().records)

    said = to_json(report)

    assert len(said["laws"]) == 9
    assert [rule["name"] for rule in said["rules"]] == ["generator"]
    assert [expectation["name"] for expectation in said["expectations"]] == ["close"]


def test_what_was_measured_is_told_of_all_and_of_each_entry() -> None:
    story = Story().joins("desk", took_s=0.02).follows("desk", CAT).waits()
    story.publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).publishes(CAT, 1, 2, end=True).gets("desk", CAT, 1, 2, end=True)

    said = to_json(judge_run(plan(), story.waits().is_over().records))

    assert said["latency"] == {
        **dict.fromkeys(("p50_s", "p90_s", "p99_s", "max_s"), 0.02),
        "of": {"desk": dict.fromkeys(("p50_s", "p90_s", "p99_s", "max_s"), 0.02)},
    }
    assert said["connect_time"] == dict.fromkeys(("p50_s", "p90_s", "p99_s", "max_s"), 0.02)
    assert said["deliveries_per_s"] == round(2 / said["lasted_s"], 1)


def test_what_an_interrupted_run_had_not_seen_yet_is_not_held_against_it() -> None:
    report = judge_run(plan("expect: [{terminal: {}}]"), good().records, interrupted=True)
    worse = judge_run(plan(), good().gets("desk", CAT, 1, 1).records, interrupted=True)

    assert not report.holds
    assert report.broken() == []
    assert to_json(report)["interrupted"] is True
    assert {"order", "no seam"} <= {finding.name for finding in worse.broken()}


def test_a_run_that_was_cut_short_says_so() -> None:
    story = good()
    story.add(Settled(story.step(), cut_short=True))

    assert judge_run(plan(), story.is_over().records).cut_short
