"""What a run is told with: its verdict, and what it takes to see it again."""

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import vuemantics_ws
from vuemantics_ws.simulation.judging.report import to_json
from vuemantics_ws_cli.console import emit, json_line, stdout
from vuemantics_ws_cli.version import version
from vuemantics_ws_cli.views.junit import Played
from vuemantics_ws_cli.views.verdict import verdict

GIT_TIMEOUT_S = 2.0


def versions() -> dict[str, str]:
    """What may make another run differ; the commit where the program runs from a checkout."""
    found = {"vuemantics-ws": version(), "Python": platform.python_version(), "websockets": version_of("websockets")}
    commit = _commit()
    return {**found, "commit": commit} if commit else found


def tell(played: Played) -> None:
    """The verdict for a person."""
    said = ", ".join(f"{name} {number}" for name, number in versions().items())
    stdout().print(verdict(played.report, replay=played.replay, versions=said))


def tell_as_json(runs: Sequence[Played], *, several: bool) -> None:
    """One JSON object: of one run its report, of several whether all hold, with a report for each."""
    reports = [{**to_json(played.report), "versions": versions(), "replay": played.replay} for played in runs]
    whole: dict[str, Any] = {"holds": all(report["holds"] for report in reports), "runs": reports}
    for said in [whole] if several else reports:
        emit(json_line(said))


def _commit() -> str | None:
    """The commit of the code that runs, marked where it was changed since; None where there is none to be found."""
    source = Path(vuemantics_ws.__file__).resolve()
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None  # it lies in somebody else's repository, or in none
    return _git(source.parent, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(where: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - nothing of it comes from elsewhere
            ["git", "-C", str(where), *arguments],  # noqa: S607 - whichever git the person uses
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
