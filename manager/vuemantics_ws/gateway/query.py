"""What a person may ask of a table: ``user=alice and (pending > 64k or state = stalled)``, in the order ``-pending,user``.

A filter is comparisons ``FIELD OP VALUE`` joined by ``and``, ``or``, ``not`` and parentheses; words in any case::

    any      = all { "or" all }
    all      = one { "and" one }
    one      = { "not" } ( "(" any ")" | FIELD OP VALUE )
    OP       = "=" | "!=" | ">" | ">=" | "<" | "<=" | "~"

What a value may be depends on its field. Text is compared with ``=`` (exact, with ``*`` for anything) and ``~`` (contains, in
any case); a number with all but ``~``. ``!=`` is the opposite of ``=``. ``null`` equals what is missing, and nothing is more
or less than that. A field of many is equal where one of the many is. Whatever the text is, reading it and asking it of a row
take time in proportion to its length.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, auto
from typing import Any, NamedTuple

from vuemantics_ws.errors import BadQuantity, BadQuery
from vuemantics_ws.quantities import parse_duration, parse_size

CHARACTERS_MAX = 1_000
COMPARISONS_MAX = 64
NESTING_MAX = 16
SORT_FIELDS_MAX = 8

Test = Callable[[Any], bool]
"""Whether a row passes."""

Read = Callable[[Any], Any]
"""A row's value in one field."""


class Kind(Enum):
    """What stands in a field, and so what it may be compared with."""

    TEXT = auto()
    TEXTS = auto()
    NUMBER = auto()
    NUMBERS = auto()
    SIZE = auto()
    DURATION = auto()
    PERCENT = auto()


Fields = Mapping[str, Kind]
"""The fields of a table by their names, other names for the same field included."""


class _Token(NamedTuple):
    position: int  # of its first character, from 1
    kind: str  # word, text, operator, bracket or end
    text: str


@dataclass(frozen=True, slots=True)
class _Comparison:
    field: str
    holds: Callable[[Any], bool]

    def bind(self, fields: Mapping[str, Read]) -> Test:
        read, holds = fields[self.field], self.holds
        return lambda row: holds(read(row))


@dataclass(frozen=True, slots=True)
class _Joined:
    every: bool
    parts: tuple["_Node", ...]

    def bind(self, fields: Mapping[str, Read]) -> Test:
        tests = [part.bind(fields) for part in self.parts]
        if self.every:
            return lambda row: all(test(row) for test in tests)
        return lambda row: any(test(row) for test in tests)


@dataclass(frozen=True, slots=True)
class _Not:
    part: "_Node"

    def bind(self, fields: Mapping[str, Read]) -> Test:
        test = self.part.bind(fields)
        return lambda row: not test(row)


_Node = _Comparison | _Joined | _Not


class Filter:
    """A filter that has been read, to be asked of any number of rows."""

    def __init__(self, node: _Node | None) -> None:
        self._node = node

    def bind(self, fields: Mapping[str, Read]) -> Test | None:
        """Whether a row passes, where its fields are read like this; None where every row does."""
        return self._node.bind(fields) if self._node is not None else None


class SortField(NamedTuple):
    name: str
    descending: bool


def read_filter(text: str, fields: Fields) -> Filter:
    """Read a filter. An empty one lets everything pass.

    Raises:
        BadQuery: with where it goes wrong, and what was expected there.
    """
    parser = _Parser(_tokens(text), fields)
    return Filter(parser.whole())


def read_sort(text: str, fields: Fields) -> tuple[SortField, ...]:
    """Read an order: field names parted by commas, with ``-`` before those in which the largest comes first.

    Raises:
        BadQuery: with where it goes wrong, and what was expected there.
    """
    if not text.strip():
        return ()
    if len(text) > CHARACTERS_MAX:
        raise BadQuery(f"sort: expected at most {CHARACTERS_MAX} characters, got {len(text)}")
    found = []
    position = 1
    for part in text.split(","):
        name = part.strip()
        bare = name.removeprefix("-").strip()
        at = position + part.find(bare) if bare else position
        kind = fields.get(bare)
        if kind is None:
            raise _unknown("sort", at, bare, [name for name, of in fields.items() if of not in _MANY])
        if kind in _MANY:
            raise BadQuery(f"sort, character {at}: expected a field that has one value a row")
        found.append(SortField(bare, descending=name.startswith("-")))
        if len(found) > SORT_FIELDS_MAX:
            raise BadQuery(f"sort, character {at}: expected at most {SORT_FIELDS_MAX} fields")
        position += len(part) + 1
    return tuple(found)


_MANY = (Kind.TEXTS, Kind.NUMBERS)
_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>!=|>=|<=|[=<>~])|(?P<bracket>[()])|(?P<quoted>'[^']*'|"[^"]*")|(?P<word>[^\s()=!<>~'"]+)|(?P<end>\Z))"""
)


def _tokens(text: str) -> list[_Token]:
    if len(text) > CHARACTERS_MAX:
        raise BadQuery(f"filter: expected at most {CHARACTERS_MAX} characters, got {len(text)}")
    found: list[_Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            wanted = "the quote to be closed" if text[at] in "'\"" else "!=, or not before the comparison"
            raise BadQuery(f"filter, character {at + 1}: expected {wanted}")
        kind = match.lastgroup or ""
        position = match.start(kind) + 1
        if kind == "quoted":
            found.append(_Token(position, "text", match[kind][1:-1]))
        else:
            found.append(_Token(position, kind, match[kind]))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens, with bounds on everything that recurs."""

    def __init__(self, tokens: list[_Token], fields: Fields) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._comparisons = 0
        self._nesting = 0

    def whole(self) -> _Node | None:
        if self._here.kind == "end":
            return None
        node = self._any()
        if self._here.kind != "end":
            self._refuse("and, or, or the end")
        return node

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _refuse(self, expected: str) -> None:
        raise BadQuery(f"filter, character {self._here.position}: expected {expected}")

    def _takes(self, word: str) -> bool:
        here = self._here
        if here.kind == "word" and here.text.lower() == word:
            self._at += 1
            return True
        return False

    def _any(self) -> _Node:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else _Joined(False, tuple(parts))

    def _all(self) -> _Node:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else _Joined(True, tuple(parts))

    def _one(self) -> _Node:
        opposite = False
        while self._takes("not"):
            opposite = not opposite
        node = self._bracketed() if self._here.text == "(" and self._here.kind == "bracket" else self._comparison()
        return _Not(node) if opposite else node

    def _bracketed(self) -> _Node:
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            self._refuse(f"at most {NESTING_MAX} parentheses inside one another")
        self._at += 1
        node = self._any()
        if self._here.text != ")" or self._here.kind != "bracket":
            self._refuse("and, or, or )")
        self._at += 1
        self._nesting -= 1
        return node

    def _comparison(self) -> _Node:
        field = self._here
        if field.kind != "word":
            self._refuse("a field, not, or (")
        kind = self._fields.get(field.text)
        if kind is None:
            raise _unknown("filter", field.position, field.text, self._fields)
        self._comparisons += 1
        if self._comparisons > COMPARISONS_MAX:
            self._refuse(f"at most {COMPARISONS_MAX} comparisons")
        self._at += 1
        operator = self._here
        if operator.kind != "operator":
            self._refuse("one of = != > >= < <= ~")
        textual = kind in (Kind.TEXT, Kind.TEXTS)
        if textual and operator.text not in ("=", "!=", "~"):
            self._refuse("=, != or ~, since this field is text")
        if not textual and operator.text == "~":
            self._refuse("another comparison than ~, since this field is a number")
        self._at += 1
        value = self._here
        if value.kind not in ("word", "text"):
            self._refuse("a value")
        holds = _holds(kind, operator, value)
        self._at += 1
        return _Comparison(field.text, holds)


def _unknown(where: str, position: int, name: str, names: Iterable[str]) -> BadQuery:
    nearest = get_close_matches(name.lower()[:40], names := list(names), n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the fields are {', '.join(names)}"
    return BadQuery(f"{where}, character {position}: expected a field", hint=hint)


def _holds(kind: Kind, operator: _Token, value: _Token) -> Callable[[Any], bool]:
    """What must hold of a field's value."""
    null = value.kind == "word" and value.text.lower() == "null"
    if operator.text == "!=":
        equal = _holds(kind, operator._replace(text="="), value)
        return lambda found: not equal(found)
    if null and operator.text == "=" and kind in _MANY:
        return lambda found: not any(True for _ in found)
    if null and operator.text == "=":
        return lambda found: found is None
    if null:
        raise BadQuery(f"filter, character {value.position}: expected null only after = or !=")
    one: Callable[[Any], bool]
    if kind in (Kind.TEXT, Kind.TEXTS):
        one = _contains(value.text) if operator.text == "~" else _matches(value.text)
    else:
        one = _compares(operator.text, _number(kind, value))
    if kind in _MANY:
        return lambda found: any(map(one, found))
    return lambda found: found is not None and one(found)


def _contains(text: str) -> Callable[[str], bool]:
    wanted = text.casefold()
    return lambda found: wanted in found.casefold()


def _matches(text: str) -> Callable[[str], bool]:
    """Exact, with * for anything: the pieces between are looked for from the left, which needs no going back."""
    first, *pieces = text.split("*")
    if not pieces:
        return lambda found: found == first
    last = pieces.pop()

    def matches(found: str) -> bool:
        at, end = len(first), len(found) - len(last)
        if end < at or not found.startswith(first) or not found.endswith(last):
            return False
        for piece in pieces:
            at = found.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return matches


def _compares(operator: str, wanted: float) -> Callable[[float], bool]:
    match operator:
        case "=":
            return lambda found: found == wanted
        case ">":
            return lambda found: found > wanted
        case ">=":
            return lambda found: found >= wanted
        case "<":
            return lambda found: found < wanted
        case _:
            return lambda found: found <= wanted


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_SHORT_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKMG])", re.ASCII)
_WANTED = {
    Kind.SIZE: "a size such as 512, 64k, 64KiB or 1M",
    Kind.DURATION: "a duration such as 250ms, 30s or 5m",
    Kind.PERCENT: "a percentage such as 50%",
    Kind.NUMBER: "a number",
    Kind.NUMBERS: "a number",
}


def _number(kind: Kind, value: _Token) -> float:
    text = value.text
    try:
        if kind is Kind.PERCENT:
            text = text.removesuffix("%")
        if _NUMBER.fullmatch(text) is not None:
            found = float(text)
        elif kind is Kind.DURATION:
            found = parse_duration(text)
        elif kind is Kind.PERCENT:
            found = math.nan
        else:  # counts are written with 10k and 1M, too
            short = _SHORT_SIZE.fullmatch(text)
            if short is None and kind is not Kind.SIZE:
                found = math.nan
            else:
                found = parse_size(f"{short[1]}{short[2].replace('K', 'k')}B" if short is not None else text)
    except (BadQuantity, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BadQuery(f"filter, character {value.position}: expected {_WANTED[kind]}, or null")
    return found
