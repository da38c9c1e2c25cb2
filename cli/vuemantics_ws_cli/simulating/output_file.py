"""Files that a run leaves behind, because somebody asked for them."""

import os
import stat
from types import TracebackType
from typing import BinaryIO, Self

from vuemantics_ws.errors import BadSetting, EnvironmentUnfit


class OutputFile:
    """A file for what an option asks for, or none. What cannot be written is told at the end, since a run has to go on. Where
    nothing is written, nothing is lost that was there, and nothing is left that was not.

    Raises:
        BadSetting: the file cannot be opened.
        EnvironmentUnfit: it could not be written, at the end of the ``with``.
    """

    def __init__(self, option: str, path: str | None) -> None:
        self._option = option
        self._path = path
        self._file: BinaryIO | None = None
        self._failed: OSError | None = None
        self._is_new = path is not None and not os.path.lexists(path)
        self._is_written = False
        if path is not None:
            try:
                self._file = open(path, "ab")  # noqa: SIM115 - closed at the end of the with
            except OSError as error:
                raise BadSetting(f"{option}: {path} cannot be written: {_reason(error)}", setting=option) from None

    @property
    def is_wanted(self) -> bool:
        return self._file is not None

    def write(self, data: bytes) -> None:
        if self._file is not None and self._failed is None:
            try:
                if not self._is_written and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                    self._file.truncate(0)
                self._is_written = True
                self._file.write(data)
            except OSError as error:
                self._failed = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            try:
                self._file.close()
                if self._is_new and not self._is_written and self._path is not None:
                    os.unlink(self._path)
            except OSError as failed:
                self._failed = self._failed or failed
        if self._failed is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            raise EnvironmentUnfit(f"{self._option}: {self._path} could not be written: {_reason(self._failed)}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
