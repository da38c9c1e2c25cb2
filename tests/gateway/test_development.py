"""The development secret on a real file system, with real processes racing for it."""

import logging
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

from vuemantics_ws.errors import OperatorError
from vuemantics_ws.gateway.development import FILE_NAME, SECRET_VARIABLE, STATE_DIR_VARIABLE, development_secret

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet, nor the one above it."""
    return tmp_path / "state" / "vuemantics-ws"


def secret_in(folder: Path, make_secret: Callable[[], str] | None = None) -> str:
    environment = {STATE_DIR_VARIABLE: str(folder)}
    if make_secret is None:
        return development_secret(environment=environment)
    return development_secret(environment=environment, make_secret=make_secret)


def place(folder: Path, content: str = SECRET + "\n", mode: int = 0o600) -> Path:
    folder.mkdir(parents=True)
    path = folder / FILE_NAME
    path.write_text(content)
    path.chmod(mode)
    return path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Somebody whom file modes bind: root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that everybody can get at, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_of_256_bits_is_made_once_and_kept(folder: Path) -> None:
    first = secret_in(folder)

    assert re.fullmatch("[0-9a-f]{64}", first)
    assert secret_in(folder) == first
    assert (folder / FILE_NAME).read_text() == first + "\n"


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    assert secret_in(tmp_path / "one") != secret_in(tmp_path / "two")


def test_a_secret_that_was_handed_to_the_process_is_the_one_and_none_is_kept(folder: Path) -> None:
    assert development_secret(environment={STATE_DIR_VARIABLE: str(folder), SECRET_VARIABLE: SECRET}) == SECRET
    assert not folder.exists()


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_nobody_else_can_read_it_whatever_the_umask(folder: Path, mask: int) -> None:
    with umask(mask):
        secret_in(folder)

    assert mode_of(folder / FILE_NAME) == 0o600
    assert mode_of(folder) == 0o700
    assert mode_of(folder.parent) == 0o700


def test_a_umask_that_takes_too_much_takes_nothing_from_its_owner(folder: Path) -> None:
    folder.mkdir(parents=True)

    with umask(0o277):
        secret_in(folder)

    assert mode_of(folder / FILE_NAME) == 0o600


def test_nothing_but_the_secret_is_left_behind(folder: Path) -> None:
    secret_in(folder)

    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_a_folder_that_is_there_already_is_used_as_it_is(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)

    secret_in(folder)

    assert mode_of(folder) == 0o755


def test_the_users_own_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(STATE_DIR_VARIABLE, raising=False)

    secret = development_secret()

    assert (platformdirs.user_state_path("vuemantics-ws", appauthor=False) / FILE_NAME).read_text() == secret + "\n"
    assert list(tmp_path.rglob(FILE_NAME))


def test_a_variable_that_is_empty_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    development_secret(environment={STATE_DIR_VARIABLE: ""})

    assert list(tmp_path.rglob(FILE_NAME))


# Races.

START = f"""
import sys
from vuemantics_ws.gateway.development import development_secret
sys.stdin.readline()
print(development_secret(environment={{"{STATE_DIR_VARIABLE}": sys.argv[1]}}))
"""


def test_processes_that_start_at_once_agree(folder: Path) -> None:
    command = [sys.executable, "-c", START, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)
    ]

    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = {racer.communicate(timeout=20)[0].strip() for racer in racers}

    assert said == {secret_in(folder)}


def test_whoever_is_late_takes_what_the_first_wrote(folder: Path) -> None:
    """The winner writes between the loser's look and the loser's own attempt."""

    def lose() -> str:
        secret_in(folder, lambda: SECRET)
        return "f" * 64

    assert secret_in(folder, lose) == SECRET
    assert secret_in(folder) == SECRET
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_threads_that_race_agree_and_never_read_half_a_secret(folder: Path) -> None:
    barrier = threading.Barrier(8)
    said: list[str] = []

    def race() -> None:
        barrier.wait()
        said.append(secret_in(folder))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(said) == 8
    assert len(set(said)) == 1


# What is there and cannot be trusted.


def refused(folder: Path) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        secret_in(folder)
    assert caught.value.hint
    assert SECRET not in str(caught.value) + str(caught.value.hint)
    return caught.value


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o601, 0o666])
def test_a_file_that_others_can_use_is_refused(folder: Path, mode: int) -> None:
    path = place(folder, mode=mode)

    error = refused(folder)

    assert "others can read or write it" in error.message
    assert f"chmod 600 {path}" in str(error.hint)
    path.chmod(0o600)
    assert secret_in(folder) == SECRET


def test_a_symbolic_link_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").write_text(SECRET)
    (tmp_path / "elsewhere").chmod(0o600)
    (folder / FILE_NAME).symlink_to(tmp_path / "elsewhere")

    assert "symbolic link" in refused(folder).message


def test_a_link_to_nowhere_is_refused_and_nothing_is_made_there(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (folder / FILE_NAME).symlink_to(tmp_path / "nowhere")

    assert "symbolic link" in refused(folder).message
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "content", ["", "\n", SECRET[:-1], SECRET + "0", SECRET.upper(), SECRET + "\n\n", "x" * 64, SECRET + " "]
)
def test_a_file_that_holds_something_else_is_refused(folder: Path, content: str) -> None:
    place(folder, content)

    assert "something else" in refused(folder).message


def test_a_secret_without_a_newline_is_one(folder: Path) -> None:
    place(folder, SECRET)

    assert secret_in(folder) == SECRET


def test_what_is_no_file_is_refused_without_waiting_for_it(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / FILE_NAME, 0o600)
    assert "no file" in refused(folder).message

    (folder / FILE_NAME).unlink()
    (folder / FILE_NAME).mkdir()
    assert "no file" in refused(folder).message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    os.chown(place(folder), 65_534, 65_534)

    error = refused(folder)

    assert "another user" in error.message
    assert STATE_DIR_VARIABLE in str(error.hint)


def test_a_file_that_cannot_be_read_is_refused(reachable: Path) -> None:
    place(reachable / "vuemantics-ws", mode=0o000)
    (reachable / "vuemantics-ws").chmod(0o755)

    with unprivileged():
        error = refused(reachable / "vuemantics-ws")

    assert "cannot be read" in error.message


# Where nothing can be kept.


def test_where_nothing_can_be_kept_the_secret_is_in_memory_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    with caplog.at_level(logging.WARNING):
        first, second = secret_in(tmp_path / "file" / "below"), secret_in(tmp_path / "file" / "below")

    assert re.fullmatch("[0-9a-f]{64}", first)
    assert first != second
    assert "is not kept" in caplog.text
    assert str(tmp_path / "file" / "below") in caplog.text
    assert first not in caplog.text


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_start(reachable: Path, caplog: pytest.LogCaptureFixture) -> None:
    reachable.chmod(0o555)

    with unprivileged():
        secret = secret_in(reachable)

    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert "is not kept" in caplog.text
    assert list(reachable.iterdir()) == []


def test_a_user_without_a_home_gets_a_secret_and_no_folder_named_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_state_path", lambda *_, **__: Path("~/.local/state/vuemantics-ws"))

    secret = development_secret(environment={})

    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert "no home directory" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_silent_where_all_is_well(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secret_in(folder)

    assert caplog.text == ""
