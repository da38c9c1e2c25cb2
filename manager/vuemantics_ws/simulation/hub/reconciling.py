"""What becomes of the middle's head when a node brings the one that it knows, after either may have missed something.

The rule of docs/redis.md and SEMANTICS.md section 6 in its exact form: two nodes that bring what they know at once agree, no
version falls, and nothing that was accepted while heads were gone is lost.
"""

from vuemantics_ws.core.upload import Event, Head, Verdict, Version, judge
from vuemantics_ws.frame import Frame
from vuemantics_ws.messages import VERSION_NUMBER_MAX, with_version

CLOCKS_DIFFER_S = 0.1
"""Those of two servers, at most: here there is one, but the rule is one, too."""


def reconciled(stored: Head, ours: Head, *, one_incarnation: bool) -> Head:
    """The head that stays; ``stored`` itself where nothing changes.

    - What is stored is above ours, or the same: it stays, and takes our owner if it has none. One without a version of its
      own is not above an end of its attempt that had none either: it was numbered by a judge that did not know the end.
    - What is stored is below ours, was accepted no later, and both are of one incarnation: it is our own past, as a replica has
      it that had not got all. Ours takes its place as it was.
    - Else two histories met. The stored event is judged anew against our head, with its age as it was when it came, and
      without digests. Accepted, it stays with the version that it got. The same end once more, not below ours, stays.
    - Refused, ours takes its place. Where ours is not above it, others may have been told it under a version under which they
      take nothing else: then ours gets the seq after its, unless it named its version itself.
    """
    above, equal = stored.version > ours.version, stored.version == ours.version
    ended = ours.terminal and stored.version.attempt == ours.version.attempt and not (stored.versioned or ours.versioned)
    if (above and not ended) or (equal and stored.digest == ours.digest):
        return _owned(stored, stored.owner or ours.owner)
    age_s = stored.accepted_at - ours.accepted_at
    if stored.version < ours.version and one_incarnation and age_s <= CLOCKS_DIFFER_S:
        return _owned(ours, ours.owner or stored.owner)
    verdict, version = judge(ours, _event_of(stored), age_s, remembered=False)
    owner = stored.owner or ours.owner
    if verdict is Verdict.ACCEPTED:
        assert version is not None
        return _owned(stored if stored.versioned else _numbered(stored, version), owner)
    if verdict is Verdict.DUPLICATE and (above or equal):
        return _owned(stored, owner)
    if (above or equal) and not ours.versioned and stored.version.seq < VERSION_NUMBER_MAX:
        ours = _numbered(ours, Version(ours.version.attempt, stored.version.seq + 1))
    return _owned(ours, owner)


def _owned(head: Head, owner: str | None) -> Head:
    return head if head.owner == owner else head._replace(owner=owner)


def _numbered(head: Head, version: Version) -> Head:
    return head._replace(version=version, frame=Frame(with_version(_published(head), *version)))


def _published(head: Head) -> bytes:
    """The event as it was published."""
    payload = head.frame.payload
    if head.versioned:
        return payload
    start = payload.index(b"{") + 1
    return payload[:start] + payload[start + len(b'"attempt":%d,"seq":%d,' % head.version) :]


def _event_of(head: Head) -> Event:
    """What the judge needs to know of the event that became this head."""
    return Event.read(_published(head), owner=head.owner, presumed=head.presumed)
