"""What each planted fault does to the laws. ``docs/laws.md`` has it as tables."""

import re
from typing import NamedTuple

from tests.simulation.judging.broken_node import FAULTS
from tests.simulation.judging.small_worlds import HOUSEHOLD, SLOW_READER, SmallWorld


class Planted(NamedTuple):
    """A fault, and the law that must fall because of it.

    ``says`` is what its checker says, with X for a name and N for a number. ``besides`` are the laws that may fall with it;
    all others must hold.
    """

    law: str
    fault: str
    says: str
    besides: tuple[str, ...] = ()
    world: SmallWorld = HOUSEHOLD

    @property
    def bug(self) -> str:
        """In words."""
        return FAULTS[self.fault].__doc__ or ""

    def is_said_by(self, message: str) -> bool:
        pattern = re.escape(self.says).replace("X", "[a-z]+").replace("N", "[0-9.]+")
        return re.search(pattern, message) is not None


PLANTED = (
    Planted("order", "the-end-overtakes", "X (connection N) got (N, N) of X after (N, N)", ("convergence", "the end arrives")),
    Planted("order", "the-snapshot-comes-late", "X (connection N) got (N, N) of X after (N, N)", ("the end arrives",)),
    Planted(
        "order",
        "every-event-for-itself",
        "X (connection N) got (N, N) of X after (N, N)",
        ("convergence", "the end arrives", "no seam"),
    ),
    Planted(
        "convergence",
        "the-attempt-is-not-compared",
        "(2, 11) of dog is the newest; X (connection N): the last it got is (1, 11)",
        ("the end arrives",),
    ),
    Planted(
        "convergence",
        "the-last-flush-is-lost",
        "(1, 7) of owl is the newest; again (connection N): the last it got is (1, N)",
        ("no seam",),
    ),
    Planted(
        "the end arrives",
        "the-end-is-sent-twice",
        "X (connection N) got the end of attempt 1 of dog twice",
        ("order", "no seam"),
    ),
    Planted(
        "the end arrives",
        "the-end-is-for-one-tab",
        "phone (connection N) never got the end of dog, (2, 11)",
        ("convergence",),
    ),
    Planted(
        "the end arrives",
        "a-full-outbox-takes-nothing",
        "slow (connection N) never got the end of film, (1, 151)",
        ("convergence",),
        SLOW_READER,
    ),
    Planted(
        "no seam",
        "the-head-is-read-before-the-watch",
        "again (connection N) joined and never got the state of owl",
        ("convergence",),
    ),
    Planted(
        "no seam", "no-snapshot-at-the-join", "again (connection N) joined and never got the state of owl", ("convergence",)
    ),
    Planted("no seam", "the-snapshot-comes-twice", "X (connection N) got (N, N) of X twice", ("order", "the end arrives")),
    Planted("no seam", "no-grace", "again (connection N) joined and never got the state of owl", ("convergence",)),
    Planted("privacy", "no-rule-at-the-delivery", "tablet got upload_progress of dog, which is alice's"),
    Planted("privacy", "no-rule-at-the-snapshot", "tablet got upload_progress of dog, which is alice's"),
    Planted("privacy", "the-answer-tells", "tablet got subscribed of dog, which is alice's"),
    Planted("privacy", "a-stranger-is-told", "tablet got error of dog, which is alice's"),
    Planted("independence", "no-conflation", "N bytes wait for one connection, and N may", (), SLOW_READER),
    Planted("independence", "a-full-buffer-is-not-heard", "N bytes wait for one connection, and N may", (), SLOW_READER),
    Planted(
        "independence",
        "the-flush-waits-for-the-slowest",
        "fast (connection N) got (1, N) of film N s after (1, N) was published, and nothing new before",
        (),
        SLOW_READER,
    ),
    Planted("no residue", "nobody-leaves", "everybody has left, and there still are 3 users, 3 uploads, 4 follows"),
    Planted("no residue", "the-grace-never-ends", "everybody has left, and there still are 3 users, 3 uploads, 4 follows"),
    Planted("no residue", "an-upload-is-leaked", "everybody has left, and there still are 3 uploads"),
    Planted("documented", "an-unknown-message", "X got a message that the browser refuses: an unknown action 'heartbeat'"),
    Planted("documented", "giving-up-is-not-heeded", "phone got a state of what it had given up"),
    Planted("documented", "an-unanswered-subscribe", "tablet got no answer to its subscribe_upload of dog"),
    Planted("documented", "the-answer-comes-late", "X got a state of X before the answer to its subscribe"),
    Planted("documented", "a-fault-at-a-subscribe", "a connection ended with 1011: its server met a fault of its own"),
    Planted(
        "documented",
        "another-state-under-the-version",
        "X got (N, N) of X as queued at N %; published was X at N %",
    ),
    Planted(
        "documented",
        "a-node-that-falls",
        "node:0 ended with exit code 3 without being told to",
        ("convergence", "the end arrives", "no seam", "no residue", "taken"),
    ),
    Planted(
        "taken", "a-seq-is-compared-as-text", "an event of dog was dropped as stale, though nothing newer had been published"
    ),
    Planted(
        "taken",
        "a-second-end-is-a-duplicate",
        "an event of dog was taken as (2, 10), duplicate, which another had been before it",
    ),
)


LAWS = tuple(dict.fromkeys(one.law for one in PLANTED))
"""Those that fall, in the order of the design."""


def table_of(law: str) -> str:
    """The faults that a law has been seen to find."""
    rows = ["| planted fault | what the checker says | what may fall with it |", "| --- | --- | --- |"]
    rows += [
        f"| {planted.bug} | “{planted.says}” | {', '.join(planted.besides)} |" for planted in PLANTED if planted.law == law
    ]
    return "\n".join(rows) + "\n"
