"""``python -m vuemantics_ws.simulation.judging``: judges a log that grows, for :mod:`vuemantics_ws.simulation.judging.aside`.

Records come in as lines of JSON. Each empty line asks for the laws so far, and is answered by one: pairs of name and verdict.
"""

import sys

import msgspec

from vuemantics_ws.simulation.judging.checkers import check_laws
from vuemantics_ws.simulation.judging.history import LiveHistory
from vuemantics_ws.simulation.log import Log, from_ndjson


def main() -> int:
    """Until the end of its input."""
    log = Log()
    live = LiveHistory(log)
    for line in sys.stdin.buffer:
        if line.strip():
            for record in from_ndjson(line):
                log.append(record)
            continue
        laws = check_laws(live.history) if live.has_begun else []
        sys.stdout.buffer.write(msgspec.json.encode([(law.name, law.verdict) for law in laws]) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
