"""What the application's browser makes of a message: it takes what its validator knows, and drops the rest (PROTOCOL.md)."""

import uuid
from functools import lru_cache

import msgspec
from msgspec import UNSET, UnsetType

from vuemantics_ws.errors import BadMessage
from vuemantics_ws.messages import (
    AuthError,
    ErrorMessage,
    ServerMessage,
    Stage,
    Subscribed,
    Unsubscribed,
    UploadCompleted,
    UploadFailed,
    UploadProgress,
    read_server_message,
)
from vuemantics_ws.simulation.log import Received

LATER_ACTIONS = frozenset({"token_expiring", "reauth_success"})
"""Documented in SEMANTICS.md section 4, and about no upload."""

_STAGES = {stage: stage.value for stage in Stage}
_DECODER = msgspec.json.Decoder(ServerMessage)
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def read(data: bytes, *, at: float, connection: int) -> Received:
    """A documented message, as the log has it. What comes millions of times is read once, and its upload id is kept once.

    Raises:
        BadMessage: the browser would drop it; the text quotes nothing of it but its action.
    """
    try:
        data.decode()  # msgspec passes over the text of fields that nobody declared
        message: ServerMessage = _DECODER.decode(data)
    except _UNREADABLE as error:
        return _read_other(data, error, at, connection)
    if isinstance(message, UploadProgress):
        return _read_progress(message, at, connection)
    if isinstance(message, UploadCompleted | UploadFailed):
        action = "upload_completed" if isinstance(message, UploadCompleted) else "upload_failed"
        upload_id, attempt, seq = _read_state(message, action, message.upload_id)
        return Received(at, connection, action, upload_id, attempt, seq, True)
    return _read_reply(message, at, connection)


def _read_progress(message: UploadProgress, at: float, connection: int) -> Received:
    payload = message.payload
    if payload.owner is not UNSET:
        raise BadMessage("upload_progress that tells the owner")
    upload_id, attempt, seq = _read_state(message, "upload_progress", payload.upload_id)
    stage, percent = _STAGES[payload.stage], payload.progress_percent
    return Received(at, connection, "upload_progress", upload_id, attempt, seq, False, None, stage, percent)


def _read_state(
    message: UploadProgress | UploadCompleted | UploadFailed, action: str, upload_id: str
) -> tuple[str, int | None, int | None]:
    kept = _known_uuid(upload_id)
    if kept is None:
        raise BadMessage(f"{action} whose upload_id is no UUID")
    if message.owner is not UNSET:
        raise BadMessage(f"{action} that tells the owner")
    attempt, seq = message.attempt, message.seq
    if isinstance(attempt, UnsetType) or isinstance(seq, UnsetType):
        if attempt is not seq:
            raise BadMessage(f"{action} with half a version")
        return kept, None, None
    return kept, attempt, seq


def _read_reply(message: ServerMessage, at: float, connection: int) -> Received:
    action = message.__struct_config__.tag
    assert isinstance(action, str)
    if isinstance(message, Subscribed):
        return Received(at, connection, action, message.upload_id, known=message.known)
    if isinstance(message, Unsubscribed):
        return Received(at, connection, action, message.upload_id)
    if isinstance(message, ErrorMessage):
        upload_id = None if message.upload_id is UNSET else message.upload_id
        return Received(at, connection, action, upload_id, code=message.code, words=message.message)
    if isinstance(message, AuthError):
        return Received(at, connection, action, words=message.message)
    return Received(at, connection, action)


def _read_other(data: bytes, error: Exception, at: float, connection: int) -> Received:
    action = read_server_message(data)["action"]
    if action in LATER_ACTIONS:
        return Received(at, connection, action)
    if isinstance(error, msgspec.ValidationError) and "Invalid value" not in str(error):
        where = str(error).partition(" - at ")[2]
        raise BadMessage(f"{action[:40]!r} that is wrong at {where or 'its top'}")
    raise BadMessage(f"an unknown action {action[:40]!r}")


@lru_cache(maxsize=16_384)
def _known_uuid(text: str) -> str | None:
    """The text itself, each time the same object, where the browser's validator takes it: hyphens where they belong, in any
    case of letters.
    """
    try:
        return text if str(uuid.UUID(text)) == text.lower() else None
    except ValueError:
        return None
