"""What the application's browser makes of a message: it takes what its validator knows, and drops the rest (PROTOCOL.md)."""

import uuid

import msgspec
from msgspec import UNSET, UnsetType

from vuemantics_ws.errors import BadMessage
from vuemantics_ws.messages import (
    AuthError,
    ErrorMessage,
    ServerMessage,
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

_DECODER = msgspec.json.Decoder(ServerMessage)
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


def read(data: bytes, *, at: float, connection: int) -> Received:
    """A documented message, as the log has it.

    Raises:
        BadMessage: the browser would drop it; the text quotes nothing of it but its action.
    """
    try:
        data.decode()
        message: ServerMessage = _DECODER.decode(data)
    except _UNREADABLE as error:
        return _read_other(data, error, at, connection)
    action = message.__struct_config__.tag
    assert isinstance(action, str)
    if isinstance(message, UploadProgress | UploadCompleted | UploadFailed):
        return _read_state(message, action, at, connection)
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


def _read_state(message: UploadProgress | UploadCompleted | UploadFailed, action: str, at: float, connection: int) -> Received:
    upload_id = message.upload_id
    if not _is_uuid(upload_id):
        raise BadMessage(f"{action} whose upload_id is no UUID")
    progress = message.payload if isinstance(message, UploadProgress) else None
    if message.owner is not UNSET or (progress is not None and progress.owner is not UNSET):
        raise BadMessage(f"{action} that tells the owner")
    if (message.attempt is UNSET) is not (message.seq is UNSET):
        raise BadMessage(f"{action} with half a version")
    return Received(
        at,
        connection,
        action,
        upload_id,
        attempt=_number(message.attempt),
        seq=_number(message.seq),
        terminal=progress is None,
        stage=progress.stage.value if progress is not None else None,
        percent=progress.progress_percent if progress is not None else None,
    )


def _read_other(data: bytes, error: Exception, at: float, connection: int) -> Received:
    action = read_server_message(data)["action"]
    if action in LATER_ACTIONS:
        return Received(at, connection, action)
    if isinstance(error, msgspec.ValidationError) and "Invalid value" not in str(error):
        where = str(error).partition(" - at ")[2]
        raise BadMessage(f"{action[:40]!r} that is wrong at {where or 'its top'}")
    raise BadMessage(f"an unknown action {action[:40]!r}")


def _number(value: int | UnsetType) -> int | None:
    return None if isinstance(value, UnsetType) else value


def _is_uuid(text: str) -> bool:
    """Whether the browser's validator takes it: hyphens where they belong, in any case of letters."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
