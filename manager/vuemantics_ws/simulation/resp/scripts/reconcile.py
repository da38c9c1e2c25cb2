"""``reconcile.lua``: give Redis the head that a process knows, after either may have missed something.

The rules stand there.
"""

from typing import Any

import msgspec

from vuemantics_ws.core.upload import Verdict
from vuemantics_ws.messages import VERSION_NUMBER_MAX, with_version
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
    without_version,
)

CLOCKS_DIFFER_MS = 100


def reconcile(call: Call) -> Reply:
    channel, _, ttl_s, incarnation, *said, our_payload, known_under = call.arguments
    attempt, seq, flags, owner, digest, outcome, age_ms = said
    accepted_at = call.keyspace.now_ms - int(age_ms)
    ours = Stored(int(attempt), int(seq), flags, owner, digest, outcome, accepted_at, incarnation)
    stored = read_head(call)

    def settle(head: Stored, payload: bytes) -> bytes:
        keep(call, head, payload)
        if b"v" not in ours.flags:
            remember(call, ours.digest)
        renew(call, int(ttl_s))
        message = state_message(call, head, payload)
        call.publish(channel, message)
        return message

    if stored is None:
        forget_all_digests(call)
        return settle(ours, our_payload)

    payload = call.keyspace.hash(call.keys[0])[b"payload"]
    above, equal = stored.version > ours.version, stored.version == ours.version

    def stay() -> bytes:
        if not stored.owner and ours.owner:
            stored.owner = ours.owner
            return settle(stored, payload)
        return state_message(call, stored, payload)

    ended = b"t" in ours.flags and stored.attempt == ours.attempt and b"v" not in stored.flags and b"v" not in ours.flags
    if (above and not ended) or (equal and stored.digest == ours.digest):
        return stay()

    age = stored.accepted_at - ours.accepted_at
    if not above and not equal and stored.incarnation == known_under and age <= CLOCKS_DIFFER_MS:
        ours.owner = ours.owner or stored.owner
        ours.incarnation = stored.incarnation
        return settle(ours, our_payload)
    verdict, version = judge(ours, stored, age, remembered=False, queued=_is_queued(payload))
    if verdict is Verdict.ACCEPTED:
        assert version is not None
        if b"v" not in stored.flags:
            payload = with_version(without_version(payload, stored.attempt, stored.seq), *version)
        stored.attempt, stored.seq = version
        stored.owner = stored.owner or ours.owner
        return settle(stored, payload)
    if verdict is Verdict.DUPLICATE and (above or equal):
        return stay()
    ours.owner = stored.owner or ours.owner
    ours.incarnation = stored.incarnation
    payload = our_payload
    if (above or equal) and b"v" not in ours.flags and stored.seq < VERSION_NUMBER_MAX:
        payload = with_version(without_version(payload, ours.attempt, ours.seq), ours.attempt, stored.seq + 1)
        ours.seq = stored.seq + 1
    return settle(ours, payload)


def _is_queued(payload: bytes) -> bool:
    try:
        event: Any = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return False
    said = event.get("payload")
    return isinstance(said, dict) and said.get("stage") == "queued"
