"""How an upload's head is kept, judged and told, as ``judge.lua`` has it. What scripts use that judge."""

from dataclasses import dataclass

from vuemantics_ws.core.upload import (
    DIGESTS_KEPT,
    DIGESTS_KEPT_S,
    DIGESTS_MAX,
    Event,
    Head,
    Judgement,
    Version,
)
from vuemantics_ws.core.upload import judge as judge_of_core
from vuemantics_ws.frame import Frame
from vuemantics_ws.simulation.resp.scripts.call import Call

_DIGESTS_KEPT_US = round(DIGESTS_KEPT_S * 1_000_000)
_NO_FRAME = Frame(b"")
"""The judge does not look at what leaves."""


@dataclass(slots=True)
class Stored:
    """A head or an event without its payload. ``accepted_at`` is in milliseconds; what is not there is ``-``, an owner empty.

    Flags are letters: t terminal, v versioned, p presumed; - for none of them.
    """

    attempt: int
    seq: int
    flags: bytes
    owner: bytes
    digest: bytes
    outcome: bytes
    accepted_at: int
    incarnation: bytes

    @property
    def version(self) -> Version:
        return Version(self.attempt, self.seq)


def read_head(call: Call) -> Stored | None:
    fields = call.keyspace.hash(call.keys[0])
    if not fields:
        return None
    return Stored(
        int(fields[b"attempt"]),
        int(fields[b"seq"]),
        fields[b"flags"],
        fields[b"owner"],
        fields[b"digest"],
        fields[b"outcome"],
        int(fields[b"accepted_at"]),
        fields[b"incarnation"],
    )


def judge(head: Stored | None, event: Stored, age_ms: int, *, remembered: bool, queued: bool) -> Judgement:
    """The judge of core, asked of what is stored."""
    flags, former = event.flags, None
    if head is not None:
        former = Head(
            Version(head.attempt, head.seq),
            b"t" in head.flags,
            _NO_FRAME,
            None,
            head.digest,
            head.outcome,
            0.0,
            b"p" in head.flags,
            b"v" in head.flags,
        )
    version = Version(event.attempt, event.seq) if b"v" in flags else None
    judged = Event("", version, b"t" in flags, queued, b"", None, event.digest, event.outcome, b"p" in flags)
    return judge_of_core(former, judged, age_ms / 1000, remembered=remembered)


def forget_all_digests(call: Call) -> None:
    """They belong to a head, which may have been evicted before them."""
    call.keyspace.delete(call.keys[1])


def remember(call: Call, digest: bytes) -> bool:
    """Whether the digest was known; from now on it is. Scores only grow, so that two of one moment keep their order."""
    _forget_old_digests(call)
    digests = call.keyspace.sorted_set(call.keys[1])
    score = call.keyspace.now_us
    if digests:
        score = max(score, next(reversed(digests.values())) + 1)
    known = call.keyspace.add(call.keys[1], digest, score)
    _forget_old_digests(call)
    return known


def _forget_old_digests(call: Call) -> None:
    digests = call.keyspace.sorted_set(call.keys[1])
    while len(digests) > DIGESTS_KEPT:
        oldest = next(iter(digests.values()))
        if len(digests) <= DIGESTS_MAX and oldest >= call.keyspace.now_us - _DIGESTS_KEPT_US:
            return
        call.keyspace.remove_lowest(call.keys[1])


def without_version(payload: bytes, attempt: int, seq: int) -> bytes:
    """The inverse of ``with_version``, for what was given this version here or by another process."""
    start = payload.index(b"{") + 1
    return payload[:start] + payload[start + len(b'"attempt":%d,"seq":%d,' % (attempt, seq)) :]


def state_message(call: Call, head: Stored, payload: bytes) -> bytes:
    """What is told on the channel, and answered to whoever reads: a header line, then what leaves for browsers."""
    return b"%d %d %b %b %d %b %b %b\n%b" % (
        head.attempt,
        head.seq,
        head.flags,
        head.incarnation,
        max(call.keyspace.now_ms - head.accepted_at, 0),
        head.digest,
        head.outcome,
        head.owner,
        payload,
    )


def renew(call: Call, ttl_s: int) -> int:
    """Both keys live as long as each other. Returns 1, or 0 where there is no head."""
    call.keyspace.expire(call.keys[1], ttl_s * 1000)
    return int(call.keyspace.expire(call.keys[0], ttl_s * 1000))


def keep(call: Call, head: Stored, payload: bytes) -> None:
    fields = {
        b"attempt": b"%d" % head.attempt,
        b"seq": b"%d" % head.seq,
        b"flags": head.flags,
        b"payload": payload,
        b"owner": head.owner,
        b"digest": head.digest,
        b"outcome": head.outcome,
        b"accepted_at": b"%d" % head.accepted_at,
        b"incarnation": head.incarnation,
    }
    call.keyspace.put(call.keys[0], fields)
