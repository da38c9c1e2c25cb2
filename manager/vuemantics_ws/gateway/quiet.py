"""What keeps tokens and payloads out of the log."""

import logging
import traceback

QUIET = logging.Logger("vuemantics_ws.quiet", level=logging.CRITICAL)
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
"""For the WebSocket library: at DEBUG it would write frames, and with them tokens, to the log."""


def log_fault(logger: logging.Logger, what: str, error: Exception) -> None:
    """Say where a fault of ours happened to ``what``; not the error's message, which may quote what came."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: a fault of ours: %s\n%s", what, type(error).__name__, where)
