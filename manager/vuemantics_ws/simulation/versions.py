"""What runs: the versions of all that may make the same seed another run."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTIONS = ("vuemantics-ws", "websockets", "redis", "hiredis", "msgspec")
COMMIT_LENGTH = 12
SYMBOLIC = "ref: "


def versions() -> dict[str, str]:
    """By name; with the commit where this runs from a checkout. A commit says nothing of what was changed since."""
    found = {"Python": platform.python_version(), **{name: _version(name) for name in DISTRIBUTIONS}}
    commit = commit_of(Path(__file__).resolve().parents[3])
    return {**found, "commit": commit} if commit else found


def commit_of(checkout: Path) -> str | None:
    """The commit that is checked out there, abbreviated; None where that is no checkout, or cannot be read.

    Read from git's files, since whether there is a git to run, and what it is set up to do, is not ours to know.
    """
    try:
        folder = _git_folder(checkout / ".git")
        head = _line(folder / "HEAD")
        commit = _resolve(folder, head.removeprefix(SYMBOLIC)) if head.startswith(SYMBOLIC) else head
    except (OSError, UnicodeDecodeError):
        return None
    return commit[:COMMIT_LENGTH] if commit else None


def _git_folder(found: Path) -> Path:
    """A worktree has a file that says where its folder is."""
    return found if found.is_dir() else found.parent / _line(found).removeprefix("gitdir: ")


def _resolve(folder: Path, reference: str) -> str | None:
    """Worktrees share their branches, and branches that nobody moves are packed into one file."""
    common = folder / _line(folder / "commondir") if (folder / "commondir").exists() else folder
    for place in (folder, common):
        if (place / reference).is_file():
            return _line(place / reference)
    for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return None


def _line(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "(not installed)"
