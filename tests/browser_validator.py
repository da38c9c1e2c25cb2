"""What the application's browser accepts (PROTOCOL.md section 3), written a second time and as strictly as it can be read.

A message with an action that the browser does not know is dropped there, so of those only section 5's own promises are
checked: the fields that it names, and that a version is whole.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

STATUSES = frozenset(["pending", "analyzing", "embedding", "completed", "failed"])
STAGES = frozenset(
    [
        "queued",
        "extracting_frames",
        "vision_analysis",
        "description_audit",
        "embedding_generation",
        "indexing",
        "completed",
        "failed",
    ]
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII)

Check = Callable[[Any], bool]


def problems(data: bytes) -> list[str]:
    """Why the browser would refuse a text message; nothing where it would take it."""
    try:
        message = json.loads(data.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return ["no JSON"]
    if not isinstance(message, dict):
        return ["no object"]
    action = message.get("action")
    if not isinstance(action, str):
        return ["no action"]
    found = _missing_or_wrong(message, _MESSAGES.get(action, {}))
    if action == "upload_progress" and isinstance(message.get("payload"), dict):
        found += _missing_or_wrong(message["payload"], _PAYLOAD)
    if ("attempt" in message) is not ("seq" in message):
        found.append("half a version")
    return found + [key for key in ("attempt", "seq") if key in message and not _is_version_number(message[key])]


def _missing_or_wrong(said: Mapping[str, Any], fields: Mapping[str, Check]) -> list[str]:
    return [name for name, check in fields.items() if name not in said or not check(said[name])]


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    """As Number.isInteger has it: 5.0 is one, true is none."""
    return not isinstance(value, bool) and isinstance(value, int | float) and value == value // 1


def _is_percent(value: Any) -> bool:
    return _is_integer(value) and 0 <= value <= 100


def _is_version_number(value: Any) -> bool:
    return _is_integer(value) and 1 <= value <= 2**53 - 1


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_timestamp(value: Any) -> bool:
    if not isinstance(value, str) or _ISO_8601.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


_PAYLOAD: dict[str, Check] = {
    "upload_id": _is_uuid,
    "status": lambda value: isinstance(value, str) and value in STATUSES,
    "stage": lambda value: isinstance(value, str) and value in STAGES,
    "progress_percent": _is_percent,
    "message": _is_text,
    "error_message": _or_null(_is_text),
    "description_audit_score": _or_null(_is_percent),
}
_MESSAGES: dict[str, dict[str, Check]] = {
    "auth_success": {"user_id": _is_text},
    "auth_error": {"message": _is_text},
    "upload_progress": {"payload": lambda value: isinstance(value, dict), "timestamp": _is_timestamp},
    "upload_completed": {
        "upload_id": _is_uuid,
        "description": _is_text,
        "audit_score": _is_percent,
        "timestamp": _is_timestamp,
    },
    "upload_failed": {"upload_id": _is_uuid, "error_message": _is_text, "timestamp": _is_timestamp},
    "ping": {},
    "subscribed": {"upload_id": _is_text, "known": lambda value: isinstance(value, bool)},
    "unsubscribed": {"upload_id": _is_text},
    "error": {"code": lambda value: re.fullmatch("[a-z_]+", str(value)) is not None, "message": _is_text},
}
