"""Every message of PROTOCOL.md.

What comes in is decoded into the structs below or refused with an error of ours, whatever the bytes are. What goes out
passes the browser's validator: nullable fields are present, numbers are integers in their ranges, timestamps are ISO 8601.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from vuemantics_ws.errors import BadEvent, BadMessage, NotJSON

UPLOAD_ID_PATTERN = r"^[A-Za-z0-9._-]{1,128}\Z"
VERSION_NUMBER_MAX = 2**53 - 1
"""The largest integer that a browser's number holds exactly."""

UploadId = Annotated[str, Meta(pattern=UPLOAD_ID_PATTERN)]
Percent = Annotated[int, Meta(ge=0, le=100)]
VersionNumber = Annotated[int, Meta(ge=1, le=VERSION_NUMBER_MAX)]


class Status(StrEnum):
    """What an upload is, coarsely."""

    PENDING = "pending"
    ANALYZING = "analyzing"
    EMBEDDING = "embedding"
    COMPLETED = "completed"
    FAILED = "failed"


class Stage(StrEnum):
    """What a worker is doing with an upload."""

    QUEUED = "queued"
    EXTRACTING_FRAMES = "extracting_frames"
    VISION_ANALYSIS = "vision_analysis"
    DESCRIPTION_AUDIT = "description_audit"
    EMBEDDING_GENERATION = "embedding_generation"
    INDEXING = "indexing"
    COMPLETED = "completed"
    FAILED = "failed"


# Client → server, section 2.


class Auth(Struct, tag_field="type", tag="auth"):
    """The first message of a conversation."""

    token: str


class SubscribeUpload(Struct, tag_field="action", tag="subscribe_upload"):
    upload_id: UploadId


class UnsubscribeUpload(Struct, tag_field="action", tag="unsubscribe_upload"):
    upload_id: UploadId


class ClientPing(Struct, tag_field="action", tag="ping"):
    """The browser's heartbeat, which needs no answer."""


class ClientPong(Struct, tag_field="action", tag="pong"):
    """The answer to the server's ping."""


class Reauth(Struct, tag_field="action", tag="reauth"):
    """A fresh token for a connection that lives on."""

    token: str


ClientMessage = SubscribeUpload | UnsubscribeUpload | ClientPing | ClientPong | Reauth

# Server → client, sections 3 and 5.


class AuthSuccess(Struct, tag_field="action", tag="auth_success"):
    user_id: str


class AuthError(Struct, tag_field="action", tag="auth_error"):
    message: str


class Ping(Struct, tag_field="action", tag="ping"):
    pass


class Subscribed(Struct, tag_field="action", tag="subscribed"):
    """``known`` says that the newest state follows at once."""

    upload_id: str
    known: bool


class Unsubscribed(Struct, tag_field="action", tag="unsubscribed"):
    upload_id: str


class ErrorMessage(Struct, tag_field="action", tag="error", omit_defaults=True):
    """What could not be done, and what to do about it. The connection stays open."""

    code: str
    message: str
    upload_id: str | UnsetType = UNSET


class ProgressPayload(Struct, kw_only=True):
    upload_id: UploadId
    status: Status
    stage: Stage
    progress_percent: Percent
    message: str
    error_message: str | None
    description_audit_score: Percent | None
    owner: Any = UNSET


class UploadProgress(Struct, tag_field="action", tag="upload_progress", kw_only=True):
    payload: ProgressPayload
    timestamp: datetime
    attempt: VersionNumber | UnsetType = UNSET
    seq: VersionNumber | UnsetType = UNSET
    owner: Any = UNSET

    @property
    def upload_id(self) -> str:
        return self.payload.upload_id


class UploadCompleted(Struct, tag_field="action", tag="upload_completed", kw_only=True):
    upload_id: UploadId
    description: str
    audit_score: Percent
    timestamp: datetime
    attempt: VersionNumber | UnsetType = UNSET
    seq: VersionNumber | UnsetType = UNSET
    owner: Any = UNSET


class UploadFailed(Struct, tag_field="action", tag="upload_failed", kw_only=True):
    upload_id: UploadId
    error_message: str
    timestamp: datetime
    attempt: VersionNumber | UnsetType = UNSET
    seq: VersionNumber | UnsetType = UNSET
    owner: Any = UNSET


UploadMessage = UploadProgress | UploadCompleted | UploadFailed
"""The three messages that a worker publishes and a browser gets."""

ServerMessage = AuthSuccess | AuthError | Ping | Subscribed | Unsubscribed | ErrorMessage | UploadMessage

_JSON = msgspec.json.Decoder(msgspec.Raw)
_ANYTHING = msgspec.json.Decoder()
_CLIENT: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_UPLOAD: msgspec.json.Decoder[UploadMessage] = msgspec.json.Decoder(UploadMessage)
_ENCODER = msgspec.json.Encoder()


M = TypeVar("M")


class _AnyAuth(Struct):
    """Told by its type alone. A struct with a tag would do without one: msgspec asks for tags in unions only."""

    type: Literal["auth"]


class _AuthWithToken(_AnyAuth):
    token: str


_ANY_AUTH = msgspec.json.Decoder(_AnyAuth)
_AUTH_WITH_TOKEN = msgspec.json.Decoder(_AuthWithToken)


class SecondAuth(BadMessage):
    """An auth message where none is due. The connection ends with 4006."""


def read_auth(data: bytes | bytearray) -> str:
    """The token of a first message.

    Raises:
        NotJSON: the text is no JSON, or one nested too deeply to be read.
        BadMessage: it is JSON, but no auth object with a string token.
    """
    try:
        return _decode(_AUTH_WITH_TOKEN, data).token
    except _UNREADABLE:
        _require_json(data)
        raise BadMessage("expected an auth message with a token first") from None


def read_client_message(data: bytes | bytearray) -> ClientMessage:
    """A message of a client that has authenticated.

    Raises:
        SecondAuth: it is another auth message.
        BadMessage: it is none of section 2; the text says what was expected, and quotes nothing that the client sent.
    """
    try:
        return _decode(_CLIENT, data)
    except _UNREADABLE as error:
        try:
            _decode(_ANY_AUTH, data)
        except _UNREADABLE:
            raise BadMessage(_explain_client(data, error)) from None
        raise SecondAuth("expected one auth message a connection") from None


def read_upload_message(data: bytes) -> UploadMessage:
    """A published event, whole.

    Raises:
        BadEvent: the browser would refuse it, or a publisher may not say it (an owner, half a version).
    """
    try:
        data.decode()  # msgspec passes over the text of fields that nobody declared; a WebSocket text frame may not
        message = _decode(_UPLOAD, data)
    except UnicodeDecodeError:
        raise BadEvent("expected UTF-8") from None
    except _UNREADABLE as error:
        raise BadEvent(_explain(error)) from None
    if (message.attempt is UNSET) is not (message.seq is UNSET):
        raise BadEvent("expected attempt and seq together, or neither")
    if message.owner is not UNSET or (isinstance(message, UploadProgress) and message.payload.owner is not UNSET):
        raise BadEvent("expected no owner inside the event: it is given beside it, and never leaves the server")
    return message


def read_server_message(data: bytes | str) -> dict[str, Any]:
    """A server's message as a client sees it.

    Raises:
        BadMessage: it is no JSON object with an action.
    """
    try:
        message = _ANYTHING.decode(data)
    except _UNREADABLE:
        raise BadMessage("expected JSON from the server") from None
    if not isinstance(message, dict) or not isinstance(message.get("action"), str):
        raise BadMessage("expected an object with an action from the server")
    return message


def upload_id_of(message: Mapping[str, Any]) -> str | None:
    """The upload that a server's message is about, None where it is about none. Progress names it in its payload."""
    payload = message.get("payload")
    upload_id = (payload if isinstance(payload, dict) else message).get("upload_id")
    return upload_id if isinstance(upload_id, str) else None


class _GistPayload(Struct):
    upload_id: str = ""


class _Gist(Struct):
    action: str = ""
    upload_id: str = ""
    payload: _GistPayload | None = None


_GIST = msgspec.json.Decoder(_Gist)


class Gist(NamedTuple):
    """Of any message, whose progress it is or whose end; None where it is neither."""

    progress_of: str | None
    ends: str | None


def gist_of(data: bytes, *, sent_for: str | None = None) -> Gist:
    """What a message of unknown kind is about; one that names no upload is about the one that it is sent for. Never raises."""
    try:
        gist = _GIST.decode(data)
    except _UNREADABLE:
        return Gist(None, None)
    if gist.action == "upload_progress" and gist.payload is not None:
        return Gist(gist.payload.upload_id or sent_for, None)
    if gist.action in ("upload_completed", "upload_failed"):
        return Gist(None, gist.upload_id or sent_for)
    return Gist(None, None)


def outcome_of(data: bytes) -> bytes:
    """What a terminal event says beside when: its JSON without timestamp and version, in one fixed form.

    Raises:
        BadEvent: a field that nobody declared holds what cannot be compared.
    """
    try:
        said = _ANYTHING.decode(data)
        for key in ("timestamp", "attempt", "seq"):
            said.pop(key, None)
        return msgspec.json.encode(said, order="sorted")
    except _UNREADABLE:
        raise BadEvent("expected numbers that a machine can hold, in JSON that is not nested so deeply") from None


def with_version(data: bytes, attempt: int, seq: int) -> bytes:
    """The bytes of an unversioned event with its version spliced in; everything else stays as it was published."""
    start = data.index(b"{") + 1
    return b'%b"attempt":%d,"seq":%d,%b' % (data[:start], attempt, seq, data[start:])


@runtime_checkable
class PydanticModel(Protocol):
    """What a pydantic model offers."""

    def model_dump_json(self) -> str: ...


Message = Struct | PydanticModel | Mapping[str, Any]
"""What may be sent: one of ours, a pydantic model, or a mapping."""


def encode(message: Message) -> bytes:
    """JSON text.

    Raises:
        TypeError: the message holds what JSON cannot.
        ValueError: it holds text that UTF-8 cannot.
    """
    if isinstance(message, (Struct, dict)):  # first, since asking after a protocol takes longer than the encoding
        return _ENCODER.encode(message)
    if isinstance(message, PydanticModel):
        return message.model_dump_json().encode()
    return _ENCODER.encode(dict(message))


# msgspec lets the last three of these escape on hostile input.
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, UnicodeEncodeError)


def _decode(decoder: msgspec.json.Decoder[M], data: bytes | bytearray) -> M:
    """Of a key that comes twice the last counts, but a typed decode refuses what is wrong with the first: then look again."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        message: M = msgspec.convert(_ANYTHING.decode(data), decoder.type)
        return message


def _require_json(data: bytes | bytearray) -> None:
    """A typed decode stops at the first surprise, so the rest of the text has not been looked at yet."""
    try:
        _JSON.decode(data)
    except _UNREADABLE:
        raise NotJSON("expected JSON") from None


def _explain_client(data: bytes | bytearray, error: Exception) -> str:
    try:
        _require_json(data)
    except NotJSON:
        return "expected JSON"
    if not isinstance(error, msgspec.ValidationError):
        return "expected JSON that is not nested so deeply"
    where = str(error)
    if "upload_id" in where:
        return "expected an upload_id of 1 to 128 letters, digits, dots, underscores and hyphens"
    if "token" in where:
        return "expected a token"
    return "expected an object whose action is subscribe_upload, unsubscribe_upload, ping or pong"


def _explain(error: Exception) -> str:
    """msgspec's own sentence, which names the key and the type, less anything that quotes what was sent."""
    if isinstance(error, RecursionError):
        return "expected JSON that is not nested so deeply"
    if not isinstance(error, msgspec.ValidationError):
        return "expected JSON"
    said, _, where = str(error).partition(" - at ")
    if said.startswith("Invalid enum value"):  # the one sentence that quotes what was sent
        said = "expected one of " + ", ".join(Status if "status" in where else Stage)
    elif said.startswith("Invalid value"):
        said = "expected upload_progress, upload_completed or upload_failed"
    return said[0].lower() + said[1:] + (f" at {where}" if where else "")
