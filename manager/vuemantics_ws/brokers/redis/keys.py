"""What keys and channels are called. Two prefixes never meet, and neither do two databases of one server.

Redis knows no databases where it knows channels, so a database other than 0 stands in the channels' names. An id in braces is
a hash tag: whatever one script touches lies in one slot of a Redis Cluster.
"""


class Keys:
    """All names under one prefix. Ids are those of uploads, users and nodes."""

    def __init__(self, prefix: str, *, database: int = 0) -> None:
        self._prefix = prefix.encode()
        self._channel_prefix = self._prefix + (b"db%d:" % database if database else b"")

    def head(self, upload_id: str) -> bytes:
        """A hash: the newest accepted event of an upload, and what the judge needs to know of it."""
        return b"%bhead:{%b}" % (self._prefix, upload_id.encode())

    def digests(self, upload_id: str) -> bytes:
        """A sorted set: digests of unversioned events that were judged, by when."""
        return b"%bdigests:{%b}" % (self._prefix, upload_id.encode())

    def state_channel(self, upload_id: str) -> bytes:
        """Where each accepted event of an upload is told."""
        return b"%bstate:{%b}" % (self._channel_prefix, upload_id.encode())

    def user(self, user_id: str) -> bytes:
        """A hash: upload to the nodes on which an open connection of the user holds it."""
        return b"%buser:{%b}" % (self._prefix, user_id.encode())

    def revision(self, user_id: str) -> bytes:
        """A number: how often what the user follows has changed."""
        return b"%brevision:{%b}" % (self._prefix, user_id.encode())

    def user_channel(self, user_id: str) -> bytes:
        """Where nodes tell each other what concerns a user."""
        return b"%buser:{%b}" % (self._channel_prefix, user_id.encode())

    def node_channel(self, node_id: str) -> bytes:
        """Where one node is spoken to."""
        return b"%bnode:{%b}" % (self._channel_prefix, node_id.encode())

    @property
    def nodes(self) -> bytes:
        """A hash: the ids of nodes with when each was last heard, in Redis' milliseconds, and what it says of itself."""
        return b"%bnodes" % self._prefix

    @property
    def nodes_channel(self) -> bytes:
        """Where all nodes are spoken to."""
        return b"%bnodes" % self._channel_prefix

    def canary_channel(self, name: str, number: int) -> bytes:
        """Where a process hears itself, on its connection to one server; also the key of the trace that this leaves."""
        return b"%bcanary:{%b-%d}" % (self._channel_prefix, name.encode(), number)
