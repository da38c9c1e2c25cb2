"""Which faults happen when, and to whom."""

from tests.simulation.playing import plan
from vuemantics_ws.simulation.planning.faults import PlannedFault

WORLD = """\
    server: {nodes: 2}
    users: {u: {count: 3}}
    uploads: [{id: up, owner: u, pipeline: image}]
    clients:
      - {id: tab, user: u, count: 200}
      - {id: other, user: u}
"""


def faults(said: str, seed: int = 1) -> tuple[PlannedFault, ...]:
    return plan(f"{WORLD}    faults:\n      - {said}\n", duration="5m", seed=seed).faults


def test_a_fault_that_comes_again_is_several() -> None:
    found = faults("{at: 10s, do: redis.kill_pubsub, times: 3, every: 2s}")

    assert [(fault.number, fault.at_s, fault.ends_s) for fault in found] == [(1, 10, 10), (2, 12, 12), (3, 14, 14)]


def test_what_is_left_out_changes_no_other_faults_luck() -> None:
    both = faults("{at: 5s..50s, do: redis.flush}\n      - {at: 5s..50s, do: connections.kill, target: 25%}")
    (alone,) = faults("{at: 5s..50s, do: connections.kill, target: 25%}")

    assert alone._replace(number=0) in [fault._replace(number=0) for fault in both]


def test_two_faults_that_say_the_same_have_luck_of_their_own() -> None:
    one, other = faults("{at: 5s..50s, do: redis.flush}\n      - {at: 5s..50s, do: redis.flush}")

    assert one.at_s != other.at_s


def test_a_clock_jumps_forward_or_back_on_one_node_or_on_all() -> None:
    (forward,) = faults("{at: 5s, do: clock.jump, for: 1h}")
    (back,) = faults("{at: 5s, do: clock.jump, for: 1h, how: back, target: 'node:1'}")

    assert (forward.jumps_s, forward.node, forward.target, forward.ends_s) == (3600, None, "all nodes", 5)
    assert (back.jumps_s, back.node, back.target, back.lasts_s) == (-3600, "node:1", "node:1", 0)
    assert not forward.is_for_redis


def test_a_replica_that_takes_over_may_be_behind() -> None:
    (fault,) = faults("{at: 5s, do: redis.failover, for: 3s, behind: 200ms}")

    assert (fault.lasts_s, fault.behind_s, fault.target, fault.is_for_redis) == (3, 0.2, "redis", True)
    assert not fault.loses_data


def test_faults_are_numbered_in_the_order_in_which_they_begin() -> None:
    found = faults("{at: 10s, do: redis.flush}\n      - {at: 5s, do: redis.hang, for: 1s}")

    assert [(fault.number, fault.do) for fault in found] == [(1, "redis.hang"), (2, "redis.flush")]


def test_a_time_of_a_range_is_drawn_once_and_stays() -> None:
    (once,) = faults("{at: 5s..50s, do: redis.flush}")
    (again,) = faults("{at: 5s..50s, do: redis.flush}")
    (other,) = faults("{at: 5s..50s, do: redis.flush}", seed=2)

    assert once.at_s == again.at_s != other.at_s
    assert 5 <= once.at_s <= 50


def test_a_share_of_the_clients_is_drawn_anew_each_time() -> None:
    first, second = faults("{at: 5s, do: connections.kill, target: 25%, times: 2, every: 1s}")

    assert 25 < len(first.clients) < 80
    assert first.clients != second.clients


def test_clients_are_meant_by_their_entry_or_all_of_them() -> None:
    (some,) = faults("{at: 5s, do: connections.kill, target: other}")
    (everybody,) = faults("{at: 5s, do: connections.kill}")

    assert some.clients == {"other"}
    assert len(everybody.clients) == 201


def test_a_partition_is_between_a_node_and_redis_or_clients() -> None:
    (away,) = faults("{at: 5s, do: partition, between: [redis, 'node:1'], for: 3s}")
    (from_clients,) = faults("{at: 5s, do: partition, between: ['node:0', other], for: 3s}")

    assert (away.node, away.other, away.is_for_redis, away.clients) == ("node:1", "redis", True, frozenset())
    assert (from_clients.node, from_clients.other, list(from_clients.clients)) == ("node:0", "other", ["other"])


def test_a_node_that_is_killed_is_gone_for_good_unless_it_is_said_how_long() -> None:
    (for_good,) = faults("{at: 5s, do: node.kill, target: 'node:1'}")
    (for_a_while,) = faults("{at: 5s, do: node.kill, down: 3s}")

    assert (for_good.node, for_good.lasts_s) == ("node:1", None)
    assert (for_a_while.node, for_a_while.lasts_s, for_a_while.ends_s) == ("node:0", 3, 8)


def test_what_a_node_knows_must_outlive_it_or_be_known_to_another() -> None:
    alone = "    users: {u: {}}\n    clients: [{id: tab, user: u}]\n"

    assert not plan(alone).needs_redis
    assert plan(alone + "    server: {nodes: 2}\n").needs_redis
    assert plan(alone + "    faults: [{at: 1s, do: node.restart}]\n").needs_redis
    assert plan(alone + "    faults: [{at: 1s, do: redis.flush}]\n").needs_redis
    assert not plan(alone + "    faults: [{at: 1s, do: connections.kill}]\n").needs_redis


def test_a_run_lasts_until_its_last_fault_is_over() -> None:
    assert plan(f"{WORLD}    faults: [{{at: 1m, do: redis.hang, for: 20s}}]\n", duration="5m").last_action_s == 80
