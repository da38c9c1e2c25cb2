"""Traces that can be played again: a line that says what was played, and then the records of the run.

A trace holds the text of the scenario as it stands. What that takes from the environment may be a secret (a token in a script,
a password in a URL), and traces are shown to others: so whoever plays one again brings the same variables along.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import msgspec

from vuemantics_ws.errors import BadEvent, BadScenario
from vuemantics_ws.simulation.format.expected import Arm
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.format.source import variables_in
from vuemantics_ws.simulation.log import Played, Record, hash_of, lines_of, to_ndjson
from vuemantics_ws.simulation.planning.plan import Plan, make_plan

BEFORE = 5
"""Records that are shown before the first that differs."""

Options = Mapping[str, str | int | bool | None]


class Trace(NamedTuple):
    played: Played
    records: list[Record]


class Difference(NamedTuple):
    """The first record that two runs do not share. ``number`` counts from 1; one side is None where that run was over.

    ``fields`` are the names of what differs in it, empty where the two are of different kinds; ``before`` is what led to it in
    both.
    """

    number: int
    expected: Record | None
    got: Record | None
    fields: tuple[str, ...]
    before: tuple[Record, ...]


def played(
    text: str,
    records: Iterable[Record],
    *,
    seed: int,
    arm: Arm,
    options: Options,
    versions: Mapping[str, str],
    environment: Mapping[str, str],
) -> Played:
    """What the first line of a trace says.

    Args:
        text: of the scenario's file.
        environment: with which that was read. Just the names of what it took are kept.
    """
    return Played(
        scenario=text,
        environment=[name for name in variables_in(text) if name in environment],
        seed=seed,
        arm=arm,
        options=dict(options),
        versions=dict(versions),
        trace_hash=hash_of(records),
    )


def to_trace(played: Played, records: Iterable[Record]) -> bytes:
    """The bytes of a trace file."""
    return msgspec.json.encode(played) + b"\n" + to_ndjson(records)


def read_traces(path: Path) -> list[Trace]:
    """What :func:`to_trace` wrote, of one run or of several one after the other.

    Raises:
        BadScenario: it cannot be read, or is no trace of runs that can be played again.
    """
    try:
        lines = lines_of(path.read_bytes())
    except OSError as error:
        raise BadScenario([f"{path}: {(error.strerror or str(error)).lower()}"]) from None
    except BadEvent as error:
        raise BadScenario([f"{path}: {error.message}"]) from None
    traces: list[Trace] = []
    for line in lines:
        if isinstance(line, Played):
            traces.append(Trace(line, []))
        elif traces:
            traces[-1].records.append(line)
        else:
            break
    if not traces:
        begins = "expected a first line that says what was played"
        raise BadScenario([f"{path}: {begins}, as --virtual with --trace writes it of a run that came to its end"])
    if any(hash_of(trace.records) != trace.played.trace_hash for trace in traces):
        raise BadScenario([f"{path}: expected the records that were written, got others: it was changed, or is not whole"])
    return traces


def plan_of(played: Played, environment: Mapping[str, str], *, file: str) -> Plan:
    """The plan that was played; ``file`` is what errors call the scenario.

    Raises:
        BadScenario: the environment lacks a variable that was there, or this version reads the scenario otherwise.
    """
    missing = [name for name in played.environment if name not in environment]
    if missing:
        raise BadScenario([f"{file}: the environment has no {name}, which it had when this was played" for name in missing])
    known = {name: environment[name] for name in played.environment}
    return make_plan(parse_scenario(played.scenario, file=file, environment=known), played.seed)


def other_versions(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What runs now in another version than then, in words."""
    names = dict.fromkeys([*then, *now])
    return [
        f"{name} {now.get(name, 'is not there')}, then {then.get(name, 'not there')}"
        for name in names
        if then.get(name) != now.get(name)
    ]


def first_difference(expected: Sequence[Record], got: Sequence[Record]) -> Difference | None:
    """Where two runs part; None where they are the same."""
    for place, (one, other) in enumerate(zip_longest(expected, got)):
        if one != other:
            return Difference(place + 1, one, other, _fields(one, other), tuple(expected[max(0, place - BEFORE) : place]))
    return None


def _fields(one: Record | None, other: Record | None) -> tuple[str, ...]:
    if one is None or type(one) is not type(other):
        return ()
    return tuple(name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name))
