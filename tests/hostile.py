"""Bytes that somebody sends to break a reader. ``CANARY`` stands wherever text can stand: it must never come back."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tests.events import UPLOAD_ID, completed, failed, progress

CANARY = "sec.ret.cana-ry"

_DEEP = 100_000


def _inside(value: bytes) -> dict[str, bytes]:
    """The value where each kind of message has a field that matters, and where it has one that nobody declared."""
    event = failed(text=CANARY, more=CANARY).removesuffix(b"}")
    return {
        "alone": value,
        "token": b'{"type":"auth","token":%b}' % value,
        "beside a token": b'{"type":"auth","token":"%b","more":%b}' % (CANARY.encode(), value),
        "type": b'{"type":%b,"token":"%b"}' % (value, CANARY.encode()),
        "action": b'{"action":%b,"upload_id":"%b"}' % (value, CANARY.encode()),
        "upload_id": b'{"action":"subscribe_upload","upload_id":%b}' % value,
        "beside a ping": b'{"action":"ping","more":%b}' % value,
        "key": b'{"action":"ping",%b:1}' % value,
        "beside an end": event + b',"more":%b}' % value,
        "owner": event + b',"owner":%b}' % value,
        "attempt": event + b',"seq":1,"attempt":%b}' % value,
        "timestamp": event + b',"timestamp":%b}' % value,
        "payload": b'{"action":"upload_progress","timestamp":"2026-01-01T00:00:00Z","payload":%b}' % value,
        "beside a payload": progress(text=CANARY).removesuffix(b"}") + b',"more":%b}' % value,
    }


_VALUES = {
    "depth of lists": b"[" * _DEEP + b"]" * _DEEP,
    "depth of objects": b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    "depth without an end": b"[" * _DEEP,
    "depth that is nearly read": b"[" * 900 + b"]" * 900,
    "a million keys": b"{" + b'"":0,' * 999_999 + b'"":0}',
    "as many keys as an event holds": json.dumps({str(number): 0 for number in range(6_000)}).encode(),
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a number beyond floats": b"1e400",
    "an integer of 100,000 digits": b"1" * 100_000,
    "a fraction of 100,000 digits": b"0." + b"1" * 100_000,
    "a leading zero": b"01",
    "a number that stops": b"1.",
    "a hexadecimal number": b"0x10",
    "a lone surrogate, escaped": rb'"\ud800%b"' % CANARY.encode(),
    "two high surrogates": rb'"\ud800\ud800"',
    "a lone surrogate, raw": b'"\xed\xa0\x80"',
    "invalid UTF-8": b'"%b\xff\xfe"' % CANARY.encode(),
    "overlong UTF-8": b'"\xc0\xaf"',
    "UTF-8 cut short": b'"\xe2\x82"',
    "NUL, raw": b'"a\0b"',
    "NUL, escaped": rb'"a\u0000b"',
    "an escape that is none": rb'"\x41"',
    "__proto__": b'{"__proto__":{"token":"%b"},"constructor":{"prototype":{}}}' % CANARY.encode(),
    "a string without an end": b'"' + CANARY.encode(),
    "text with line breaks": rb'"%b\r\n\u2028\u001b[31m"' % CANARY.encode(),
    "single quotes": b"'" + CANARY.encode() + b"'",
    "nothing": b"",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "null": b"null",
    "true": b"true",
    "a fraction": b"1.5",
    "the canary": b'"%b"' % CANARY.encode(),
}
_WHOLE = {
    "no bytes": b"",
    "spaces": b" \t\r\n",
    "a byte order mark": b"\xef\xbb\xbf" + b'{"type":"auth","token":"%b"}' % CANARY.encode(),
    "UTF-16": '{"type":"auth","token":"x"}'.encode("utf-16"),
    "NUL at the end": b'{"action":"ping"}\0',
    "two messages": b'{"action":"ping"}{"action":"ping"}',
    "a trailing comma": b'{"action":"ping",}',
    "a comment": b'{"action":"ping"/*%b*/}' % CANARY.encode(),
    "a key without quotes": b'{action:"ping"}',
    "half a message": b'{"type":"auth","token":"%b' % CANARY.encode(),
    "bytes of every value": bytes(range(256)),
}


def corpus() -> Iterator[tuple[str, bytes]]:
    """Every value in every place, by what it is."""
    yield from _WHOLE.items()
    for name, value in _VALUES.items():
        for place, data in _inside(value).items():
            if len(data) < 1_000_000 or place in ("alone", "beside a ping", "beside an end"):  # megabytes take their time
                yield f"{name}, {place}", data


_WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 101, 1.5, 1.0, 1e300, 2**53, 2**64, "", CANARY, UPLOAD_ID + "\n", [], [CANARY], {},
    {CANARY: CANARY},
)  # fmt: skip


def mutations(valid: bytes) -> Iterator[bytes]:
    """A valid message with each of its fields in turn left out, renamed, or of every wrong kind."""
    whole = json.loads(valid)
    for path in _paths(whole):
        for wrong in _WRONG:
            changed = deepcopy(whole)
            _parent(changed, path)[path[-1]] = wrong
            yield json.dumps(changed).encode()
        changed = deepcopy(whole)
        value = _parent(changed, path).pop(path[-1])
        yield json.dumps(changed).encode()
        _parent(changed, path)[path[-1].upper() + CANARY] = value
        yield json.dumps(changed).encode()
    for wrong in _WRONG:
        yield json.dumps(wrong).encode()


def _paths(whole: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in whole.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _parent(whole: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path[:-1]:
        whole = whole[key]
    return whole


VALID_EVENTS = (
    progress(text=CANARY),
    progress(error=CANARY, score=5, version=(1, 2)),
    completed(text=CANARY),
    completed(text=CANARY, version=(3, 4)),
    failed(text=CANARY),
    failed(text=CANARY, version=(2**53 - 1, 1)),
)
VALID_FIRST = (json.dumps({"type": "auth", "token": CANARY}).encode(),)
VALID_LATER = (
    *(json.dumps({"action": action, "upload_id": UPLOAD_ID}).encode() for action in ("subscribe_upload", "unsubscribe_upload")),
    b'{"action":"ping"}',
    b'{"action":"pong"}',
    json.dumps({"action": "reauth", "token": CANARY}).encode(),
)
