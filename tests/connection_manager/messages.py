"""Messages as the application's backend makes them, and what a peer got of them."""

from typing import Any

from tests.connection_manager.sockets import Peer


def progress(upload_id: str, percent: int) -> dict[str, Any]:
    payload = {
        "upload_id": upload_id,
        "status": "analyzing",
        "stage": "vision_analysis",
        "progress_percent": percent,
        "message": "",
        "error_message": None,
        "description_audit_score": None,
    }
    return {"action": "upload_progress", "payload": payload, "timestamp": "2026-01-01T00:00:00Z"}


def completed(upload_id: str, text: str = "a cat") -> dict[str, Any]:
    said = {"action": "upload_completed", "upload_id": upload_id, "description": text, "audit_score": 90}
    return {**said, "timestamp": "2026-01-01T00:00:00Z"}


def failed(upload_id: str, text: str = "no model answered") -> dict[str, Any]:
    said = {"action": "upload_failed", "upload_id": upload_id, "error_message": text}
    return {**said, "timestamp": "2026-01-01T00:00:00Z"}


def note(number: int, size: int = 0) -> dict[str, Any]:
    """A message that is about no upload."""
    return {"action": "note", "number": number, "text": "x" * size}


def said(peer: Peer) -> list[str]:
    """What a peer got, in short: ``a 20`` for progress, ``a done``, ``a failed``, ``note 3``."""
    return [_short(message) for message in peer.sent]


def _short(message: dict[str, Any]) -> str:
    match message:
        case {"action": "upload_progress", "payload": {"upload_id": upload_id, "progress_percent": percent}}:
            return f"{upload_id} {percent}"
        case {"action": "upload_completed", "upload_id": upload_id}:
            return f"{upload_id} done"
        case {"action": "upload_failed", "upload_id": upload_id}:
            return f"{upload_id} failed"
        case {"action": "note", "number": number}:
            return f"note {number}"
    return str(message["action"])
