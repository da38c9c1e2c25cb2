"""How far an upload is, as its newest event says."""

import msgspec

from vuemantics_ws.core.upload import Head


class _Payload(msgspec.Struct):
    stage: str
    progress_percent: int


class _Progress(msgspec.Struct, tag_field="action", tag="upload_progress"):
    payload: _Payload


class _Completed(msgspec.Struct, tag_field="action", tag="upload_completed"):
    pass


class _Failed(msgspec.Struct, tag_field="action", tag="upload_failed"):
    pass


_SAID = msgspec.json.Decoder(_Progress | _Completed | _Failed)
"""What a worker says beside is its own, and may stand under any key that its kind of message does not have."""


def state_of(head: Head | None) -> str:
    """What has become of an upload."""
    if head is None:
        return "unpublished"
    if not head.terminal:
        return "running"
    return "failed" if isinstance(_SAID.decode(head.frame.payload), _Failed) else "completed"


def stage_and_percent_of(head: Head | None) -> tuple[str | None, int | None]:
    """How far it is. What has completed has no stage, and what has failed no percentage either."""
    if head is None:
        return None, None
    said = _SAID.decode(head.frame.payload)
    if isinstance(said, _Progress):
        return said.payload.stage, said.payload.progress_percent
    return None, 100 if isinstance(said, _Completed) else None


def percent_of(head: Head | None) -> int | None:
    return stage_and_percent_of(head)[1]
