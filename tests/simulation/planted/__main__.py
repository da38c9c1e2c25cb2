"""``python -m tests.simulation.planted [WORD ...]``: look for the planted bugs, and write the record and the table anew.

Where words are given, for those bugs alone whose names have one of them. All of them take some minutes.
"""

import sys

from tests.simulation.planted.bugs import BUGS
from tests.simulation.planted.finding import look_for
from tests.simulation.planted.table import read_record, write
from vuemantics_ws.simulation.format.writing import to_yaml


def main(words: list[str]) -> None:
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        what = look_for(bug)
        record = read_record()
        record.pop(bug.name, None)
        if what is None:
            print(f"{bug.name}: not found", flush=True)
        else:
            found, left = what
            record[bug.name] = found
            print(f"{found}\n{to_yaml(left)}", flush=True)
        write(record)


if __name__ == "__main__":
    main(sys.argv[1:])
