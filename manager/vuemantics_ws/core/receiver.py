"""An open connection, as whoever delivers to it sees it."""

from typing import Protocol

from vuemantics_ws.frame import Frame


class Receiver(Protocol):
    """Takes frames at once and sends them when it can. No call waits, raises, or calls back into the caller."""

    def put_state(self, upload_id: str, frame: Frame) -> None:
        """The newest state of an upload, which takes the place of an older one that has not left yet."""
        ...

    def put_direct(self, frame: Frame) -> None:
        """A message to the user. A receiver with too many of them waiting ends."""
        ...

    def discard(self, upload_id: str) -> None:
        """Forget what has not left yet of an upload."""
        ...

    def holds(self, upload_id: str) -> bool:
        """Whether a state of this upload has not left yet."""
        ...
