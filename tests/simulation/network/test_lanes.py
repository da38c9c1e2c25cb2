"""When packets arrive, to the digit, and what never happens to a stream."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vuemantics_ws.simulation.format.networks import BUILT_IN_NETWORKS
from vuemantics_ws.simulation.format.scenario import NetworkProfile
from vuemantics_ws.simulation.network.lanes import (
    RETRANSMISSION_S,
    TRIES_MAX,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    Lane,
    Network,
    Outage,
    worst_delay_s,
)


def profile(**said: object) -> NetworkProfile:
    return NetworkProfile.model_validate(said)


class Dice(random.Random):
    """Gives the numbers that it was told, in order."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = iter(numbers)

    def random(self) -> float:
        return next(self._numbers)


def test_latency_is_added_to_every_packet() -> None:
    lane = Lane(profile(), 0.03, Dice())

    assert lane.arrival(1.0, 1400) == 1.03
    assert lane.arrival(1.5, 1400) == 1.53


def test_bandwidth_lets_one_packet_wait_for_the_other() -> None:
    lane = Lane(profile(bandwidth="1kB/s"), 0.0, Dice())

    assert [lane.arrival(1.0, 500), lane.arrival(1.0, 500), lane.arrival(5.0, 100)] == [1.5, 2.0, 5.1]


def test_jitter_never_lets_a_packet_overtake() -> None:
    lane = Lane(profile(jitter="100ms"), 0.0, Dice(0.9, 0.1))

    assert [lane.arrival(0.0, 1), lane.arrival(0.01, 1)] == [pytest.approx(0.09)] * 2


def test_a_lost_packet_costs_time_each_time_it_is_lost() -> None:
    lost_thrice = (0.5, 0.05, 0.05, 0.05, 0.5, 0.5)
    near = Lane(profile(loss="10%"), 0.01, Dice(*lost_thrice))
    far = Lane(profile(loss="10%"), 1.0, Dice(*lost_thrice))

    assert [near.arrival(0.0, 1), far.arrival(0.0, 1)] == [0.01, 1.0]
    assert near.arrival(0.0, 1) == pytest.approx(0.01 + 0.04 + 3 * RETRANSMISSION_S)
    assert far.arrival(0.0, 1) == pytest.approx(1.0 + 4 * RETRANSMISSION_S)
    assert [near.arrival(10.0, 1), far.arrival(10.0, 1)] == [10.01, 11.0]


def test_a_packet_that_is_always_lost_arrives_some_day() -> None:
    lane = Lane(profile(loss="100%"), 0.05, random.Random(1))

    assert lane.arrival(0.0, 1) == pytest.approx(0.05 + 0.2 + (2 ** (TRIES_MAX - 1) - 1) * RETRANSMISSION_S)


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1400)), max_size=50),
    st.sampled_from(["0%", "5%", "90%"]),
    st.sampled_from([None, "1kB/s", "250kB/s"]),
)
def test_arrivals_never_fall_and_come_after_what_was_sent(
    seed: int, sent: list[tuple[float, int]], loss: str, bandwidth: str | None
) -> None:
    lane = Lane(profile(loss=loss, bandwidth=bandwidth, jitter="50ms"), 0.02, random.Random(seed))
    now, arrivals = 0.0, [0.0]

    for pause_s, size in sent:
        now += pause_s
        arrivals.append(lane.arrival(now, size))
        assert arrivals[-1] >= now + 0.02

    assert all(before <= after for before, after in pairwise(arrivals))


def test_the_first_packet_waits_until_the_two_have_found_each_other() -> None:
    outward, inward = Network(profile(latency="50ms"), seed=1, client="tab").lanes(2.0)

    assert outward.arrival(2.0, 100) == pytest.approx(2.15)
    assert inward.arrival(2.2, 100) == pytest.approx(2.25)


def test_distance_is_the_clients_own_and_the_same_each_time() -> None:
    said = profile(latency="30ms..80ms")

    distances = {client: Network(said, seed=1, client=client).latency_s for client in ("a", "b", "c")}

    assert len(set(distances.values())) == 3
    assert all(0.03 <= distance <= 0.08 for distance in distances.values())
    assert Network(said, seed=1, client="b").latency_s == distances["b"]


def test_the_window_is_what_fits_into_a_round_trip_within_bounds() -> None:
    def window(**said: object) -> int:
        return Network(profile(**said), seed=1, client="tab").window_bytes

    assert window(bandwidth="1MB/s", latency="100ms") == 200_000
    assert window(bandwidth="40kB/s", latency="10ms") == WINDOW_BYTES_MIN
    assert window(bandwidth="1GB/s", latency="1s") == WINDOW_BYTES_MAX
    assert window(latency="1s") == WINDOW_BYTES_MAX


def test_outages_come_again_and_again() -> None:
    network = Network(profile(outage={"every": "10s", "for": "2s"}), seed=1, client="tab")

    assert [network.outage(at) for at in (0.0, 9.0, 11.9, 12.0, 45.0)] == [
        Outage(10.0, 12.0),
        Outage(10.0, 12.0),
        Outage(10.0, 12.0),
        Outage(20.0, 22.0),
        Outage(50.0, 52.0),
    ]


def test_an_outage_ends_before_the_next_begins() -> None:
    network = Network(profile(outage={"every": "1s", "for": "3s"}), seed=1, client="tab")

    assert network.outage(3.9) == Outage(1.0, 4.0)
    assert network.outage(4.0) == Outage(4.0, 7.0)


def test_an_outage_of_no_length_never_comes() -> None:
    network = Network(profile(outage={"every": "1s", "for": "0s"}), seed=1, client="tab")

    assert network.outage(100.0) is None


def test_outages_take_nothing_from_the_dice_of_packets() -> None:
    def arrivals(**said: object) -> list[float]:
        _, inward = Network(profile(loss="20%", jitter="10ms", **said), seed=1, client="tab").lanes(0.0)
        return [inward.arrival(float(at), 1000) for at in range(20)]

    assert arrivals() == arrivals(outage={"every": "~5s", "for": "1s..2s"})


def test_how_late_what_is_sent_arrives_at_worst() -> None:
    assert worst_delay_s(profile()) == 0.0
    assert worst_delay_s(profile(latency="10ms..30ms", jitter="20ms")) == pytest.approx(0.05)
    assert worst_delay_s(profile(bandwidth="64KiB/s")) == pytest.approx(1.0)
    assert worst_delay_s(profile(latency="10ms", loss="0.05%")) == pytest.approx(0.05)
    assert worst_delay_s(profile(latency="10ms", loss="0.5%")) == pytest.approx(0.25)
    assert worst_delay_s(profile(outage={"every": "1h", "for": "1s"})) == math.inf
    assert {name: worst_delay_s(said) < 1.0 for name, said in BUILT_IN_NETWORKS.items()} == {
        "lan": True,
        "wifi": True,
        "mobile": False,
    }
