"""What several nodes say of themselves, as one. Pure: frames in, a frame out.

Tables, counters and rates are sums. A user, an upload or a follow that is on two nodes is in each node's tables, so the sum
counts it twice: how many there are apart is not told by tables. The largest outbox is the largest of any node, and of a lag
the longest. Limits of a process are sums, too; those of one user or one connection are the same everywhere.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from vuemantics_ws.gateway.page_merging import merge_pages, page_of_silent
from vuemantics_ws.gateway.warnings import WARNINGS_MAX, by_urgency, of_silence

Frame = dict[str, Any]

_LARGEST = ("outbox_bytes_max", "loop_lag_s")
_LIMITS_OF_A_PROCESS = ("connections_max", "unauthenticated_max", "heads_max")


def merge_frames(frames: Sequence[Frame], *, silent: Sequence[dict[str, Any]] = (), limit: int, offset: int) -> Frame:
    """One frame of what all nodes do. The first is of the node that answers, and says who that is.

    The frames are of one question, and their pages begin with their first rows: :func:`merge_pages` chooses among them.
    ``silent`` are nodes that are present, as they said of themselves, and did not answer.
    """
    first = frames[0]
    silent = [{**node, "state": "silent"} for node in silent]
    names, missing = [frame["node"]["name"] for frame in frames], [node["name"] for node in silent]
    return {
        **first,
        "nodes": [*(node for frame in frames for node in frame["nodes"]), *silent],
        "missing": missing,
        "tables": merge_numbers([frame["tables"] for frame in frames]),
        "limits": _limits([frame["limits"] for frame in frames]),
        "counters": merge_numbers([frame["counters"] for frame in frames]),
        "rates": _rates([frame["rates"] for frame in frames]),
        "warnings": _warnings(names, [frame["warnings"] for frame in frames], missing),
        "views": [
            merge_pages([*pages, *page_of_silent(pages[0], silent)], limit=limit, offset=offset) | {"missing": missing}
            for pages in zip(*(frame["views"] for frame in frames), strict=True)
        ],
    }


def merge_numbers(said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tables or counters as one, by name. What is null on every node stays so."""
    return {name: _merged(name, [one[name] for one in said if name in one]) for name in _names(said)}


def _merged(name: str, values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        return merge_numbers(values)
    numbers = [value for value in values if value is not None]
    if not numbers:
        return None
    return max(numbers) if name in _LARGEST else sum(numbers)


def _names(said: Iterable[dict[str, Any]]) -> list[str]:
    """All of them, in the order in which they come."""
    return list(dict.fromkeys(name for one in said for name in one))


def _limits(said: Sequence[dict[str, float]]) -> dict[str, float]:
    known = {name: [one[name] for one in said if name in one] for name in _names(said)}
    return {name: sum(values) if name in _LIMITS_OF_A_PROCESS else max(values) for name, values in known.items()}


def _rates(said: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Second by second, the newest beside the newest: a node that began later has nothing to say of what was before."""
    merged = {}
    for name in _names(said):
        together = max if name in _LARGEST else sum
        seconds = zip_longest(*(reversed(one.get(name, [])) for one in said), fillvalue=0.0)
        merged[name] = [round(together(values), 4) for values in seconds][::-1]
    return merged


def _warnings(nodes: Sequence[str], said: Sequence[list[dict[str, Any]]], missing: Sequence[str]) -> list[dict[str, Any]]:
    """The most urgent of all nodes, each with its node's name. What several say in the same words is said once, without."""
    told: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for node, warnings in zip(nodes, said, strict=True):
        for warning in warnings:
            told.setdefault((warning["code"], warning["message"]), []).append((node, warning))
    found = [of_silence(name) for name in missing]
    for (code, message), of in told.items():
        where = f"{of[0][0]}: " if len(of) == 1 and len(nodes) > 1 else ""
        found.append({"code": code, "message": where + message, "count": sum(warning["count"] for _, warning in of)})
    return sorted(found, key=by_urgency)[:WARNINGS_MAX]
