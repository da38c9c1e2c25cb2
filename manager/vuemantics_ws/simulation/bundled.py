"""The scenarios that come with the project, by name."""

from importlib.resources import files
from pathlib import Path

from vuemantics_ws.errors import BadScenario

SUFFIX = ".yaml"


def bundled_folder() -> Path:
    """Where they are: in a checkout beside the sources, else inside the installed package.

    In that order, since what is installed in place of a checkout may hold an older copy of them.
    """
    sources = Path(__file__).resolve().parents[2]
    beside = sources.parent / "scenarios"
    return beside if sources.name == "manager" and beside.is_dir() else Path(str(files("vuemantics_ws") / "scenarios"))


def bundled_names() -> list[str]:
    """What can be played by name, in alphabetical order."""
    return sorted(path.stem for path in bundled_folder().glob(f"*{SUFFIX}"))


def resolve_scenario(name_or_file: str) -> Path:
    """The file that a person means: a bundled scenario's name, or a path.

    Raises:
        BadScenario: there is neither.
    """
    if name_or_file in bundled_names():
        return bundled_folder() / f"{name_or_file}{SUFFIX}"
    path = Path(name_or_file)
    if path.is_file():
        return path
    names = ", ".join(bundled_names()) or "none"
    raise BadScenario([f"{name_or_file}: there is no such file, and no bundled scenario of that name (there is: {names})"])
