"""Files that a run leaves behind, because somebody asked for them."""

from types import TracebackType
from typing import BinaryIO, Self

from vuemantics_ws.errors import BadSetting, EnvironmentUnfit


class OutputFile:
    """A file for what an option asks for, or none. What cannot be written is told at the end, since a run has to go on.

    Raises:
        BadSetting: the file cannot be opened.
        EnvironmentUnfit: it could not be written, at the end of the ``with``.
    """

    def __init__(self, option: str, path: str | None) -> None:
        self._option = option
        self._path = path
        self._file: BinaryIO | None = None
        self._failed: OSError | None = None
        if path is not None:
            try:
                self._file = open(path, "wb")  # noqa: SIM115 - closed at the end of the with
            except OSError as error:
                raise BadSetting(f"{option}: {path} cannot be written: {_reason(error)}", setting=option) from None

    @property
    def is_wanted(self) -> bool:
        return self._file is not None

    def write(self, data: bytes) -> None:
        if self._file is not None and self._failed is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._failed = error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError as failed:
                self._failed = self._failed or failed
        if self._failed is not None and (error is None or isinstance(error, KeyboardInterrupt)):
            raise EnvironmentUnfit(f"{self._option}: {self._path} could not be written: {_reason(self._failed)}")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
