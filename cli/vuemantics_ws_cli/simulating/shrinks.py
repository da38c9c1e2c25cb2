"""A scenario that fails made smaller, and written to a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from vuemantics_ws.errors import BadSetting
from vuemantics_ws.simulation.format.reader import examine, examine_data
from vuemantics_ws.simulation.format.writing import to_yaml
from vuemantics_ws.simulation.log import Log
from vuemantics_ws.simulation.planning.plan import make_plan
from vuemantics_ws.simulation.shrinking.search import SUFFIX, Shrunk, shrink
from vuemantics_ws.simulation.shrinking.ways import in_the_same_way, suspects_of, way_of
from vuemantics_ws.simulation.virtual import run
from vuemantics_ws_cli.console import say
from vuemantics_ws_cli.exit_codes import ExitCode
from vuemantics_ws_cli.simulating.cutting_short import Deadline, Limit, cut_short
from vuemantics_ws_cli.simulating.ended import Ended
from vuemantics_ws_cli.simulating.moving import moving
from vuemantics_ws_cli.simulating.virtual import Command, VirtualPlay
from vuemantics_ws_cli.views.moving import shrink_line
from vuemantics_ws_cli.views.results import Played
from vuemantics_ws_cli.views.size import Size

NAMES_MAX = 1000


def shrink_where_it_failed(what: VirtualPlay, command: Command, ended: Ended, *, quiet: bool, deadline: Deadline) -> Ended:
    """What has failed is made smaller; all else is left as it is."""
    if ended.code is not ExitCode.FAILED or not isinstance(ended.result, Played):
        if ended.code is ExitCode.OK and not quiet:
            say("--shrink: nothing fails, so there is nothing to make smaller")
        return ended
    shrunk = _shrink(what, command, ended.result, quiet=quiet, time_limit_s=deadline.left_s)
    return shrunk._replace(trace=ended.trace)


def _shrink(what: VirtualPlay, command: Command, failed: Played, *, quiet: bool, time_limit_s: float | None) -> Ended:
    """Look for the smallest scenario that fails as this one does, and write it. ``failed`` comes back with its file.

    Being cut short leaves the smallest that was found until then.

    Raises:
        BadSetting: the file cannot be written.
    """
    seed, name = what.plan.seed, what.plan.scenario.name
    way = None if failed.virtual is not None and failed.virtual.fault is not None else way_of(failed.report)
    data = examine(what.text).data
    newest = Shrunk(data, 0, len(what.plan.clients), len(what.plan.uploads), len(what.plan.faults))
    code, limit = ExitCode.FAILED, Limit()

    def tell(found: Shrunk) -> None:
        nonlocal newest
        newest = found

    def line(size: Size | None) -> Text:
        return shrink_line(name, newest, size=size)

    def fails(candidate: Any) -> bool:
        return _fails(candidate, seed, what.options, way)

    try:
        with cut_short(time_limit_s, limit), moving(line, quiet=quiet):
            newest = shrink(data, seed, fails, told=tell, suspects=suspects_of(failed.report), why=_why(failed))
    except KeyboardInterrupt:
        code = ExitCode.TIMED_OUT if limit.is_over else ExitCode.INTERRUPTED
    if newest.data is data:  # cut short before anything smaller was found
        if not quiet:
            say("nothing smaller was found in that time, and nothing was written")
        return Ended(code, failed)
    file = _write(f"{name.removesuffix(SUFFIX)}{SUFFIX}", to_yaml(_with_variables(newest.data, what.text)))
    again = command._replace(scenario=file).of_seed(seed)
    if not quiet:
        say(shrink_line(name, newest, size=None))
        say(f"written to {file}; play it with: {again}")
    return Ended(code, failed._replace(shrunk=file))


def _fails(data: Any, seed: int, options: run.VirtualOptions, way: str | None) -> bool:
    """Whether it fails in this way, or comes to nothing where that is None."""
    scenario = examine_data(data).scenario
    assert scenario is not None
    try:
        report, _ = run.run_virtual(make_plan(scenario, seed), Log(), options=options)
    except run.VirtualFault:
        return way is None
    return way is not None and in_the_same_way(report, way)


def _why(failed: Played) -> str:
    broken = failed.report.broken()
    return f"by {broken[0].name}" if broken else ""


class _Names(dict[str, str]):
    """An environment in which each variable is its own name."""

    def get(self, name: str, default: Any = None) -> Any:
        return f"${{env:{name}}}" if default is None else f"${{env:{name}|{default}}}"


def _with_variables(data: Any, text: str) -> Any:
    """What came out of the environment goes into no file: it may be a secret. Its variable stands there again."""
    variables = dict(_differing(examine(text).data, examine(text, _Names()).data))

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: restored(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [restored(inner) for inner in value]
        return variables.get(value, value) if isinstance(value, str) else value

    return restored(data)


def _differing(filled: Any, unfilled: Any) -> Iterator[tuple[str, str]]:
    """Texts that come out of the environment, with what stands in the file."""
    if isinstance(filled, dict) and isinstance(unfilled, dict):
        for key in filled:
            yield from _differing(filled[key], unfilled.get(key))
    elif isinstance(filled, list) and isinstance(unfilled, list):
        for one, other in zip(filled, unfilled, strict=False):
            yield from _differing(one, other)
    elif isinstance(filled, str) and isinstance(unfilled, str) and filled != unfilled:
        yield filled, unfilled


def _write(name: str, text: str) -> str:
    """Write a new file of that name in the folder where one is. Nothing is written over."""
    for number in range(1, NAMES_MAX):
        path = Path(f"{name}{f'-{number}' if number > 1 else ''}.yaml")
        try:
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except FileExistsError:
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BadSetting(f"--shrink: {path} cannot be written: {reason}", setting="--shrink") from None
        return f"./{path}"
    raise BadSetting(f"--shrink: there are too many files called {name}", setting="--shrink")
