"""The scenarios that come with the project, by name."""

from difflib import get_close_matches
from importlib.resources import files
from itertools import takewhile
from pathlib import Path

from vuemantics_ws.errors import BadScenario

SUFFIX = ".yaml"
SCHEMA_NAME = "scenario.schema.json"


def bundled_folder() -> Path:
    """Where they are: in a checkout beside the sources, else inside the installed package.

    In that order, since what is installed in place of a checkout may hold an older copy of them.
    """
    sources = Path(__file__).resolve().parents[3]
    beside = sources.parent / "scenarios"
    return beside if sources.name == "manager" and beside.is_dir() else Path(str(files("vuemantics_ws") / "scenarios"))


def bundled_names() -> list[str]:
    """What can be played by name, in alphabetical order."""
    return sorted(path.stem for path in bundled_folder().glob(f"*{SUFFIX}"))


def resolve_scenario(name_or_file: str) -> Path:
    """The file that a person means: a bundled scenario's name, or a path.

    Raises:
        BadScenario: there is neither, it is a folder, or one cannot look.
    """
    if name_or_file in bundled_names():
        return bundled_folder() / f"{name_or_file}{SUFFIX}"
    path = Path(name_or_file)
    try:
        if path.is_file():
            return path
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long, or a folder that is not ours to look into
        raise BadScenario([f"{name_or_file[:100]}: {(error.strerror or str(error)).lower()}"]) from None
    if is_folder:
        raise BadScenario([f"{name_or_file}: expected a file, got a folder"])
    raise BadScenario([f"{name_or_file}: there is no such file, and no bundled scenario of that name{_hint(name_or_file)}"])


def bundled_text(name: str) -> str:
    """The text of a bundled scenario.

    Raises:
        BadScenario: there is none of that name.
    """
    if name not in bundled_names():
        raise BadScenario([f"{name}: there is no bundled scenario of that name{_hint(name)}"])
    return (bundled_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def bundled_schema() -> str:
    """The JSON Schema of the format, as it comes with the project."""
    return (bundled_folder() / SCHEMA_NAME).read_text(encoding="utf-8")


def question_of(text: str) -> str:
    """The question that a scenario answers: the comment at its top, up to the question mark; empty where there is none."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    question, mark, _ = " ".join(line.lstrip("# ").rstrip() for line in lines).partition("?")
    return question + mark if mark else ""


def _hint(name: str) -> str:
    names = bundled_names()
    near = get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (there is: {', '.join(names) or 'none'})"
