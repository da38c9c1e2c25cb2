"""What came of a run or a sweep is told: to a person, or as JSON."""

from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins
from rich.console import Group, RenderableType
from rich.text import Text

from vuemantics_ws.simulation.judging.report import to_json
from vuemantics_ws.simulation.versions import versions
from vuemantics_ws_cli.console import emit, json_line, stdout
from vuemantics_ws_cli.views.difference import difference_lines
from vuemantics_ws_cli.views.results import Played, Swept
from vuemantics_ws_cli.views.swept import swept_summary, swept_table
from vuemantics_ws_cli.views.verdict import verdict


def tell(result: Played | Swept) -> None:
    """The verdict for a person."""
    if isinstance(result, Played):
        stdout().print(_verdict(result))
        if result.difference is not None:
            stdout().print(difference_lines(result.difference, result.report))
        return
    if result.failure is not None:
        stdout().print(_verdict(result.failure))
    if result.failure is not None or not result.result.played:
        stdout().print(Group(Text(), swept_summary(result)))
    else:
        stdout().print(swept_table(result))


def _verdict(played: Played) -> RenderableType:
    virtual = played.virtual
    may_shrink = virtual is not None and not played.report.interrupted and not virtual.again
    return verdict(
        played.report,
        replay=played.replay,
        versions=versions_line(),
        fault=virtual.fault if virtual is not None else None,
        smaller=played.shrunk or "" if may_shrink else None,
    )


def versions_line() -> str:
    """What runs, in a line."""
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def tell_as_json(results: Sequence[Played | Swept], *, several: bool) -> None:
    """One JSON object: of one its own, of several whether all hold, with an object for each."""
    objects = [as_json(result) for result in results]
    whole: dict[str, Any] = {"holds": all(each["holds"] for each in objects), "runs": objects}
    for said in [whole] if several else objects:
        emit(json_line(said))


def as_json(result: Played | Swept) -> dict[str, Any]:
    return _played(result) if isinstance(result, Played) else _swept(result)


def _played(played: Played) -> dict[str, Any]:
    said = to_json(played.report)
    if (virtual := played.virtual) is not None:
        said |= {"trace_hash": virtual.trace_hash, "settings": dict(virtual.settings)}
        said |= {"fault": virtual.fault} if virtual.fault is not None else {}
    said |= {"shrunk": played.shrunk} if played.shrunk is not None else {}
    if (difference := played.difference) is not None:
        told = {"number": difference.number, "fields": list(difference.fields)}
        told |= {"then": to_builtins(difference.expected), "now": to_builtins(difference.got)}
        said |= {"holds": False, "difference": told}
    return {**said, "versions": versions(), "replay": played.replay}


def _swept(swept: Swept) -> dict[str, Any]:
    result = swept.result
    said: dict[str, Any] = {
        "scenario": swept.scenario,
        "arm": "virtual",
        "holds": swept.holds,
        **({"interrupted": True} if swept.interrupted else {}),
        "seeds": {"first": result.seeds[0], "last": result.seeds[-1], "played": result.played},
        "seeds_per_s": round(result.progress.seeds_per_s, 2),
        "took_s": round(result.took_s, 3),
        "virtual_s": round(result.virtual_s, 3),
        "findings": [
            {
                "name": total.name,
                "about": total.about,
                "verdict": total.verdict,
                "samples": total.samples,
                "seeds": dict(total.verdicts),
            }
            for total in result.totals.values()
        ],
        "failure": _played(swept.failure) if swept.failure is not None else None,
        "settings": dict(swept.settings),
    }
    if swept.other_hash is not None:
        said["other_trace_hash"] = swept.other_hash
    return {**said, "versions": versions(), "replay": swept.replay}
