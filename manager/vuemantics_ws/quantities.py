"""Quantities as people write them: ``250ms``, ``64KiB``, ``20/s``. A unit is never optional.

One reader for options, environment variables and scenario files, so that a value means the same everywhere.
"""

import math
import re

from vuemantics_ws.errors import BadQuantity

_DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2, "GB": 1000**3, "GiB": 1024**3}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION_PART = re.compile(_NUMBER + r"(ms|min|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+", re.ASCII)
_QUANTITY = re.compile(_NUMBER + r"\s*([A-Za-z%]+(?:/s)?|/s|x)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. ``0`` needs no unit, and ``1m30s`` may be written.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    text = text.strip()
    if text == "0":
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise BadQuantity(f"expected a duration such as 250ms, 30s or 5m, got {text[:40]!r}")
    return _finite(sum(float(part[1]) * _DURATIONS[part[2]] for part in _DURATION_PART.finditer(text)), text)


def parse_size(text: str) -> int:
    """Bytes.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    return round(_with_unit(text, _SIZES, "a size such as 512B, 64KiB or 1MiB"))


def parse_bandwidth(text: str) -> float:
    """Bytes a second.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    return _with_unit(text, {f"{unit}/s": size for unit, size in _SIZES.items()}, "a bandwidth such as 40kB/s")


def parse_rate(text: str) -> float:
    """Events a second.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    return _with_unit(text, {"/s": 1}, "a rate such as 20/s")


def parse_share(text: str) -> float:
    """A share of the whole, from 0 to 1.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    share = _with_unit(text, {"%": 0.01}, "a share such as 10%")
    if share > 1:
        raise BadQuantity(f"expected a share of at most 100%, got {text[:40]!r}")
    return share


def parse_factor(text: str) -> float:
    """How many times as fast; above 0.

    Raises:
        BadQuantity: with an example of what was expected.
    """
    factor = _with_unit(text, {"x": 1}, "a speed such as 20x")
    if factor == 0:
        raise BadQuantity("expected a speed above 0x, got 0x")
    return factor


def format_duration(seconds: float) -> str:
    """A short text that :func:`parse_duration` reads as the same number of seconds, to the millisecond."""
    count_ms = round(seconds * 1000)
    if count_ms == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if count_ms % round(_DURATIONS[unit] * 1000) == 0:
            return f"{count_ms // round(_DURATIONS[unit] * 1000)}{unit}"
    return f"{count_ms}ms" if count_ms < 1000 else f"{count_ms / 1000:.3f}".rstrip("0") + "s"


def format_size(size: int) -> str:
    """The shortest text that :func:`parse_size` reads as the same number of bytes."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"


def _with_unit(text: str, units: dict[str, int] | dict[str, float], expected: str) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise BadQuantity(f"expected {expected}, got {text[:40]!r}")
    return _finite(float(match[1]) * units[match[2]], text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise BadQuantity(f"expected a quantity that a machine can hold, got {text[:40]!r}")
    return value
