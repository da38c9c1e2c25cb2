"""The same plan, the same run: every record of it, in every process, whatever Python, however it hashes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.simulation.virtual.playing import LONG, ROOT, SOURCES, Play, bundled, hashes_elsewhere, libraries, plan, played
from tests.simulation.virtual.unordered import PLACES, plant
from vuemantics_ws.simulation.format.bundled import bundled_names
from vuemantics_ws.simulation.planning.plan import Plan
from vuemantics_ws.simulation.virtual.run import BrokerKind, VirtualOptions

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that we run on."""

QUICK = [name for name in bundled_names() if name not in LONG]
LONGER = ["rolling-restart", "redis-outage", "slow-consumer"]

LONG_TWICE = {"partition-and-heal", "redis-emptied", "reconnect-storm", *LONGER}
"""Two runs of these take more than a second."""

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

AT_ONCE = """\
version: 1
name: at-once
description: What leaves for all at the same instant arrives at the same instant.
duration: 1m
network: {even: {latency: 10ms}}
server: {config: {access: open, grace: 2s, drain: 1s}}
users: {alice: {count: 6}}
uploads: [{id: up, owner: alice, pipeline: image}]
clients: [{id: tab, user: alice, count: 18, join: 0s..400ms, subscribe: [up], network: even}]
faults: [{at: 3s, do: node.restart, target: "node:0", down: 1s}]
expect: [{received: {clients: tab, action: upload_progress, per: upload, min: 1}}]
"""
"""On such a network it shows in which order several were told."""

CUT_OFF = """\
    server: {nodes: 2, config: {grace: 2s, drain: 1s}}
    users: {alice: {count: 3}}
    uploads: [{id: up, owner: alice, count: 3, pipeline: image}]
    clients: [{id: tab, user: alice, count: 6, join: 0s..1s}]
    faults:
      - {at: 3s, do: partition, between: ["node:0", redis], for: 4s}
"""
"""What waited meanwhile is counted in bytes."""

EVERYWHERE = [
    Play(AT_ONCE, 1),
    *[Play(name, 1) for name in QUICK],
    *[Play(name, 2, broker) for name in ("two-nodes", "late-join", "redis-emptied") for broker in get_args(BrokerKind)],
]

TRIES = 20
"""Where objects lie in memory may be in order by chance."""


def restarted() -> Plan:
    return plan(RESTARTED, duration="1m")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG_TWICE else []) for name in (*QUICK, *LONGER)]
)
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
@pytest.mark.timeout(300)
def test_a_run_is_the_same_in_every_process() -> None:
    here = [play.run().trace_hash for play in EVERYWHERE]

    for hash_seed in ("0", "1", "random"):
        assert hashes_elsewhere(EVERYWHERE, hash_seed=hash_seed) == here


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", [version for version in ("3.11", "3.12", "3.13", "3.14") if version != THIS])
def test_a_run_is_the_same_on_every_other_python(version: str) -> None:
    python = python_of(version)

    there = hashes_elsewhere(EVERYWHERE, hash_seed="random", python=python)

    assert there == [play.run().trace_hash for play in EVERYWHERE]


def test_what_the_machine_calls_itself_and_the_process_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off, runs = plan(CUT_OFF, duration="1m"), []
    for pid, host in ((7, "a"), (4_194_304, "a-name-of-some-length")):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        runs.append(played(cut_off, VirtualOptions(broker="redis"))[0])

    assert runs[0].report.broken() == []
    assert runs[0] == runs[1]


def test_another_seed_is_another_run() -> None:
    hashes = {played(bundled("happy-path", seed=seed))[0].trace_hash for seed in range(5)}

    assert len(hashes) == 5


def test_other_options_are_another_run() -> None:
    options = [VirtualOptions(), VirtualOptions(slices=False), VirtualOptions(broker="redis")]

    assert len({played(restarted(), each)[0].trace_hash for each in options}) == 3


@pytest.mark.parametrize("table", ["connections of a user", "connections of a node"])
def test_a_set_of_connections_would_be_seen(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It iterates by addresses in memory, which are others each time: what follows from its order is no run again."""
    plant(*PLACES[table], monkeypatch.setattr)

    first, moved = Play(AT_ONCE, 1).run(), list[object]()
    for _ in range(TRIES):
        moved.append([object() for _ in range(999)])  # so that the next objects lie elsewhere
        if Play(AT_ONCE, 1).run() != first:
            return

    pytest.fail(f"{TRIES} runs were the same")


@pytest.mark.slow
def test_a_set_of_names_would_be_seen_in_another_process() -> None:
    runs = [hashes_elsewhere([Play(AT_ONCE, 1)], hash_seed=seed, unordered="followers of an upload") for seed in "123"]

    assert runs[0] != runs[1] or runs[0] != runs[2]


def python_of(version: str) -> str:
    """A Python of this version that has the libraries, in our versions of them; without one the test is skipped.

    It is looked for among the paths in OTHER_PYTHONS, which are separated as those in PATH are, on the PATH, and in pyenv.
    """
    found = [
        *filter(None, os.environ.get("OTHER_PYTHONS", "").split(os.pathsep)),
        *filter(None, [shutil.which(f"python{version}")]),
        *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))),
    ]
    program = (
        "import json, sys; from tests.simulation.virtual.playing import libraries;"
        "print(json.dumps(['%d.%d' % sys.version_info[:2], libraries()]))"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    for python in found:
        told = subprocess.run([python, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
        if told.returncode == 0 and json.loads(told.stdout) == [version, libraries()]:
            return python
    pytest.skip(f"there is no Python {version} here that has our versions of the libraries (looked at {found})")
