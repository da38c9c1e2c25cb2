"""What Redis may have lost for good together with its data (SEMANTICS.md section 6).

A node gives back what it watches and had heard. So an event is safe once a node must have heard it, or has shown it to
somebody, and somebody who follows the upload goes on to be there until the node has told Redis again.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from vuemantics_ws.core.upload import Version
from vuemantics_ws.simulation.judging.following import Window
from vuemantics_ws.simulation.log import Published


class Accepted(NamedTuple):
    """An event that its server took. ``at`` is when it said so.

    ``anew``: what was there before had been lost, and it was taken as if nothing had been. A node that knows better tells so,
    and then this has another version, or was never news.
    """

    version: Version
    at: float
    published: Published
    anew: bool = False


class Loss(NamedTuple):
    """Redis lost its data ``at`` a time: all of it, or as a replica what came after ``since``, which is -infinity for all."""

    at: float
    since: float

    def befalls(self, event: Published, *, by: float) -> bool:
        """Whether Redis may have lost the event by then, whoever else knows it."""
        return self.since <= event.at and event.sent_at <= self.at <= by


def kept(
    loss: Loss, windows: Iterable[Window], accepted: Iterable[Accepted], due_by: Callable[[float], float]
) -> Version | None:
    """The newest version of an upload that a node had and gave back; None where there was none.

    Args:
        windows: those in which the upload is owed to a connection.
        accepted: what was taken of it.
        due_by: by when what is owed from a time on must have come.
    """
    told_by = due_by(loss.at)
    here = [each for each in windows if each.start <= loss.at and (each.end is None or each.end >= told_by)]
    versions = [
        state.version for window in here for state in window.states if state.at <= loss.at and state.version is not None
    ]
    since = min((window.start for window in here), default=None)
    if since is not None:
        versions += [each.version for each in accepted if due_by(max(each.at, since)) <= loss.at]
    return max(versions, default=None)
