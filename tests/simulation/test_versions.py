"""Which commit a checkout is of, read from git's files in every form that they have."""

from pathlib import Path

import pytest

from vuemantics_ws.simulation.versions import commit_of, versions

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def git(tmp_path: Path) -> Path:
    folder = tmp_path / ".git"
    folder.mkdir()
    return folder


def test_a_branch_is_followed(git: Path) -> None:
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")

    assert commit_of(git.parent) == "0123456789ab"


def test_a_commit_without_a_branch_is_itself(git: Path) -> None:
    (git / "HEAD").write_text(f"{COMMIT}\n")

    assert commit_of(git.parent) == "0123456789ab"


def test_a_packed_branch_is_found(git: Path) -> None:
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n")

    assert commit_of(git.parent) == "0123456789ab"


def test_a_worktree_is_followed_to_the_branches_that_it_shares(git: Path, tmp_path: Path) -> None:
    own = git / "worktrees" / "aside"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/aside\n")
    (own / "commondir").write_text("../..\n")
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "aside").write_text(f"{COMMIT}\n")
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / ".git").write_text(f"gitdir: {own}\n")

    assert commit_of(aside) == "0123456789ab"


@pytest.mark.parametrize("head", [None, "ref: refs/heads/unborn\n"])
def test_where_there_is_none_nothing_is_said(git: Path, head: str | None) -> None:
    if head is not None:
        (git / "HEAD").write_text(head)

    assert commit_of(git.parent) is None
    assert commit_of(git.parent / "elsewhere") is None


def test_all_that_may_make_another_run_is_named() -> None:
    assert set(versions()) >= {"Python", "vuemantics-ws", "websockets", "redis", "hiredis", "msgspec"}
