"""A plan is a pure function of scenario and seed, and what is drawn for one is drawn for nobody else."""

import textwrap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.planning.plan import UPLOAD_RETURNS_S, Plan, make_plan


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
    assert sum(len(upload.events) for upload in made.uploads) == sum(upload.events_max for upload in made.scenario.uploads)


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


SEEDS = st.integers(0, 10**6)


@settings(max_examples=20)
@given(SEEDS)
def test_a_plan_depends_on_nothing_but_scenario_and_seed(seed: int) -> None:
    assert plan(MESSY, seed) == plan(MESSY, seed)


@settings(max_examples=20)
@given(SEEDS)
def test_adding_entries_changes_nobody_elses_luck(seed: int) -> None:
    before = plan(MESSY, seed)

    after = plan(MESSY.replace("uploads:\n", "uploads:\n      - {id: new, owner: boss, pipeline: video, start: ~5s}\n"), seed)

    assert {upload.name: upload for upload in after.uploads if upload.entry != "new"} == {
        upload.name: upload for upload in before.uploads
    }
    joins = [(client.name, client.join_s, client.leave_s) for client in before.clients]
    assert [(client.name, client.join_s, client.leave_s) for client in after.clients] == joins


MESSY = """\
    users: {u: {count: 7}, boss: {}}
    uploads:
      - {id: up, owner: u, count: 9, start: ~3s, pipeline: video, outcome: {completed: 50%, failed: 30%, stalled: 20%}}
      - id: flow
        owner: u
        arrive: {rate: 1/s, for: 10s}
        pipeline: {progress: 5/s, for: 4s}
        messiness: {duplicate: 30%, reorder: 30%, after_terminal: 2}
    clients:
      - {id: tab, user: u, count: 5, join: ~2s, leave: {after: ~9s}}
      - {id: racing, user: u, count: 5, join: {around: up.terminal, spread: 50ms}, subscribe: [up]}
      - {id: late, user: boss, join: {arrive: 2/s, for: 3s}}
"""


def joins(join: str, more: str = "") -> list[float]:
    made = plan(f"""\
        users: {{alice: {{}}}}
        uploads:
          - {{id: up, owner: alice, count: 3, start: 5s..9s, pipeline: image}}
          - {{id: dead, owner: alice, start: 1s, pipeline: image, outcome: stalled@description_audit}}
          - {{id: again, owner: alice, start: 1s, pipeline: image, regenerate: {{after: 2s, times: 2}}}}
          - {{id: ghost, owner: alice, start: 4s, pipeline: image, publisher: none}}
        clients:
          - {{id: tab, user: alice, join: {join}{more}}}
        """)
    return [client.join_s for client in made.clients]


def test_a_ramp_is_exact() -> None:
    found = joins("{ramp: [{to: 4, over: 2s}, {to: 4, over: 3s}, {to: 6, over: 1s}, {to: 8, over: 0s}]}")

    assert found == [0.0, 0.5, 1.0, 1.5, 5.0, 5.5, 6.0, 6.0]


def test_a_ramp_may_begin_with_a_pause() -> None:
    assert joins("{ramp: [{to: 0, over: 5s}, {to: 2, over: 1s}]}") == [5.0, 5.5]


def test_arrivals_are_as_many_as_rate_and_time_make_and_within_that_time() -> None:
    found = joins("{arrive: 20/s, for: 30s}")

    assert len(found) == 600
    assert 0 <= min(found) < 1
    assert 29 < max(found) <= 30
    assert 250 < sum(at_s < 15 for at_s in found) < 350
    assert joins("{arrive: 1/s, for: 100ms}") == [pytest.approx(0.05, abs=0.05)], "one at least"


def test_a_join_around_is_near_the_moment_of_the_members_own_upload() -> None:
    made = plan("""\
        users: {alice: {}}
        uploads:
          - {id: up, owner: alice, count: 3, start: 5s..30s, pipeline: image}
        clients:
          - {id: first, user: alice, count: 7, join: {around: up.start, spread: 50ms}}
          - {id: last, user: alice, count: 7, join: {around: up.terminal, spread: 50ms}}
        """)

    for client in made.clients:
        upload = made.uploads[int(client.name.partition(":")[2]) % 3]
        moment_s = upload.events[0 if client.entry == "first" else -1].at_s
        assert abs(client.join_s - moment_s) <= 0.05
        assert client.join_s != moment_s


def test_the_terminal_of_what_has_none_is_its_last_event_and_of_several_runs_the_newest() -> None:
    assert joins("{around: dead.terminal}") == [5.0]
    assert joins("{around: again.terminal}") == [1 + 8 + 2 + 8 + 2 + 8]
    assert joins("{around: ghost.terminal}") == [4.0]
    assert joins("{around: dead.start, spread: 10s}", ", count: 50").count(0.0) > 5, "nobody comes before the beginning"


def test_networks_are_the_files_own_or_built_in() -> None:
    made = plan("""\
        users: {alice: {}}
        network: {wifi: {latency: 1s}, slow: {bandwidth: 1kB/s}}
        clients:
          - {id: a, user: alice, network: wifi}
          - {id: b, user: alice, network: slow}
          - {id: c, user: alice, network: mobile}
          - {id: d, user: alice}
        """)

    own, slow, mobile, none = (client.network for client in made.clients)
    assert own is not None
    assert own.latency == Spread(1.0, 1.0), "the file's own goes before the built-in one"
    assert slow is not None
    assert slow.bandwidth == 1000.0
    assert mobile == BUILT_IN_NETWORKS["mobile"]
    assert none is None


def test_a_script_names_uploads_by_their_names() -> None:
    made = plan("""\
        users: {alice: {}}
        uploads:
          - {id: up, owner: alice, count: 2, pipeline: image}
          - {id: one, owner: alice, pipeline: image}
        clients:
          - id: tab
            user: alice
            script:
              - auth
              - {send: {action: subscribe_upload, upload_id: one}}
              - {send: {action: subscribe_upload, upload_id: "up:1"}}
              - {send: {action: subscribe_upload, upload_id: elsewhere}}
              - {send: {action: odd, upload_id: [one], nested: {upload_id: one}}}
              - {wait: 3s}
              - {send_raw: one}
        """)

    ids = {upload.name: upload.upload_id for upload in made.uploads}
    script = made.clients[0].script
    assert script is not None
    assert [step.send and step.send.get("upload_id") for step in script] == [
        None, ids["one"], ids["up:1"], "elsewhere", ["one"], None, None,
    ]  # fmt: skip
    assert script[4].send == {"action": "odd", "upload_id": ["one"], "nested": {"upload_id": "one"}}
    assert script[6].send_raw == "one"
    assert (made.clients[0].join_s, made.last_action_s) == (0.0, 8.0)


def test_a_run_lasts_until_a_token_has_ended_that_ends() -> None:
    body = """\
        users: {{alice: {{}}}}
        clients:
          - {{id: a, user: alice, join: 3s{}}}
        """

    assert plan(body.format("")).last_action_s == 3
    assert plan(body.format(", token: {ttl: 20s}")).last_action_s == 23
    assert plan(body.format(", token: {ttl: 20m}")).last_action_s == 60


def test_a_fleet_of_thousands_follows_only_its_own() -> None:
    made = plan("""\
        users: {u: {count: 1000}}
        uploads:
          - {id: up, owner: u, count: 5000, pipeline: image}
        clients:
          - {id: tab, user: u, count: 5000}
          - {id: scripted, user: u, count: 2000, subscribe: none, script: [auth, {send: {upload_id: "up:7"}}]}
        """)

    assert sum(len(client.subscribes) for client in made.clients) == 25_000
