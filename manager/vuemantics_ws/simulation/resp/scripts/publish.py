"""``publish.lua``: judge an event, and where it is accepted keep it and tell it, as one step."""

from vuemantics_ws.core.upload import Verdict
from vuemantics_ws.messages import with_version
from vuemantics_ws.simulation.resp.replies import Reply
from vuemantics_ws.simulation.resp.scripts.call import Call
from vuemantics_ws.simulation.resp.scripts.judge import (
    Stored,
    forget_all_digests,
    judge,
    keep,
    read_head,
    remember,
    renew,
    state_message,
)


def publish(call: Call) -> Reply:
    channel, _, ttl_s, incarnation, attempt, seq, flags, owner, digest, outcome, queued, published = call.arguments
    event = Stored(int(attempt), int(seq), flags, owner, digest, outcome, call.keyspace.now_ms, incarnation)
    head = read_head(call)
    if head is not None:
        event.incarnation = head.incarnation
    else:
        forget_all_digests(call)

    age_ms = event.accepted_at - head.accepted_at if head is not None else 0
    remembered = b"v" not in flags and remember(call, digest)
    verdict, version = judge(head, event, age_ms, remembered=remembered, queued=queued == b"1")

    receivers = 0
    if verdict is Verdict.ACCEPTED:
        assert version is not None
        event.attempt, event.seq = version
        if not owner and head is not None:
            event.owner = head.owner
        payload = published if b"v" in flags else with_version(published, *version)
        keep(call, event, payload)
        receivers = call.publish(channel, state_message(call, event, payload))
        head = event
    renew(call, int(ttl_s))
    assert head is not None  # whatever comes first is accepted
    return [verdict.encode(), b"%d" % head.attempt, b"%d" % head.seq, receivers, int(head.owner != b"")]
