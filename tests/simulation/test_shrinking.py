"""A failing scenario is made as small as what it fails of, in few tries, and stays a scenario."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.simulation.playing import played
from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
from vuemantics_ws.simulation.format.reader import examine, examine_data
from vuemantics_ws.simulation.format.writing import to_yaml
from vuemantics_ws.simulation.planning.plan import Plan, make_plan
from vuemantics_ws.simulation.shrinking.reducing import fewest, members_of
from vuemantics_ws.simulation.shrinking.search import Shrunk, shrink
from vuemantics_ws.simulation.shrinking.ways import in_the_same_way, suspects_of, way_of

WORLD = """\
version: 1
name: crowded
description: Many of everything.
seed: 3
sweep: 1..99
duration: 4m
server: {nodes: 3, config: {grace: 1s, drain: 1s}}
network: {train: {latency: 40ms..90ms, jitter: 40ms}, unused: {latency: 5ms}}
users: {u: {count: 20}, boss: {}}
uploads:
  - {id: clip, owner: u, count: 40, start: 0s..40s, pipeline: video, outcome: {completed: 90%, failed: 10%}}
  - {id: slides, owner: boss, pipeline: image, messiness: {duplicate: 10%}}
  - {id: photo, owner: u, count: 30, start: 5s..44s, pipeline: image}
clients:
  - {id: tab, user: u, count: 100, join: 0s..15s}
  - {id: racing, user: u, count: 30, join: {around: clip.terminal, spread: 1s}, subscribe: [clip, photo], network: train}
  - {id: desk, user: boss, subscribe: [slides], leave: {after: 90s}}
faults:
  - {at: 18s, do: redis.down, for: 3s}
  - {at: 28s, do: node.kill, target: "node:2", down: 8s}
  - {at: 30s, do: connections.kill, target: racing}
  - {at: 42s, do: redis.restart, lose_data: true}
expect:
  - terminal: {clients: [tab, desk], within: 5s, after: faults}
  - close: {clients: racing, codes: [1000, 1006]}
  - received: {clients: desk, uploads: [slides], action: upload_completed, min: 1}
"""
DATA = examine(WORLD, {}).data


def planned(data: Any) -> Plan:
    scenario = examine_data(data).scenario
    assert scenario is not None
    return make_plan(scenario, scenario.seed)


def needing(*names: str, faults: tuple[str, ...] = (), tries: list[Any] | None = None) -> Callable[[Any], bool]:
    """Fails while all of these are there."""

    def fails(data: Any) -> bool:
        if tries is not None:
            tries.append(data)
        scenario = examine_data(data).scenario
        assert scenario is not None
        there = {member.name for section in ("clients", "uploads") for member in members_of(scenario, section)}
        return {*names} <= there and {*faults} <= {fault.do for fault in scenario.faults}

    return fails


def test_a_client_an_upload_and_a_fault_are_found_among_many() -> None:
    needs = needing("tab:17", "clip:3", faults=("node.kill",))

    def fails(data: Any) -> bool:
        faults = [{*fault.values()} for fault in data.get("faults", [])]
        return needs(data) and any({"28s", "node:2"} <= fault for fault in faults)

    found = shrink(DATA, 9, fails, why="order: a law")

    assert (found.clients, found.uploads, found.faults, found.is_done) == (1, 1, 1, True)
    assert found.tries < 150
    assert (
        to_yaml(found.data)
        == """\
# yaml-language-server: $schema=scenario.schema.json
version: 1
name: crowded-shrunk
description: "The smallest part of crowded that was found to fail with seed 9, order: a law."
seed: 9
duration: 30s
server: {nodes: 3}
users: {u: {}}
uploads:
  - {id: clip, owner: u, count: 4, only: [3], pipeline: image}
clients:
  - {id: tab, user: u, count: 18, only: [17]}
faults:
  - {at: 28s, do: node.kill, target: "node:2"}
"""
    )


def test_those_who_are_left_do_what_they_did() -> None:
    """Until values are made simpler, which this one forbids."""
    whole = planned({**DATA, "seed": 9})
    wanted = {client.name: client for client in whole.clients}["racing:21"]

    def fails(data: Any) -> bool:
        return any(client._replace(subscribes=()) == wanted._replace(subscribes=()) for client in planned(data).clients)

    found = shrink(DATA, 9, fails)

    assert (found.clients, found.uploads, found.faults) == (1, 1, 0)
    assert found.data["clients"][0]["only"] == [21]
    assert found.data["uploads"][0]["id"] == "clip", "it is around this that the client comes"


def test_a_fleet_of_which_all_are_left_is_a_small_fleet() -> None:
    found = shrink(DATA, 9, needing("tab:0", "clip:0"))

    assert found.data["clients"] == [{"id": "tab", "user": "u", "count": 1}]


def test_suspects_are_tried_first() -> None:
    tries: list[Any] = []

    found = shrink(DATA, 9, needing("tab:17", "clip:3", tries=tries), suspects=["tab:17", "clip:3"])

    first = planned(tries[0])
    assert ([client.name for client in first.clients], [upload.name for upload in first.uploads]) == (["tab:17"], ["clip:3"])
    assert first.faults == ()
    assert (found.clients, found.uploads) == (1, 1)


def test_wrong_suspects_cost_two_tries() -> None:
    right = shrink(DATA, 9, needing("tab:17", "clip:3"))
    wrong = shrink(DATA, 9, needing("tab:17", "clip:3"), suspects=["desk", "slides"])

    assert wrong.data == right.data
    assert wrong.tries <= right.tries + 2


def test_whatever_is_told_fails_and_is_smaller_than_what_was_told_before() -> None:
    told: list[Shrunk] = []
    fails = needing("tab:17", "racing:2", "photo:3", faults=("redis.restart",))

    found = shrink(DATA, 9, fails, told=told.append)

    assert all(fails(each.data) for each in told)
    assert [each.tries for each in told] == sorted({each.tries for each in told})
    assert [each.clients for each in told] == sorted((each.clients for each in told), reverse=True)
    assert (told[-1].clients, told[-1].uploads, told[-1].faults) == (found.clients, found.uploads, found.faults) == (2, 1, 1)


def test_shrinking_stops_where_the_tries_run_out() -> None:
    tries: list[Any] = []

    found = shrink(DATA, 9, needing("tab:17", "clip:3", tries=tries), tries_max=12)

    assert (found.tries, len(tries), found.is_done) == (12, 12, False)
    assert found.clients < 131
    assert needing("tab:17", "clip:3")(found.data)


def test_what_needs_everything_stays_as_it_is() -> None:
    found = shrink(DATA, 3, lambda data: False, tries_max=40)

    assert {**found.data, "name": "crowded", "description": "Many of everything.", "sweep": "1..99"} == DATA
    assert (found.clients, found.uploads, found.faults) == (131, 71, 4)


def test_the_expectation_that_fails_stays_and_the_others_go() -> None:
    def fails(data: Any) -> bool:
        return any("received" in each for each in data.get("expect", []))

    found = shrink(DATA, 3, fails)

    assert found.data["expect"] == [{"received": {"action": "upload_completed", "min": 1}}]


def test_nothing_is_tried_twice_and_nothing_that_is_no_scenario() -> None:
    tries: list[Any] = []

    shrink(DATA, 9, needing("desk", "slides", faults=("connections.kill",), tries=tries))

    texts = Counter(to_yaml(data) for data in tries)
    assert set(texts.values()) == {1}
    assert all(examine(text, {}).problems == [] for text in texts)


def test_shrinking_is_deterministic_and_changes_nothing_that_it_is_given() -> None:
    before = to_yaml(DATA)
    fails = needing("racing:5", faults=("redis.down",))

    assert shrink(DATA, 9, fails) == shrink(DATA, 9, fails)
    assert to_yaml(DATA) == before


def test_what_was_shrunk_can_be_shrunk_again() -> None:
    fails = needing("tab:17", "clip:3")
    once = shrink(DATA, 9, fails)

    again = shrink(once.data, 9, fails)

    assert again.data["name"] == "crowded-shrunk"
    assert {**again.data, "description": ""} == {**once.data, "description": ""}


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_scenario_can_be_made_smaller(name: str) -> None:
    data = examine(bundled_text(name), {}).data
    last = planned(data).clients[-1].name

    found = shrink(data, data["seed"], needing(last), tries_max=40)

    assert found.clients == 1
    assert examine(to_yaml(found.data), {}).problems == []


@given(st.sets(st.integers(0, 60)), st.integers(1, 60))
def test_the_fewest_are_just_those_that_are_needed(needed: set[int], beyond: int) -> None:
    asked = 0
    needed = {number for number in needed if number < beyond}

    def fails(kept: list[int]) -> bool:
        nonlocal asked
        asked += 1
        return needed <= set(kept)

    assert fewest(range(beyond), fails) == sorted(needed)
    assert asked <= 1 + beyond**2 + 3 * beyond  # as ddmin promises


def test_one_of_many_is_found_by_halves() -> None:
    asked: list[int] = []

    def fails(kept: list[int]) -> bool:
        asked.append(len(kept))
        return 777 in kept

    assert fewest(range(3000), fails, least=1) == [777]
    assert len(asked) < 30


CLIENTS = [client.name for client in planned(DATA).clients]
UPLOADS = [upload.name for upload in planned(DATA).uploads]


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(
    st.sets(st.sampled_from(CLIENTS), max_size=2),
    st.sets(st.sampled_from(UPLOADS), max_size=2),
    st.sets(st.sampled_from(["redis.down", "node.kill", "redis.restart"]), max_size=2),
    st.integers(0, 10**6),
)
def test_just_what_is_needed_is_left(clients: set[str], uploads: set[str], faults: set[str], seed: int) -> None:
    found = shrink(DATA, seed, needing(*clients, *uploads, faults=tuple(faults)))

    plan = planned(found.data)
    assert found.is_done
    assert plan.seed == seed
    assert {fault.do for fault in plan.faults} == faults
    assert clients <= {client.name for client in plan.clients}
    assert len(plan.clients) == max(1, len(clients))
    assert uploads <= {upload.name for upload in plan.uploads}


def failing(expectation: str, more: str = "") -> Plan:
    text = f"""\
version: 1
name: w
description: A small world.
duration: 5s
server: {{config: {{grace: 0, drain: 0}}}}
users: {{alice: {{}}}}
uploads:
  - {{id: up, owner: alice, count: 2, start: 100ms, pipeline: [{{stage: indexing, for: 100ms}}]}}
clients:
  - {{id: tab, user: alice, count: 2}}
expect:
  - {expectation}
"""
    return planned(examine(text + more, {}).data)


@pytest.mark.slow
def test_a_way_of_failing_is_the_same_for_somebody_else_and_another_for_something_else() -> None:
    report, _ = played(failing("terminal: {is: failed}"))
    smaller, _ = played(failing("terminal: {is: failed}")._replace(clients=failing("terminal: {}").clients[1:]))
    other, _ = played(failing("received: {action: upload_completed, min: 9}"))
    vacuous, _ = played(failing("sometimes: {that: reconnected}"))

    way = way_of(report)
    assert way == "terminal violated X learned that X completed, expected failed"
    suspects = {*suspects_of(report)}
    assert suspects & {"tab:0", "tab:1"}
    assert len(suspects & {"up:0", "up:1"}) == 1
    assert in_the_same_way(report, way)
    assert in_the_same_way(smaller, way)
    assert not in_the_same_way(other, way)
    assert way_of(other) == "received violated X got N upload_completed, expected at least N"
    assert way_of(vacuous) == "sometimes vacuous"
    assert suspects_of(vacuous) == []


@pytest.mark.slow
def test_what_holds_fails_in_no_way() -> None:
    report, _ = played(failing("terminal: {is: completed}"))

    assert way_of(report) is None
    assert not in_the_same_way(report, "terminal violated X")
