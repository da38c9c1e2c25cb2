"""A log is plain data: on disk and back it is the same."""

import hashlib
import json

import msgspec
import pytest

from tests.simulation.judging.histories import CAT, Story
from vuemantics_ws.core.upload import Version
from vuemantics_ws.errors import BadEvent
from vuemantics_ws.simulation.log import (
    KINDS,
    Log,
    Played,
    Received,
    Record,
    Troubled,
    Unreachable,
    from_ndjson,
    hash_of,
    to_ndjson,
)


def every_kind() -> list[Record]:
    story = Story().joins("desk").follows("desk", CAT).publishes(CAT, 1, 1).gets("desk", CAT, 1, 1).chokes("desk").measures()
    story.says("ready").breaks("redis.down").mends("redis.down").drops("desk", CAT)
    return [*story.is_over().records, Troubled(9.0, "node:0", "it logged an error"), Unreachable(9.0, "desk", "HTTP 503")]


def test_what_is_written_is_read() -> None:
    records = every_kind()

    assert {type(record) for record in records} == set(KINDS)
    assert from_ndjson(to_ndjson(records)) == records


def test_every_line_is_one_object_that_names_its_kind() -> None:
    lines = [json.loads(line) for line in to_ndjson(every_kind()).splitlines()]

    assert lines[0]["kind"] == "began"
    assert lines[-1] == {"kind": "unreachable", "at": 9.0, "client": "desk", "reason": "HTTP 503"}


def test_what_says_what_was_played_is_no_record() -> None:
    head = msgspec.json.encode(Played(scenario="", seed=1, arm="virtual", trace_hash="")) + b"\n"
    records = every_kind()

    assert from_ndjson(head + to_ndjson(records) + head + to_ndjson(records)) == [*records, *records]


def test_the_hash_of_records_is_that_of_their_bytes() -> None:
    records = every_kind()

    assert hash_of(records) == hashlib.sha256(to_ndjson(records)).hexdigest() != hash_of(records[:-1])


@pytest.mark.parametrize("line", [b"{}", b"[]", b"{", b'{"kind": "nothing"}', b'{"kind": "opened", "at": "x"}', b"\xff"])
def test_what_is_no_record_is_refused_with_its_line(line: bytes) -> None:
    with pytest.raises(BadEvent, match="in line 2"):
        from_ndjson(to_ndjson(every_kind()[:1]) + line)


def test_whoever_listens_is_told_of_every_record_from_then_on() -> None:
    first, *rest = every_kind()
    log, heard = Log([first]), list[Record]()
    log.listen(heard.append)

    for record in rest:
        log.append(record)

    assert heard == rest
    assert list(log) == [first, *rest]
    assert len(log) == len(rest) + 1


def test_a_state_has_a_version_or_none() -> None:
    assert Received(1.0, 1, "upload_progress", CAT, attempt=2, seq=3).version == Version(2, 3)
    assert Received(1.0, 1, "upload_progress", CAT).version is None
    assert not Received(1.0, 1, "subscribed", CAT, known=True).is_state
