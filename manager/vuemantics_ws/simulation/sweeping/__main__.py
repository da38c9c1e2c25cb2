"""``python -m vuemantics_ws.simulation.sweeping``: plays seeds for :mod:`vuemantics_ws.simulation.sweeping.workers`.

The first line that comes in is an order, each that follows a chunk of seeds; outcomes go out, a line each.
"""

import os
import sys
from queue import SimpleQueue
from threading import Thread

import msgspec

from vuemantics_ws.ambient import SystemClock
from vuemantics_ws.simulation.format.reader import parse_scenario
from vuemantics_ws.simulation.sweeping.outcome import play_seed
from vuemantics_ws.simulation.sweeping.workers import Chunk, Order


def main() -> None:
    """Until nobody is there any more who would give orders."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed must not get between them
    lines: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_read, args=(lines,), daemon=True).start()
    order = msgspec.json.decode(lines.get(), type=Order)
    scenario, clock = parse_scenario(order.text, file="scenario"), SystemClock()
    chunks = msgspec.json.Decoder(Chunk)
    while True:
        chunk = chunks.decode(lines.get())
        for seed in range(chunk.first, chunk.last + 1):
            outcome = play_seed(scenario, seed, order.options, clock)
            answers.write(msgspec.json.encode(outcome) + b"\n")
            answers.flush()
            if not outcome.holds:
                break


def _read(lines: SimpleQueue[bytes]) -> None:
    """In a thread of its own: a seed may take minutes, and whoever asked for it may be gone long before."""
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
