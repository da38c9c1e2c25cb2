"""Of a fleet some exist: nothing of what they do depends on those that are left out."""

import json
from typing import Any

import pytest

from tests.simulation.playing import plan
from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
from vuemantics_ws.simulation.format.reader import examine, parse_scenario
from vuemantics_ws.simulation.planning.plan import Plan, make_plan

WORLD = """\
    users: {u: {count: 3}}
    uploads:
      - {id: up, owner: u, count: 7, start: 1s..5s, pipeline: image}
    clients:
      - {id: tab, user: u, count: 9, join: {around: up.terminal, spread: 1s}}
      - {id: other, user: u, script: [auth, {send: {action: subscribe_upload, upload_id: "up:3"}}]}
    faults: [{at: 3s, do: connections.kill, target: 80%}]
"""


def planned(data: Any, seed: int = 5) -> Plan:
    return make_plan(parse_scenario(json.dumps(data), file="x.yaml", environment={}), seed)


@pytest.mark.parametrize("name", bundled_names())
def test_a_member_does_the_same_alone_as_among_all(name: str) -> None:
    data = examine(bundled_text(name), {}).data
    whole = planned(data)
    for section in ("clients", "uploads"):
        entries: list[Any] = [*getattr(whole, section)]
        for entry in data.get(section, []):
            members = [each for each in entries if each.entry == entry["id"]]
            if len(members) == 1 and ":" not in members[0].name:
                continue
            chosen = len(members) - 1
            some = {**data, section: [{**each, "only": [chosen]} if each is entry else each for each in data[section]]}

            made = planned(some)

            left = [each for each in entries if each.entry != entry["id"] or each == members[chosen]]
            assert [*getattr(made, section)] == left


def test_clients_ask_for_the_uploads_that_exist() -> None:
    made = plan(WORLD.replace("count: 7", "count: 7, only: [4, 0]"))

    assert [upload.name for upload in made.uploads] == ["up:0", "up:4"]
    assert {subscribe.upload for client in made.clients for subscribe in client.subscribes} == {"up:0", "up:4"}


def test_whoever_comes_around_an_upload_that_is_left_out_comes_at_the_same_time() -> None:
    whole, some = plan(WORLD), plan(WORLD.replace("count: 7", "count: 7, only: [6]"))

    assert [client.join_s for client in some.clients] == [client.join_s for client in whole.clients]


def test_a_script_may_name_what_is_left_out() -> None:
    whole, some = plan(WORLD), plan(WORLD.replace("count: 7", "count: 7, only: [6]"))

    assert some.clients[-1].script == whole.clients[-1].script
    assert whole.clients[-1].script is not None
    assert (whole.clients[-1].script[1].send or {})["upload_id"] == whole.uploads[3].upload_id


def test_a_fault_befalls_the_same_of_those_that_exist() -> None:
    (whole,) = plan(WORLD).faults
    (some,) = plan(WORLD.replace("count: 9", "count: 9, only: [8, 2, 5, 3]")).faults

    assert some.clients == whole.clients & {"tab:2", "tab:3", "tab:5", "tab:8", "other"}
    assert whole.clients > some.clients


def test_members_take_the_nodes_in_turns() -> None:
    tabs = plan(WORLD).clients[:9]

    assert [client.number - tabs[0].number for client in tabs] == list(range(9))
