"""A node's interest in one upload."""

from vuemantics_ws.brokers.base import Found
from vuemantics_ws.core.upload import Head
from vuemantics_ws.simulation.hub.store import Stored


class Watch:
    """Knows the newest state of which it was told.

    Attributes:
        found: what is owed to whoever watches, None once it has been called.
        told: the head that was found or delivered last.
    """

    __slots__ = ("ended", "found", "head", "incarnation", "told", "upload_id")

    def __init__(self, upload_id: str, found: Found) -> None:
        self.upload_id = upload_id
        self.found: Found | None = found
        self.head: Head | None = None
        self.told: Head | None = None
        self.incarnation = 0
        self.ended = False

    @property
    def stored(self) -> Stored | None:
        """What is known, as the middle keeps it."""
        return None if self.head is None else Stored(self.head, self.incarnation)

    def take(self, stored: Stored) -> None:
        """Know a state, if the judge would let it follow what is known.

        The same state under another incarnation is what the middle was given back: that incarnation is the one to go by, and
        its owner, whom another node may have known.
        """
        head, known = stored.head, self.head
        if known is not None:
            owner = head.owner if head.owner is not None else known.owner
            if head.version == known.version and head.digest == known.digest:
                head = known
            elif head.version <= known.version or (known.terminal and head.version.attempt == known.version.attempt):
                return
            if head.owner != owner:
                head = head._replace(owner=owner)
        self.head, self.incarnation = head, stored.incarnation

    def doubts(self, stored: Stored) -> bool:
        """Whether the middle, which told this last, lacks something that is known here."""
        assert self.head is not None
        return stored.incarnation != self.incarnation or (stored.head.owner is None and self.head.owner is not None)
