"""A logger for the WebSocket library that says nothing: at DEBUG it would write frames, and with them tokens, to the log."""

import logging

QUIET = logging.Logger("vuemantics_ws.quiet", level=logging.CRITICAL)
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
