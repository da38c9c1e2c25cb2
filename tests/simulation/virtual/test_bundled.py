"""Every bundled scenario holds in virtual time, with its own seed, around each broker that it can be played around."""

import pytest

from tests.simulation.virtual.playing import LONG, bundled, played
from vuemantics_ws.simulation.format.bundled import bundled_names
from vuemantics_ws.simulation.virtual.run import VirtualOptions

ONCE = {"bulk-drop", "crowd", "evening", "slow-consumer", "survive"}
"""They take up to half a minute, and once is enough, around what they are played around by default."""

EITHER = [
    pytest.param(name, broker, marks=[pytest.mark.slow] if name in LONG else [])
    for name in bundled_names()
    for broker in ("simulated", "redis")
    if name not in ONCE
]


@pytest.mark.parametrize(("name", "broker"), EITHER)
def test_it_holds_around_either_broker(name: str, broker: str) -> None:
    run, _ = played(bundled(name), VirtualOptions(broker=broker))  # type: ignore[arg-type]

    assert run.report.broken() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ONCE))
def test_what_takes_long_holds(name: str) -> None:
    assert played(bundled(name))[0].report.broken() == []
