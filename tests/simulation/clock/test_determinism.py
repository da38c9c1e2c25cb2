"""The same program with the same seed does the same, whatever Python, however it hashes; and what asyncio's own loop does."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.clock.fingerprint import Plans, fingerprint, played
from tests.simulation.clock.programs import VERBS, Action, Trace, play

ACTIONS = st.builds(Action, st.sampled_from(VERBS), st.integers(0, 9), st.integers(0, 3))
PLANS = st.lists(st.lists(ACTIONS, max_size=6), min_size=1, max_size=6)

PYTHONS = {
    name: path
    for name in ("python3.11", "python3.12", "python3.13", "python3.14")
    if (path := shutil.which(name)) is not None and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
}
ROOT = Path(__file__).parents[3]


@given(PLANS, st.integers(0, 3))
def test_run_equals_run(plans: Plans, seed: int) -> None:
    assert played(plans, seed=seed) == played(plans, seed=seed)


def without_time(plans: Plans) -> Plans:
    """What needs no time to pass, so that asyncio's own loop plays it at once, and no timer decides what comes first."""
    return [[action._replace(tenths=0) for action in plan if action.verb not in ("put", "get", "group")] for plan in plans]


@given(PLANS)
def test_where_no_time_passes_it_does_what_asyncios_own_loop_does(plans: Plans) -> None:
    stock: Trace = []
    asyncio.run(play(without_time(plans), stock))

    ours = played(without_time(plans), shuffle=False)

    assert [entry[1:] for entry in ours] == [entry[1:] for entry in stock]


PROGRAM = f"""
import sys, types
for name, folder in (("vuemantics_ws", {str(ROOT / "manager" / "vuemantics_ws")!r}), ("tests", {str(ROOT / "tests")!r})):
    package = sys.modules[name] = types.ModuleType(name)  # the libraries that it wants may be missing there
    package.__path__ = [folder]
from tests.simulation.clock.fingerprint import fingerprint
print(fingerprint())
"""


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
@pytest.mark.parametrize("python", [sys.executable, *PYTHONS.values()], ids=["this one", *PYTHONS])
def test_it_is_the_same_in_every_process(python: str, hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}

    told = subprocess.run([python, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60)

    assert (told.stderr, told.stdout.strip()) == ("", fingerprint())
