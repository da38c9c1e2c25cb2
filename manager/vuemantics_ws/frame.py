"""The bytes in which a message travels."""

import struct

from vuemantics_ws.messages import Message, encode


class Frame:
    """One WebSocket text message in the bytes of its one unmasked frame (RFC 6455 section 5.2), built once and shared.

    No extension is negotiated and nothing is fragmented, so the same bytes serve every connection.
    """

    __slots__ = ("_text", "data")

    def __init__(self, payload: bytes) -> None:
        self.data = _header(len(payload)) + payload
        self._text: str | None = None

    @classmethod
    def of(cls, message: Message) -> "Frame":
        return cls(encode(message))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def payload(self) -> bytes:
        size = self.data[1]
        return self.data[10 if size == 127 else 4 if size == 126 else 2 :]

    @property
    def text(self) -> str:
        """The payload as a string, for sockets that take text; decoded once."""
        if self._text is None:
            self._text = self.payload.decode()
        return self._text


def _header(size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", 0x81, size)
    if size < 65_536:
        return struct.pack("!BBH", 0x81, 126, size)
    return struct.pack("!BBQ", 0x81, 127, size)
