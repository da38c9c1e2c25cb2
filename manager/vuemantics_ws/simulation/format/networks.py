"""What lies between a client and the server, as a scenario file says it, and the networks that need no saying."""

from typing import Literal

from pydantic import Field

from vuemantics_ws.simulation.dice import Spread
from vuemantics_ws.simulation.format.amounts import (
    Bandwidth,
    DurationDraw,
    DurationSpread,
    Latency,
    LatencySpread,
    Model,
    Share,
)


class Outage(Model):
    """The network goes away, every so often for so long."""

    every: DurationDraw
    """How long it works in between."""
    for_s: DurationSpread = Field(alias="for")
    """How long it is away."""
    how: Literal["blackhole", "reset"] = "blackhole"
    """What becomes of what is sent meanwhile: it is lost and nobody is told, or the connection is reset."""


class NetworkProfile(Model):
    """What lies between a client and the server, the same in both directions."""

    latency: LatencySpread = Spread(0.0, 0.0)
    """How long a packet takes one way; of a range, each connection draws its own."""
    jitter: Latency = 0.0
    """What each packet may take in addition, drawn evenly. Nothing overtakes anything."""
    loss: Share = 0.0
    """The share of packets that must be sent again, which on a stream costs time and never bytes."""
    bandwidth: Bandwidth | None = None
    """How much passes a second; by default as much as there is."""
    outage: Outage | None = None
    """When the network goes away."""


BUILT_IN_NETWORKS: dict[str, NetworkProfile] = {
    name: NetworkProfile.model_validate(said)
    for name, said in {
        "lan": {"latency": "0.5ms..1ms"},
        "wifi": {"latency": "2ms..8ms", "jitter": "10ms", "loss": "0.5%", "bandwidth": "3MB/s"},
        "mobile": {"latency": "30ms..80ms", "jitter": "40ms", "loss": "2%", "bandwidth": "250kB/s"},
    }.items()
}
"""What everybody has to do with. A file may define a profile of the same name instead."""
