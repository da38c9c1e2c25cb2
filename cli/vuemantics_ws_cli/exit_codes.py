"""Why a command ended: one code a cause, the same for every command."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The meaning of each stands in :data:`MEANINGS`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNFIT = 3
    REFUSED = 4
    NOT_DETERMINISTIC = 5
    TIMED_OUT = 6
    REJECTED = 7
    FAULT = 70
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "all went well",
    ExitCode.FAILED: "an expectation or a check failed",
    ExitCode.USAGE: "wrong usage, a bad setting or a bad file",
    ExitCode.UNFIT: "no server there, a port that is taken, or an environment that is otherwise unfit",
    ExitCode.REFUSED: "a server refused",
    ExitCode.NOT_DETERMINISTIC: "the same seed gave another run",
    ExitCode.TIMED_OUT: "timed out",
    ExitCode.REJECTED: "an event was rejected: stale, after the end, or bad",
    ExitCode.FAULT: "a fault of ours",
    ExitCode.INTERRUPTED: "interrupted",
}


def exit_code_table() -> str:
    """All codes as a table in Markdown."""
    rows = ["| code | meaning |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| {code:d} | {meaning} |" for code, meaning in MEANINGS.items())]) + "\n"


def exit_code_of(error: Exception) -> ExitCode:
    """The code for an error of the library's own."""
    from vuemantics_ws.errors import BadEvent, EnvironmentUnfit, OperatorError, Refused

    causes: list[tuple[type[Exception], ExitCode]] = [
        (OperatorError, ExitCode.USAGE),
        (EnvironmentUnfit, ExitCode.UNFIT),
        (Refused, ExitCode.REFUSED),
        (BadEvent, ExitCode.REJECTED),
    ]
    return next((code for kind, code in causes if isinstance(error, kind)), ExitCode.FAULT)
