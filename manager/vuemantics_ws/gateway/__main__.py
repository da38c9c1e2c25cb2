"""``python -m vuemantics_ws.gateway``: a node that is told everything by its environment and says where it listens.

Prints one JSON line with its two URLs when it is ready. Logs go to stderr.

With ``--end-with-stdin`` it stops when its stdin ends. Whoever starts a node and holds the other end of that pipe leaves none
behind, not even where it is killed itself. With ``--share-port`` other nodes of this user may have the same public port.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading

from vuemantics_ws.ambient import process_id
from vuemantics_ws.errors import EnvironmentUnfit, OperatorError, VuemanticsError
from vuemantics_ws.gateway.run import Ready, run
from vuemantics_ws.gateway.settings import Settings

END_WITH_STDIN = "--end-with-stdin"
SHARE_PORT = "--share-port"


def main() -> int:
    """The exit code: 2 for bad settings, 3 for a port that cannot be had."""
    if END_WITH_STDIN in sys.argv[1:]:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        settings = Settings.from_environment(os.environ)
        logging.basicConfig(
            level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        return run(settings, ready=_say, shares_port=SHARE_PORT in sys.argv[1:])
    except (OperatorError, EnvironmentUnfit) as error:
        return _complain(error)


def _end_with_stdin() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4_096):  # not through sys.stdin, whose lock nobody else could have at the end
            pass
    os.kill(process_id(), signal.SIGTERM)


def _say(ready: Ready) -> None:
    print(json.dumps(dataclasses.asdict(ready)), flush=True)


def _complain(error: VuemanticsError) -> int:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return 3 if isinstance(error, EnvironmentUnfit) else 2


if __name__ == "__main__":
    sys.exit(main())
