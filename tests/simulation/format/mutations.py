"""Scenario files as they should not be: the bundled ones, with something taken away, put in, or turned into something else."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from vuemantics_ws.simulation.format.bundled import bundled_names, bundled_text
from vuemantics_ws.simulation.format.scenario import Scenario
from vuemantics_ws.simulation.format.schema import keys_of, models_of
from vuemantics_ws.simulation.format.source import read_source

FILES: dict[str, Any] = {name: read_source(bundled_text(name), {}).data for name in bundled_names()}

KEYS = sorted({key for model in models_of(Scenario) for key in keys_of(model)})

DEEP: list[Any] = json.loads("[" * 40 + "]" * 40)

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 64, 9999, 10**17, 10**30, 1.5, -0.5, [], {}, [None], {"": 1}, {"a": {"b": []}}, DEEP),
    *("", "all", "own", "none", "default", "full", "auth", "x", "x" * 5000, "é", "\u202e", "\x00", "a\nb", "1", "0", "true"),
    *("5", "5s", " 5s ", "0s..5s", "5s .. 9s", "5s..1s", "~5s", "~~5s", "99999d", "5 s", "1m30s", "9" * 400 + "s", "-5s"),
    *("10%", "0%", "101%", "20/s", "0/s", "1000001/s", "40kB/s", "40kB", "0B/s", "1..500", "5..1", "1..9999999"),
    *("image", "video", "completed", "failed@indexing", "stalled", "failed@extracting_frames", "failed@completed", "plain"),
    *("alice", "u", "clip", "up", "tab", "wifi", "clip.terminal", "clip.end", "node:0", "node:1", "node:x", "redis.hang"),
    *("expired", "upload_progress", "ping", "outbox used", "connections", "closes.4008", "limits.heads_max", "redis_x"),
    *("${env:HOME}", "${env:NOWHERE}", "${env:NOWHERE|5s}", "${env:", "ws://127.0.0.1:1/", "open", "claims", "4KiB"),
    *([{"to": 3, "over": "1s"}], {"ttl": "5s"}, {"completed": "90%", "failed": "10%"}, {"rate": "5/s", "for": "2s"}),
    *([0], [0, 17], [1, 1], {"late": "10%"}, {"crashes": "50%", "retries": "50%"}, "clock.jump", "redis.failover", "back"),
    *({"stop": "5s"}, {"around": "clip.start"}, ["clip"], ["auth", {"wait": "1s"}], [{"stage": "queued", "for": "1s"}]),
    *({"config": {"access": "open"}}, {"config": {"grace": 5}}, {"config": {"graze": "5s"}}, {"progress": "5/s", "for": "1s"}),
]  # fmt: skip


@st.composite
def mutated_files(draw: st.DrawFn) -> Any:
    """The plain data of a bundled file with one to four mutations."""
    data = copy.deepcopy(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 4))):
        _mutate(draw, data)
    return data


def _mutate(draw: st.DrawFn, data: Any) -> None:
    places = list(_places(data))
    if not places:
        return
    holder, key = draw(st.sampled_from(places))
    change = draw(st.sampled_from(["replace", "replace", "delete", "rename", "add", "swap"]))
    if change == "delete":
        del holder[key]
    elif change == "rename" and isinstance(holder, dict):
        holder[draw(st.sampled_from([*KEYS, key + "x", key[1:], "é" * 9]))] = holder.pop(key)
    elif change == "add" and isinstance(holder, dict):
        holder[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    elif change == "swap":
        other, there = draw(st.sampled_from(places))
        holder[key] = copy.deepcopy(other[there])
    else:
        value = draw(st.sampled_from(VALUES) | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False))
        holder[key] = copy.deepcopy(value)


def _places(value: Any) -> Any:
    """Every place in a value that can be changed."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])
