"""What a broker is.

A *node* is one process around a broker. :class:`~vuemantics_ws.brokers.nodes.Nodes` are how one node knows of the others and
asks them something; :class:`~vuemantics_ws.brokers.users.Users` are what all of them share about users: follows, and messages
to them. The gateway's ``Neighbours`` are all nodes made to answer as one. A *cluster* is a Redis Cluster and nothing else, but
for the scope of a question, where it stands for all nodes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from vuemantics_ws.brokers.nodes import Nodes
from vuemantics_ws.brokers.users import Users
from vuemantics_ws.core.upload import Event, Head, Verdict, Version


class Receipt(NamedTuple):
    """What a publisher gets back.

    ``version`` is the event's own where it was accepted, else the head's. ``receivers`` counts the processes that were told,
    None where nobody knows. ``owned`` says whether anybody owns the upload now.
    """

    verdict: Verdict
    version: Version | None
    receivers: int | None
    owned: bool


class Health(NamedTuple):
    """How a broker is.

    ``ready`` is false while it cannot do all that it promises, ``reason`` then says why, in words for an operator,
    ``hint`` what to do about it, None where that is not known, and ``since`` is the monotonic time at which it became so.
    ``lag_s`` is how long what it tells was under way at last, None where nobody measures. ``gaps`` counts how often something
    may have been missed, and was made good. ``adopts`` says whether plain publishers are heard, None where there are none.
    """

    ready: bool
    since: float
    reason: str | None = None
    lag_s: float | None = None
    gaps: int = 0
    adopts: bool | None = None
    hint: str | None = None


Deliver = Callable[[str, Head], None]
"""``deliver(upload_id, head)``: called with each accepted event of a watched upload, in order of version."""

Adopted = Callable[[Event, Receipt], None]
"""Called with what a plain publisher said, and what became of it."""

Found = Callable[[Head | None], None]
"""Called once with the head that a watch found, None where there is none, or where the broker is away."""


class Broker(Protocol):
    """Judges what is published, keeps the newest of each upload, and tells whoever watches.

    **Guarantee.** From the moment ``watch`` calls ``found``, every event that is accepted for that upload reaches
    ``deliver``, or a newer one in its place. Nothing is missing between the two: a broker watches first and reads the head
    then.

    **Order.** For one upload, versions only grow.

    **Failure.** A broker that loses its connection delivers what moved meanwhile when it is back. While it is away, ``watch``
    finds nothing within seconds, and what there was to find is delivered later; ``publish`` and ``head`` raise
    :class:`vuemantics_ws.errors.BrokerAway`. It never calls ``deliver`` for an upload after ``unwatch``.

    ``found`` and ``deliver`` are plain calls: they run in the loop's thread, return at once and raise nothing. ``watch`` is a
    call with an answer rather than a coroutine, because a gateway asks while it parses a socket's bytes: a broker that knows
    the answer gives it before ``watch`` returns, and no task is made for it.
    """

    async def start(self, deliver: Deliver) -> None:
        """Must be called once, before anything else. It does not wait for a server that is away."""
        ...

    async def stop(self) -> None:
        """Nothing is delivered after this. Calling it twice does no harm."""
        ...

    async def publish(self, event: Event) -> Receipt:
        """Judge, keep and tell, as one step. Being cancelled leaves either all of it done or nothing.

        Raises:
            BrokerAway: whether it was done is not known. Publishing the same bytes again does no harm.
        """
        ...

    def watch(self, upload_id: str, found: Found) -> None:
        """Begin to tell about this upload. Watching twice is an error of the caller."""
        ...

    def unwatch(self, upload_id: str) -> None:
        """Stop telling about it. A ``found`` that is still owed is not called any more."""
        ...

    async def head(self, upload_id: str) -> Head | None:
        """The newest accepted event, without watching.

        Raises:
            BrokerAway: nobody knows now.
        """
        ...

    @property
    def name(self) -> str:
        """What it is called where figures are shown: ``memory``, ``redis`` or ``redis-cluster``."""
        ...

    @property
    def health(self) -> Health:
        """How it is now."""
        ...

    @property
    def nodes(self) -> Nodes | None:
        """The other nodes around it; None where there can be none."""
        ...

    @property
    def users(self) -> Users | None:
        """What all nodes share about users; None where there can be but one node."""
        ...

    @property
    def adopted(self) -> Mapping[str, int]:
        """What became of all that plain publishers said, as far as this process heard it: how often by outcome."""
        ...

    def tell_adopted(self, told: Adopted) -> None:
        """Call this with each of them that was judged. A plain call, as ``deliver`` is."""
        ...

    @property
    def watches(self) -> int:
        """How many uploads are watched."""
        ...

    @property
    def heads(self) -> int | None:
        """How many newest states this process keeps; None where they are kept elsewhere."""
        ...

    def unwatched(self) -> Iterator[tuple[str, Head]]:
        """The newest states that this process keeps of uploads nobody watches, for whoever wonders where they are.

        Events may come and go between two steps of the iterator: it tells what was there at its first one, each in its newest
        state. It is empty where they are kept elsewhere.
        """
        ...

    def keeps(self, upload_id: str) -> bool:
        """Whether :meth:`unwatched` would tell of this upload."""
        ...
