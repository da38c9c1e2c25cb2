"""What nodes share about users, and what a manager asks of the others and they of it: a user is one, whatever the node.

What a user follows is one set that all nodes share. Each node keeps a copy of it for the users that it has, and tells of each
change; what others changed it takes over.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol


class Stand(NamedTuple):
    """How a user stands on one node: the uploads followed here, whether a connection is open here, and what all of the open
    connections here have given up.
    """

    follows: Collection[str]
    is_connected: bool
    given_up: Sequence[str]


class Here(Protocol):
    """This node, as the others reach it. Plain calls in the loop's thread, which return at once and raise nothing."""

    def stand(self, user_id: str) -> Stand:
        """How the user stands here, now."""
        ...

    def converge(self, user_id: str, *, arrived: Sequence[str], ended: Sequence[str], settled: bool) -> None:
        """The user follows ``arrived`` as well, and no longer ``ended``.

        ``settled`` says that nothing is under way: after this the user follows here what the user follows.
        """
        ...

    def said_to_user(self, user_id: str, payload: bytes) -> None:
        """Another node was asked to send this to the user."""
        ...

    def said_of_upload(self, upload_id: str, payload: bytes) -> None:
        """Another node was asked to send this to all who follow the upload."""
        ...


class Users(Protocol):
    """What the nodes around one broker share about users, as a manager sees it.

    **Guarantee.** When nobody changes anything any more and all nodes are reachable, every node that has a user follows the
    same for that user: what was followed last and not given up.

    **Order.** Of two changes of one follow the later one at the broker counts. One node's changes arrive in its order.

    **Failure.** While the others cannot be reached a change waits, and what is done here stays done here. Then all is told
    anew.

    The plain calls return at once and raise nothing.
    """

    def start(self, here: Here) -> None:
        """Must be called once, before anything else and inside the running loop."""
        ...

    def connections_changed(self, user_id: str) -> None:
        """A connection of the user opened here or closed."""
        ...

    def follow(self, user_id: str, upload_id: str) -> None:
        """The user subscribed here."""
        ...

    def give_up(self, user_id: str, upload_id: str) -> None:
        """The last open connection here that held the upload gave it up: the follow ends if nobody else holds it."""
        ...

    def end(self, user_id: str, upload_id: str) -> None:
        """The user as a whole gave the upload up, whoever holds it. The user need not be known here."""
        ...

    def forget(self, user_id: str) -> None:
        """Nothing of the user is left here. What the user follows elsewhere goes on."""
        ...

    async def leave(self) -> None:
        """This node has nobody any more: it holds nothing, and all follows wait for their users elsewhere.

        Ends within seconds, whoever can be reached.
        """
        ...

    async def say_to_user(self, user_id: str, payload: bytes) -> None:
        """Pass a message on to the user's connections on the other nodes.

        Raises:
            BrokerAway: whether it was passed on is not known.
        """
        ...

    async def say_of_upload(self, upload_id: str, payload: bytes) -> None:
        """Pass a message on to all who follow the upload on the other nodes.

        Raises:
            BrokerAway: whether it was passed on is not known.
        """
        ...
