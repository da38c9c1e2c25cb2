"""Which keys were pressed, from the bytes that a terminal sends."""

import codecs
import re

_ESCAPE = "\x1b"
_NAMED = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x15": "clear",
}
_SEQUENCES = {
    "[A": "up", "OA": "up",
    "[B": "down", "OB": "down",
    "[5~": "pageup",
    "[6~": "pagedown",
    "[H": "home", "OH": "home", "[1~": "home",
    "[F": "end", "OF": "end", "[4~": "end",
    "[Z": "backtab",
}  # fmt: skip
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?<=>]*[ -/]*[@-~]|O[@-~])")
_BEGUN = re.compile(r"\x1b(\[[0-9;?<=>]*[ -/]*|O)?\Z")


class Keys:
    """Puts together what arrives in pieces. A key is its character, or a name; what has no name is left out.

    An escape at the end of what came may be the key itself or the beginning of another one. When nothing more comes for a
    moment, call :meth:`settle`.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._rest = ""

    @property
    def unsettled(self) -> bool:
        """Whether the beginning of a key is waiting for its end."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete with these bytes."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        keys = []
        while text:
            if text.startswith(_ESCAPE):
                if _BEGUN.match(text):
                    self._rest = text
                    break
                sequence = _SEQUENCE.match(text)
                key = _SEQUENCES.get(sequence[1], "") if sequence is not None else "escape"
                text = text[sequence.end() if sequence is not None else 1 :]
            else:
                key = _NAMED.get(text[0], text[0] if text[0].isprintable() else "")
                text = text[1:]
            if key:
                keys.append(key)
        return keys

    def settle(self) -> list[str]:
        """Nothing more came: what was begun with an escape is the escape key."""
        begun, self._rest = self._rest, ""
        return ["escape"] if begun else []
