"""Published events for tests: the bytes that a worker of the application would send."""

import json
from typing import Any

from vuemantics_ws.core.upload import Event

UPLOAD_ID = "0b6ee7a4-3f5c-4d1e-9a54-2f6f3e8f5a10"


def timestamp(number: int) -> str:
    """Events that differ in nothing else differ in when: ``number`` milliseconds into 2026."""
    return f"2026-01-01T00:{number // 60_000:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}Z"


def progress(
    stage: str = "vision_analysis",
    *,
    upload_id: str = UPLOAD_ID,
    status: str = "analyzing",
    percent: int = 20,
    text: str = "",
    error: str | None = None,
    score: int | None = None,
    number: int = 0,
    version: tuple[int, int] | None = None,
    **more: Any,
) -> bytes:
    payload = {
        "upload_id": upload_id,
        "status": status,
        "stage": stage,
        "progress_percent": percent,
        "message": text,
        "error_message": error,
        "description_audit_score": score,
    }
    return _published({"action": "upload_progress", "payload": payload}, number, version, more)


def completed(
    *,
    upload_id: str = UPLOAD_ID,
    text: str = "a cat",
    score: int = 90,
    number: int = 0,
    version: tuple[int, int] | None = None,
    **more: Any,
) -> bytes:
    said = {"action": "upload_completed", "upload_id": upload_id, "description": text, "audit_score": score}
    return _published(said, number, version, more)


def failed(
    *,
    upload_id: str = UPLOAD_ID,
    text: str = "no model answered",
    number: int = 0,
    version: tuple[int, int] | None = None,
    **more: Any,
) -> bytes:
    return _published({"action": "upload_failed", "upload_id": upload_id, "error_message": text}, number, version, more)


def read(published: bytes, owner: str | None = None) -> Event:
    return Event.read(published, owner=owner)


def _published(said: dict[str, Any], number: int, version: tuple[int, int] | None, more: dict[str, Any]) -> bytes:
    versioned = {} if version is None else {"attempt": version[0], "seq": version[1]}
    whole = {**said, "timestamp": timestamp(number), **versioned, **more}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
