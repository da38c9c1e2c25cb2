"""The same plan, the same run: every record of it, in every process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.virtual.playing import bundled, plan, played
from vuemantics_ws.gateway.server import Gateway
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.virtual.run import VirtualOptions

ROOT = Path(__file__).parents[3]

SCENARIOS = ["happy-path", "quickstart", "late-join", "regenerate", "many-tabs"]

RESTARTED = """\
    server: {nodes: 2, config: {grace: 2s, drain: 1s}}
    users: {alice: {count: 3}}
    uploads: [{id: up, owner: alice, count: 3, pipeline: image}]
    clients: [{id: tab, user: alice, count: 18, join: 0s..1s}]
    faults:
      - {at: 3s, do: node.restart, target: "node:0", down: 1s}
    expect: [{terminal: {is: completed, within: 2s, after: reconnect}}]
"""
"""Of the tabs of a node that stops, some are told to go before others."""


def restarted() -> Plan:
    return plan(RESTARTED, duration="1m")


@pytest.mark.parametrize("name", [*SCENARIOS, pytest.param("rolling-restart", marks=pytest.mark.slow)])
def test_a_run_is_the_same_again(name: str) -> None:
    again = bundled(name)

    first, second = (played(again)[0] for _ in range(2))

    assert first.report.broken() == []
    assert first == second


@pytest.mark.parametrize("broker", ["simulated", "redis"])
def test_a_run_is_the_same_again_around_either_broker(broker: str) -> None:
    options = VirtualOptions(broker=broker)  # type: ignore[arg-type]

    runs = [played(restarted(), options)[0] for _ in range(2)]

    assert runs[0].report.broken() == []
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_a_run_is_the_same_in_every_process() -> None:
    here = [played(bundled(name))[0].trace_hash for name in SCENARIOS]

    for seed in ("1", "random"):
        assert elsewhere(SCENARIOS, hash_seed=seed) == here


def test_another_seed_is_another_run() -> None:
    hashes = {played(bundled("happy-path", seed=seed))[0].trace_hash for seed in range(5)}

    assert len(hashes) == 5


def test_other_options_are_another_run() -> None:
    options = [VirtualOptions(), VirtualOptions(slices=False), VirtualOptions(broker="redis")]

    assert len({played(restarted(), each)[0].trace_hash for each in options}) == 3


def test_a_set_of_connections_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set iterates by addresses in memory, which are others each time: what follows from its order is no run again."""
    made = Gateway.__init__

    def make(self: Gateway, *arguments: object, **options: object) -> None:
        made(self, *arguments, **options)  # type: ignore[arg-type]
        self.connections = ByAddress()  # type: ignore[assignment]

    monkeypatch.setattr(Gateway, "__init__", make)

    hashes, moved = set(), []
    for _ in range(5):
        hashes.add(played(restarted())[0].trace_hash)
        moved.append([object() for _ in range(999)])  # so that the next objects lie elsewhere

    assert len(hashes) > 1


class ByAddress(dict[object, None]):
    """A dict in the order of a set."""

    def __iter__(self) -> Iterator[object]:
        return iter(set(self.keys()))


def elsewhere(names: list[str], *, hash_seed: str) -> list[str]:
    """What another process makes of bundled scenarios: their hashes."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.simulation.virtual.playing", *names],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()
