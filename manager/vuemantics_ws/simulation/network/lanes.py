"""What lies between one client and the server, as numbers: when a packet arrives, and when the network is away.

A stream loses no byte and changes no order, so whatever goes wrong on the way is time (LABORATORY.md section 7). Pure: time is
passed in, and chance comes from the client's own dice.
"""

import math
import random
from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakSet

from vuemantics_ws.simulation.dice import stream
from vuemantics_ws.simulation.format.scenario import NetworkProfile
from vuemantics_ws.simulation.format.scenario import Outage as OutageProfile

PACKET_BYTES = 1400
RETRANSMISSION_S = 0.2
"""How long a kernel waits at least before it gives up waiting for an answer, and twice as long each further time (RFC 6298).

Before that it probes once, two round trips after it sent a packet (RFC 8985), so that what is lost once is sent again soon.
"""

TRIES_MAX = 8
"""How often a packet is lost at most: even where all of them are, a stream arrives some day."""

WINDOW_BYTES_MIN = 64 * 1024
WINDOW_BYTES_MAX = 1024 * 1024
"""What may be on its way to one client at once; as much as that where its bandwidth knows no bound."""


class Outage(NamedTuple):
    """The network is away from ``begins_s`` until just before ``ends_s``, in seconds since the scenario began."""

    begins_s: float
    ends_s: float


class Lane:
    """One direction of one connection: tells when each packet arrives. What was sent earlier never arrives later."""

    def __init__(self, profile: NetworkProfile, latency_s: float, dice: random.Random, *, opens_at: float = 0.0) -> None:
        self.dice = dice
        self._is_free_at = opens_at
        self._arrived_at = 0.0
        self.change(profile, latency_s)

    def change(self, profile: NetworkProfile, latency_s: float) -> None:
        """From now on it is like this. What is on its way already arrives as it would have, and is not overtaken."""
        self._latency_s = latency_s
        self._jitter_s = profile.jitter
        self._loss = profile.loss
        self._probe_s = probe_s(profile, latency_s)
        self._bytes_per_s = profile.bandwidth or math.inf

    @property
    def is_clear(self) -> bool:
        """Whether what is sent through it arrives at once."""
        return not (self._latency_s or self._jitter_s or self._loss) and self._bytes_per_s == math.inf

    def arrival(self, now: float, size: int) -> float:
        """When a packet of so many bytes arrives that is sent now, behind all that was sent before."""
        self._is_free_at = max(now, self._is_free_at) + size / self._bytes_per_s
        delay_s = self._latency_s
        if self._jitter_s:
            delay_s += self._jitter_s * self.dice.random()
        if self._loss:
            delay_s += self._again_s()
        self._arrived_at = max(self._arrived_at, self._is_free_at + delay_s)
        return self._arrived_at

    def _again_s(self) -> float:
        """What sending it again costs, as often as that takes."""
        delay_s, pause_s, timeout_s = 0.0, self._probe_s, RETRANSMISSION_S
        for _ in range(TRIES_MAX):
            if self.dice.random() >= self._loss:
                break
            delay_s += pause_s
            pause_s, timeout_s = timeout_s, 2 * timeout_s
        return delay_s


RARE = 1e-6
"""What happens to fewer packets than that hardly happens in a run."""


def worst_delay_s(profile: NetworkProfile) -> float:
    """How late what is sent through such a network arrives, but for one packet in a million; infinite where it goes away."""
    if profile.outage is not None:
        return math.inf
    delay_s = profile.latency.high + profile.jitter
    if profile.bandwidth is not None:
        delay_s += window_bytes(profile, profile.latency.high) / profile.bandwidth
    share, pause_s, timeout_s = profile.loss, probe_s(profile, profile.latency.high), RETRANSMISSION_S
    for _ in range(TRIES_MAX):
        if share < RARE:
            break
        delay_s += pause_s
        pause_s, timeout_s = timeout_s, 2 * timeout_s
        share *= profile.loss
    return delay_s


def probe_s(profile: NetworkProfile, latency_s: float) -> float:
    """When a packet is sent again for the first time."""
    return min(RETRANSMISSION_S, 2 * round_trip_s(profile, latency_s))


def round_trip_s(profile: NetworkProfile, latency_s: float) -> float:
    return 2 * latency_s + profile.jitter


def window_bytes(profile: NetworkProfile, latency_s: float) -> int:
    """How much may be on its way to the client: what fits into a round trip, as a kernel finds out (RFC 7323)."""
    if profile.bandwidth is None:
        return WINDOW_BYTES_MAX
    product = profile.bandwidth * round_trip_s(profile, latency_s)
    return int(min(WINDOW_BYTES_MAX, max(WINDOW_BYTES_MIN, product)))


class Network:
    """A client's own way to the server, over all of its connections. How far away it is was drawn once."""

    def __init__(self, profile: NetworkProfile, *, seed: int, client: str) -> None:
        self._profile = profile
        self._dice = stream(seed, client, "network")
        self.latency_s = profile.latency.draw(self._dice)
        self.cuts = profile.outage is not None and profile.outage.how == "reset"
        """Whether an outage ends what is connected."""
        self._outages = iter(()) if profile.outage is None else _outages(profile.outage, stream(seed, client, "outages"))
        self._outage = next(self._outages, None)
        self._lanes: WeakSet[Lane] = WeakSet()

    @property
    def window_bytes(self) -> int:
        """How much may be on its way to the client at once."""
        return window_bytes(self._profile, self.latency_s)

    def lanes(self, now: float) -> tuple[Lane, Lane]:
        """Towards the server and towards the client, for a connection whose first packet leaves now.

        Nothing goes to the server before the two have found each other, which takes a round trip.
        """
        outward = Lane(self._profile, self.latency_s, self._dice, opens_at=now + 2 * self.latency_s)
        inward = Lane(self._profile, self.latency_s, self._dice)
        self._lanes.update((outward, inward))
        return outward, inward

    def change(self, profile: NetworkProfile) -> None:
        """The client is on another network from now on. What is connected stays so. Outages stay those that it had."""
        self._profile = profile
        self.latency_s = profile.latency.draw(self._dice)
        for lane in self._lanes:
            lane.change(profile, self.latency_s)

    @property
    def profile(self) -> NetworkProfile:
        return self._profile

    def outage(self, now: float) -> Outage | None:
        """The outage that is, or else the next one; None where no more will come. Ask with times that never fall."""
        while self._outage is not None and self._outage.ends_s <= now:
            self._outage = next(self._outages, None)
        return self._outage


def _outages(profile: OutageProfile, dice: random.Random) -> Iterator[Outage]:
    """One after the other: ``every`` counts from one beginning to the next, and no outage begins before the last has ended."""
    begins_s = ends_s = 0.0
    while profile.for_s.high > 0:
        begins_s = max(begins_s + profile.every.draw(dice), ends_s)
        ends_s = begins_s + profile.for_s.draw(dice)
        yield Outage(begins_s, ends_s)
