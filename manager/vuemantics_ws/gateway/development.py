"""The secret of development mode: made once, kept in a file that its owner alone can read, and reused by every start.

So a browser that comes back after a restart still has a good token (SEMANTICS.md section 4).
"""

import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from vuemantics_ws.ambient import new_secret
from vuemantics_ws.errors import OperatorError

logger = logging.getLogger(__name__)

STATE_DIR_VARIABLE = "VUEMANTICS_WS_STATE_DIR"
"""Names another folder than the user's own for state."""

SECRET_VARIABLE = "VUEMANTICS_WS_DEVELOPMENT_SECRET"
"""Holds the secret itself, where another process has made it for several."""

FILE_NAME = "development-secret"

_SECRET = re.compile(rb"([0-9a-f]{64})\n?")
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def development_secret(*, environment: Mapping[str, str] | None = None, make_secret: Callable[[], str] = new_secret) -> str:
    """The secret that was handed to this process, or else the one that is kept for this user; the first call makes that.

    Processes that start at once agree. Where nothing can be kept, the secret lives as long as the caller, and the log says so.

    Raises:
        OperatorError: there is a file, but others may know what is in it, or it is not a secret of ours.
    """
    environment = os.environ if environment is None else environment
    if environment.get(SECRET_VARIABLE):
        return environment[SECRET_VARIABLE]
    folder = _state_folder(environment)
    try:
        if folder is not None:
            return _kept_secret(folder, make_secret)
        problem = "there is no home directory"
    except OSError as error:
        problem = f"{folder} cannot be used: {(error.strerror or 'it failed').lower()}"
    logger.warning("the development secret is not kept (%s): after a restart browsers need new tokens", problem)
    return make_secret()


def _state_folder(environment: Mapping[str, str]) -> Path | None:
    chosen = environment.get(STATE_DIR_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    folder = platformdirs.user_state_path("vuemantics-ws", appauthor=False)
    return folder if folder.is_absolute() else None  # a user without a home gets a literal ~


def _kept_secret(folder: Path, make_secret: Callable[[], str]) -> str:
    path = folder / FILE_NAME
    secret = _read(path)
    if secret is None:
        _make_folder(folder)
        _create(path, make_secret())
        secret = _read(path)
    if secret is None:
        raise OSError(errno.ENOENT, "what was written is not there")
    return secret


def _read(path: Path) -> str | None:
    """None where there is no such file. Trusts the open file alone, since a name can be given to another meanwhile."""
    try:
        # A FIFO in its place must not make us wait, nor a link lead us elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refuse(path, "it is a symbolic link") from None
        if error.errno == errno.EACCES and _exists(path):
            raise _refuse(path, "it cannot be read") from None
        raise
    try:
        _check(path, os.fstat(descriptor))
        match = _SECRET.fullmatch(os.read(descriptor, 100))
    finally:
        os.close(descriptor)
    if match is None:
        raise _refuse(path, "it holds something else")
    return match[1].decode()


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _refuse(path, "it is no file")
    if found.st_uid != os.geteuid():
        raise _refuse(path, "it belongs to another user", cure=f"remove it, or name another folder in {STATE_DIR_VARIABLE}")
    if found.st_mode & _OPEN_TO_OTHERS:
        raise _refuse(path, "others can read or write it", cure=f"remove it, or chmod 600 {path} if nobody has seen it")


def _refuse(path: Path, why: str, *, cure: str | None = None) -> OperatorError:
    hint = (cure or "remove it") + ": the next start makes a new one, and tokens signed with the old one are refused"
    return OperatorError(f"the development secret in {path} cannot be trusted: {why}", hint=hint)


def _exists(path: Path) -> bool:
    """Whether it is the file that refuses us, and not a folder above it."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    """Make the folder and what is missing above it, for the owner alone, as the XDG base directory specification asks."""
    for missing in reversed([above for above in (folder, *folder.parents) if not above.exists()]):
        with suppress(FileExistsError):  # another process was faster
            missing.mkdir(mode=0o700)


def _create(path: Path, secret: str) -> None:
    """Write it elsewhere first, so that nobody ever reads half a secret, and give it its name unless another has it.

    Whoever loses that race reads what the winner wrote.
    """
    descriptor, unnamed = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # O_EXCL
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask made of it
            file.write(f"{secret}\n".encode())
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(unnamed, path)
    finally:
        os.unlink(unnamed)
