"""What the sans-I/O parser leaves to its caller: whole messages out of frames, valid UTF-8, and how much is too much."""

import codecs

from websockets.frames import Frame, Opcode

from vuemantics_ws.closing import CloseCode


class Violation(Exception):
    """The peer broke a rule, and the connection ends with this code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Assembly:
    """A fragmented message on its way. Text is checked as it comes, so that what is invalid ends the connection at once."""

    __slots__ = ("_count", "_data", "_decoder", "_fragments_max", "binary")

    def __init__(self, frame: Frame, *, fragments_max: int) -> None:
        self.binary = frame.opcode is Opcode.BINARY
        self._decoder = None if self.binary else _utf8_decoder()
        self._data = bytearray()
        self._count = 0
        self._fragments_max = fragments_max
        self.add(frame)

    def add(self, frame: Frame) -> bytes | None:
        """The whole message with its last fragment, None before.

        Raises:
            Violation: the text is invalid, or there are too many fragments.
        """
        self._count += 1
        if self._count > self._fragments_max:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        self._data += frame.data
        if self._decoder is not None:
            try:
                self._decoder.decode(bytes(frame.data), final=frame.fin)
            except UnicodeDecodeError:
                raise Violation(CloseCode.INVALID_TEXT, "invalid UTF-8") from None
        return bytes(self._data) if frame.fin else None


def check_text(data: bytes | bytearray | memoryview) -> bytes:
    """The bytes of an unfragmented text message.

    Raises:
        Violation: they are no UTF-8 (RFC 6455 section 8.1).
    """
    whole = bytes(data)
    try:
        whole.decode()
    except UnicodeDecodeError:
        raise Violation(CloseCode.INVALID_TEXT, "invalid UTF-8") from None
    return whole


class Allowance:
    """How much a peer may still send: a bucket of ``burst`` messages that fills at ``per_s``."""

    __slots__ = ("_at", "_left")

    def __init__(self, burst: float, now: float) -> None:
        self._left = burst
        self._at = now

    def spend(self, now: float, *, burst: float, per_s: float) -> bool:
        """Whether there was one left."""
        self._left = min(burst, self._left + (now - self._at) * per_s) - 1
        self._at = now
        return self._left >= 0
