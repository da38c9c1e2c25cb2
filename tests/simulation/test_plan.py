"""A plan is a pure function of scenario and seed, and what is drawn for one is drawn for nobody else."""

import textwrap
from itertools import pairwise

from vuemantics_ws.simulation.plan import UPLOAD_RETURNS_S, Plan, make_plan
from vuemantics_ws.simulation.reader import parse_scenario
from vuemantics_ws.simulation.schedule import events_max


def plan(body: str, seed: int = 1) -> Plan:
    text = "version: 1\nname: p\ndescription: A plan.\nduration: 1m\n" + textwrap.dedent(body)
    return make_plan(parse_scenario(text, file="p.yaml", environment={}), seed)


FLEET = """\
    users: {u: {count: 3}, boss: {}}
    uploads:
      - {id: up, owner: u, count: 5, start: 0s..20s, pipeline: image}
      - {id: slides, owner: boss, start: 1s, pipeline: [{stage: queued, for: 1s}, {stage: indexing, for: 2s, steps: 2}]}
    clients:
      - {id: tab, user: u, count: 4, join: 0s..5s}
      - {id: desk, user: boss, join: 3s, subscribe: [slides, up], leave: {after: 2s..4s, how: abort}}
"""


def test_the_same_seed_makes_the_same_plan_and_another_another() -> None:
    assert plan(FLEET) == plan(FLEET)
    assert plan(FLEET, 2).clients != plan(FLEET, 1).clients


def test_members_of_a_fleet_are_shared_out_among_users() -> None:
    made = plan(FLEET)

    assert made.users == ("u:0", "u:1", "u:2", "boss")
    assert [(upload.name, upload.owner) for upload in made.uploads] == [
        ("up:0", "u:0"), ("up:1", "u:1"), ("up:2", "u:2"), ("up:3", "u:0"), ("up:4", "u:1"), ("slides", "boss"),
    ]  # fmt: skip
    assert [(client.name, client.user) for client in made.clients][:4] == [
        ("tab:0", "u:0"), ("tab:1", "u:1"), ("tab:2", "u:2"), ("tab:3", "u:0"),
    ]  # fmt: skip


def test_own_are_the_users_uploads_as_soon_as_the_tab_can_know_of_them() -> None:
    made = plan(FLEET)
    starts = {upload.name: upload.events[0].at_s for upload in made.uploads}

    for client in made.clients[:4]:
        assert {subscribe.upload for subscribe in client.subscribes} == {
            upload.name for upload in made.uploads if upload.owner == client.user
        }
        for subscribe in client.subscribes:
            heard_at_s = subscribe.at_s - starts[subscribe.upload]
            assert subscribe.at_s == client.join_s or UPLOAD_RETURNS_S.low <= heard_at_s <= UPLOAD_RETURNS_S.high
            assert subscribe.at_s >= client.join_s


def test_named_uploads_are_asked_for_at_the_join_a_fleet_as_a_whole() -> None:
    desk = plan(FLEET).clients[4]

    assert {subscribe.at_s for subscribe in desk.subscribes} == {3.0}
    assert [subscribe.upload for subscribe in desk.subscribes] == ["slides", "up:0", "up:1", "up:2", "up:3", "up:4"]
    assert desk.leave_s is not None
    assert 5.0 <= desk.leave_s <= 7.0


def test_adding_somebody_changes_nobody_elses_luck() -> None:
    before = plan(FLEET)

    after = plan(FLEET.replace("count: 4", "count: 9") + "      - {id: more, user: boss, join: 0s..9s}\n")

    assert after.uploads == before.uploads
    assert after.clients[:4] == before.clients[:4]
    assert after.clients[9] == before.clients[4]


def one_upload(more: str) -> Plan:
    return plan(f"""\
        users: {{alice: {{}}}}
        uploads:
          - {{id: up, owner: alice, start: 1s, pipeline: [{{stage: queued, for: 1s}},
             {{stage: indexing, for: 2s, steps: 2}}]{more}}}
        clients:
          - {{id: tab, user: alice}}
        """)


def told(made: Plan) -> list[tuple[float, str, int, int]]:
    return [(event.at_s, event.action.removeprefix("upload_"), event.attempt, event.seq) for event in made.uploads[0].events]


def test_an_upload_is_announced_and_ends() -> None:
    assert told(one_upload("")) == [
        (1.0, "progress", 1, 1), (2.0, "progress", 1, 2), (3.0, "progress", 1, 3), (4.0, "completed", 1, 4),
    ]  # fmt: skip


def test_a_failure_ends_its_stage_and_a_stall_says_nothing_more() -> None:
    assert told(one_upload(", outcome: failed@queued")) == [(1.0, "progress", 1, 1), (2.0, "failed", 1, 2)]
    assert told(one_upload(", outcome: stalled@queued")) == [(1.0, "progress", 1, 1)]
    assert not one_upload(", outcome: stalled@queued").uploads[0].ends


def test_a_regeneration_is_a_new_attempt_from_the_start() -> None:
    made = one_upload(", outcome: failed@queued, regenerate: {after: 3s, times: 2}")

    assert told(made) == [
        (1.0, "progress", 1, 1), (2.0, "failed", 1, 2),
        (5.0, "progress", 2, 1), (6.0, "failed", 2, 2),
        (9.0, "progress", 3, 1), (10.0, "failed", 3, 2),
    ]  # fmt: skip
    assert made.last_action_s == 10.0


def test_events_are_in_order_and_counted_without_planning_them() -> None:
    made = plan(FLEET)

    assert all(one.at_s <= other.at_s for upload in made.uploads for one, other in pairwise(upload.events))
    assert sum(len(upload.events) for upload in made.uploads) == sum(map(events_max, made.scenario.uploads))


def test_the_access_rule_decides_who_may_follow() -> None:
    owned = plan(FLEET)
    opened = plan("server: {config: {access: open}}\n" + textwrap.dedent(FLEET))

    assert [owned.gives("u:0", upload) for upload in owned.uploads] == [True, False, False, True, False, False]
    assert all(opened.gives("u:0", upload) for upload in opened.uploads)


def test_nothing_is_waited_for_beyond_the_duration() -> None:
    made = plan("""\
        users: {alice: {}}
        clients:
          - {id: tab, user: alice, join: 5m}
        """)

    assert made.last_action_s == 60.0
