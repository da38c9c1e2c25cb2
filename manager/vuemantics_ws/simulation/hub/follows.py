"""What one user follows, as all nodes share it."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vuemantics_ws.brokers.users import Stand


class Change(NamedTuple):
    """One thing that a node tells of a follow. ``number`` counts up on each node, so that nothing is done twice."""

    number: int
    upload_id: str
    verb: str


FOLLOW, GIVE_UP, END = "follow", "give up", "end"
"""The user follows it; the node gave it up, so the follow ends unless another node holds it; it ends, whoever holds it."""


class Follows:
    """One user's. Whoever finds none where there were some knows by another ``born`` that they were lost, not ended."""

    __slots__ = ("_done", "born", "connected", "holders", "revision", "touched_at")

    def __init__(self) -> None:
        self.born: int | None = None
        """The number that it was made under, None before the first follow."""
        self.revision = 0
        """How often what is followed has changed."""
        self.holders: dict[str, dict[str, None]] = {}
        """By upload, oldest first, the nodes on which an open connection holds it."""
        self.connected: dict[str, None] = {}
        """The nodes on which the user had a connection when they last looked."""
        self.touched_at = 0.0
        self._done: dict[str, int] = {}

    def look(
        self,
        node_id: str,
        changes: Sequence[Change],
        stand: Stand,
        present: Collection[str],
        *,
        known: int,
        fresh: int,
        follows_max: int,
        now: float,
    ) -> bool:
        """Do what a node tells, in its order, and take over how the user stands there. Whether others must know.

        Args:
            present: the nodes that are there. What others hold counts for nothing.
            known: the revision that the node knows. Where it is above ours some of it was lost, and all is born anew, so that
                every node tells again what is lacking.
            fresh: the number of this look, for a user of whom nothing is known.
        """
        holders, is_news, done = self.holders, False, self._done.get(node_id, 0)
        if self.revision < known:
            self.revision = known
            if self.born is not None:
                self.born, is_news = fresh, True
        for number, upload_id, verb in changes:
            if number <= done:
                continue  # it was told before, and the answer was lost
            self._done[node_id] = number
            if verb == FOLLOW:
                if upload_id not in holders and len(holders) < follows_max:
                    holders[upload_id] = {}
                    is_news = True
            elif upload_id in holders:
                held = any(other != node_id and other in present for other in holders[upload_id])
                if verb == END or not held:
                    del holders[upload_id]
                    is_news = True
        for upload_id, nodes in holders.items():
            if stand.is_connected and upload_id not in stand.given_up:
                nodes[node_id] = None
            else:
                nodes.pop(node_id, None)
        was_connected = node_id in self.connected
        if stand.is_connected:
            self.connected[node_id] = None
        else:
            self.connected.pop(node_id, None)
        if self.born is None and holders:
            self.born = fresh
        self.revision += is_news
        if changes or stand.is_connected or was_connected or is_news:  # the grace time begins when the last one goes
            self.touched_at = now
        return is_news
