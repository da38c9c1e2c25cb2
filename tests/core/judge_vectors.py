"""Reads judge_vectors.json, whose first lines say how it is read."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.events import timestamp


class Step(NamedTuple):
    """One published text, and what is expected of it. ``head`` is None inside a series, where only the last one is told.

    ``owned_by`` and ``leaves`` are None where the vectors say nothing of them.
    """

    at_s: float
    published: bytes
    owner: str | None
    verdict: str
    head: tuple[int, int] | None
    owned_by: str | None
    leaves: bytes | None


@cache
def _whole() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return whole


def names() -> list[str]:
    return list(_whole()["histories"])


def at_one_instant() -> list[str]:
    """The histories in which no time passes: those that a broker with a clock of its own can be shown."""
    return [name for name, steps in _whole()["histories"].items() if all(step[0] == 0 for step in steps)]


def upload_id() -> str:
    return str(_whole()["defaults"]["id"])


def steps_of(name: str) -> Iterator[Step]:
    for at_ms, event, verdict, head, *rest in _whole()["histories"][name]:
        more: dict[str, Any] = rest[0] if rest else {}
        leaves = more["leaves"].encode() if "leaves" in more else None
        count = event.get("count", 1)
        for index in range(count):
            yield Step(
                at_s=at_ms / 1000,
                published=_publish(event, index),
                owner=more.get("owner"),
                verdict=verdict,
                head=(head[0], head[1]) if index == count - 1 else None,
                owned_by=more.get("owned_by"),
                leaves=leaves,
            )


def _publish(event: dict[str, Any], index: int) -> bytes:
    if "raw" in event:
        return str(event["raw"]).encode()
    values = {**_whole()["defaults"], **event}
    version = values.pop("version", None)
    text = str(_whole()["templates"][event.get("end", "progress")])
    text = text.replace("<version>", f',"attempt":{version[0]},"seq":{version[1] + index}' if version else "")
    text = text.replace("<timestamp>", json.dumps(timestamp(values["n"] + index)))
    for word in ("id", "status", "stage", "percent", "score", "text"):
        if word in values:
            text = text.replace(f"<{word}>", json.dumps(values[word]))
    return text.encode()
